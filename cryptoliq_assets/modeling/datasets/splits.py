"""Folds for evaluation: rolling origins over dates, or groups of coins if there are too few dates.

Rows are never drawn at random: rows of one day share the market's move, so a row's neighbors would leak its target.
"""

import datetime as dt
import hashlib
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from cryptoliq_assets.modeling.datasets.training_rows import TrainingRows

EvaluationKind = Literal["over_time", "by_coin"]
OVER_TIME: Final = "over_time"
BY_COIN: Final = "by_coin"

# With fewer training dates before the first origin, the first fold tests the start of the archive, not the specification.
MIN_ORIGIN_DATES = 10


@dataclass(frozen=True)
class Fold:
    """Row indices to train and to test on; `known_until` is the data cutoff: the newest target date trained on."""

    number: int
    train: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]
    known_until: dt.date
    test_from: dt.date
    test_to: dt.date

    def describe(self) -> dict[str, object]:
        """Return dates and row counts, for the leaderboard."""
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

    evaluation: EvaluationKind
    folds: tuple[Fold, ...]


def make_folds(
    rows: TrainingRows, *, count: int = 4, first_origin: dt.date | None = None, min_train_dates: int = 40
) -> Folds:
    """Make rolling-origin folds; folds by coin if there are too few labelled dates, or none left to test on.

    Args:
        rows: The training set.
        count: Number of folds (`cv.n_splits`).
        first_origin: First test date (`cv.first_test_date`); default: after the first third of the dates.
        min_train_dates: Labelled dates that folds over time need (`cv.min_train_dates`).

    Raises:
        ValueError: `first_origin` leaves nothing to train on or nothing to test on.
    """
    if len(rows.dates) < min_train_dates:
        return Folds(BY_COIN, folds_by_coin(rows, count=count))
    origin = np.datetime64(first_origin, "D") if first_origin else _default_origin(rows)
    if first_origin is None and origin > rows.dates[-1]:
        return Folds(BY_COIN, folds_by_coin(rows, count=count))
    return Folds(OVER_TIME, folds_over_time(rows, count=count, first_origin=origin))


def folds_over_time(rows: TrainingRows, *, count: int, first_origin: np.datetime64) -> tuple[Fold, ...]:
    """Split the dates from `first_origin` on into `count` blocks of equal size, with an expanding training window.

    Purged: a row is used for training only if its target date is before the block's first date, that is, if its label was
    known before the first forecast of the block was made.

    Args:
        rows: Training rows.
        count: Number of blocks.
        first_origin: First date of the first block.

    Raises:
        ValueError: There is nothing to train on or to test on.

    Source: de Prado 2018, Advances in Financial Machine Learning, ch. 7.
    """
    tested = rows.dates[rows.dates >= first_origin]
    if not len(tested):
        raise ValueError(
            f"no labelled date on or after the first test date {first_origin}: the last is {rows.dates[-1]}"
        )
    folds = []
    for number, block in enumerate(np.array_split(tested, min(count, len(tested))), start=1):
        train = np.flatnonzero(rows.target_date < block[0])
        if not len(train):
            raise ValueError(
                f"nothing to train on before {block[0]}: the first label is known on {rows.target_date.min()}; "
                "choose a later first test date"
            )
        test = np.flatnonzero((rows.date >= block[0]) & (rows.date <= block[-1]))
        folds.append(_fold(rows, number, train=train, test=test))
    return tuple(folds)


def folds_by_coin(rows: TrainingRows, *, count: int) -> tuple[Fold, ...]:
    """Split the coins into `count` groups, each tested by models trained on the others.

    Groups have equal size, in the order of the names' hashes: reproducible, and independent of alphabetical order.

    Raises:
        ValueError: There is only one coin.
    """
    if len(rows.coin_names) < 2:
        raise ValueError("only one coin on too few dates: nothing is left to test on")
    order = sorted(range(len(rows.coin_names)), key=lambda code: _digest(str(rows.coin_names[code])))
    group_of = np.empty(len(rows.coin_names), dtype=np.int64)
    count = max(2, min(count, len(order)))
    group_of[order] = np.arange(len(order)) * count // len(order)
    group = group_of[rows.coins]
    return tuple(
        _fold(rows, number + 1, train=np.flatnonzero(group != number), test=np.flatnonzero(group == number))
        for number in range(count)
    )


def _default_origin(rows: TrainingRows) -> np.datetime64:
    """The date after the first third, or the first at which the labels of MIN_ORIGIN_DATES dates are known."""
    third = rows.dates[len(rows.dates) // 3]
    horizon = np.timedelta64(rows.horizon_days, "D")
    earliest = rows.dates[min(MIN_ORIGIN_DATES, len(rows.dates)) - 1] + horizon + np.timedelta64(1, "D")
    return max(third, earliest)


def _fold(rows: TrainingRows, number: int, *, train: npt.NDArray[np.int64], test: npt.NDArray[np.int64]) -> Fold:
    return Fold(
        number=number,
        train=train,
        test=test,
        known_until=rows.target_date[train].max().item(),
        test_from=rows.date[test].min().item(),
        test_to=rows.date[test].max().item(),
    )


def _digest(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()
