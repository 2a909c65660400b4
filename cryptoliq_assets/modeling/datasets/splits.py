"""Folds of an honest evaluation: rolling origins on dates, or on coins where there are too few dates.

No row is ever drawn at random: rows of one day share the market's move, so a row's neighbours would give it away.
"""

import datetime as dt
import hashlib
from dataclasses import dataclass
from typing import Literal

import numpy as np

from cryptoliq_assets.modeling.datasets.training_set import TrainingSet

OVER_TIME = "over_time"
BY_COIN = "by_coin"

# A first origin with fewer training dates known than this tests the start of the archive, not the recipe.
MIN_ORIGIN_DATES = 10


@dataclass(frozen=True)
class Fold:
    """Row indices to train on and to test on; `known_until` is the newest target date trained on."""

    number: int
    train: np.ndarray
    test: np.ndarray
    known_until: dt.date
    test_from: dt.date
    test_to: dt.date

    def describe(self) -> dict[str, object]:
        """For the leaderboard: dates and row counts."""
        return {
            "fold": self.number,
            "known_until": self.known_until.isoformat(),
            "test_from": self.test_from.isoformat(),
            "test_to": self.test_to.isoformat(),
            "train_rows": len(self.train),
            "test_rows": len(self.test),
        }


@dataclass(frozen=True)
class Folds:
    """How models are evaluated: `over_time`, or provisionally `by_coin`."""

    evaluation: Literal["over_time", "by_coin"]
    folds: tuple[Fold, ...]


def make_folds(
    rows: TrainingSet, *, count: int = 4, first_origin: dt.date | None = None, min_train_dates: int = 40
) -> Folds:
    """Rolling-origin folds; by coin where the set has fewer than `cv.min_train_dates` labelled dates, or where the
    horizon leaves none of them to test on.

    Raises ValueError where `cv.first_test_date` leaves nothing to train on or nothing to test on.
    """
    if len(rows.dates) < min_train_dates:
        return Folds(BY_COIN, folds_by_coin(rows, count=count))
    origin = np.datetime64(first_origin, "D") if first_origin else _default_origin(rows)
    if first_origin is None and origin > rows.dates[-1]:
        return Folds(BY_COIN, folds_by_coin(rows, count=count))
    return Folds(OVER_TIME, folds_over_time(rows, count=count, first_origin=origin))


def folds_over_time(rows: TrainingSet, *, count: int, first_origin: np.datetime64) -> tuple[Fold, ...]:
    """`count` blocks of equally many dates from `cv.first_test_date` to the end; the training window expands.

    Purged: a row trains only if its target date lies before the block's first date, that is, if its label was known
    before the first forecast of the block was made (de Prado 2018, Advances in Financial Machine Learning, ch. 7).
    """
    tested = rows.dates[rows.dates >= first_origin]
    if not len(tested):
        raise ValueError(f"no labelled date on or after the first origin {first_origin}: the last is {rows.dates[-1]}")
    folds = []
    for number, block in enumerate(np.array_split(tested, min(count, len(tested))), start=1):
        train = np.flatnonzero(rows.target_date < block[0])
        if not len(train):
            raise ValueError(
                f"nothing to train on before {block[0]}: the first label is known on {rows.target_date.min()}; "
                "choose a later first origin"
            )
        test = np.flatnonzero((rows.date >= block[0]) & (rows.date <= block[-1]))
        folds.append(_fold(rows, number, train=train, test=test))
    return tuple(folds)


def folds_by_coin(rows: TrainingSet, *, count: int) -> tuple[Fold, ...]:
    """`count` groups of coins, each tested by what was learnt from the others.

    Groups of equal size in the order of the names' hashes: the same in every run, and no neighbours by name.
    """
    if len(rows.coin_names) < 2:
        raise ValueError("one coin on too few dates: nothing is left to test on")
    order = sorted(range(len(rows.coin_names)), key=lambda code: _digest(rows.coin_names[code]))
    group_of = np.empty(len(rows.coin_names), dtype=np.int64)
    count = max(2, min(count, len(order)))
    group_of[order] = np.arange(len(order)) * count // len(order)
    group = group_of[rows.coins]
    return tuple(
        _fold(rows, number + 1, train=np.flatnonzero(group != number), test=np.flatnonzero(group == number))
        for number in range(count)
    )


def _default_origin(rows: TrainingSet) -> np.datetime64:
    """The date after the first third, or the first one at which MIN_ORIGIN_DATES dates' labels are known."""
    third = rows.dates[len(rows.dates) // 3]
    horizon = np.timedelta64(rows.horizon_days, "D")
    known = rows.dates[min(MIN_ORIGIN_DATES, len(rows.dates)) - 1] + horizon + np.timedelta64(1, "D")
    return max(third, known)


def _fold(rows: TrainingSet, number: int, *, train: np.ndarray, test: np.ndarray) -> Fold:
    return Fold(
        number=number,
        train=train,
        test=test,
        known_until=rows.target_date[train].max().item(),
        test_from=rows.date[test].min().item(),
        test_to=rows.date[test].max().item(),
    )


def _digest(name: str) -> bytes:
    return hashlib.sha256(str(name).encode()).digest()
