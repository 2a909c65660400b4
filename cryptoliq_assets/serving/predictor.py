"""The predictor: the champion, the last months of history and the latest forecasts in memory, requests in, answers out.

No Dagster. What it holds is one immutable `Held`; a new champion or new history makes another, which takes its place
between two batches: no request waits for it, and none sees half of it.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from cryptoliq_assets.cleaning import clean_price_range
from cryptoliq_assets.core import HISTORY_DAYS, Location, Settings, file_state, first_day, month_of, months_between
from cryptoliq_assets.features import HISTORY, INPUT_COLUMNS, SNAPSHOT, StoredHistory, input_columns, online_features
from cryptoliq_assets.ingestion.csv import latest_allowed_date
from cryptoliq_assets.modeling import Champion, load_champion, predict_arrays
from cryptoliq_assets.modeling.evaluation import SplitConformalIntervals
from cryptoliq_assets.modeling.registry import ModelRejectedError, open_model_store
from cryptoliq_assets.schemas import DERIVED_COLUMNS, RANGE_COLUMNS
from cryptoliq_assets.serving.request_models import PredictRequest, format_timestamp
from cryptoliq_assets.serving.views import read_newest_forecasts
from cryptoliq_assets.storage import InvalidTableError, TableStore

# A request may be dated so many days before the newest stored snapshot: history is kept for it to see 90 days.
OLDEST_REQUEST_DAYS = 31
_EPOCH = dt.date(1970, 1, 1)
_ANY = PredictRequest.model_validate_json('{"price": 1.0, "24h_volume": 1.0}')
_FIELDS = (*INPUT_COLUMNS, *DERIVED_COLUMNS, *RANGE_COLUMNS)


class NotReadyError(RuntimeError):
    """There is nothing to forecast with; the message says what to do."""


class DateRejectedError(ValueError):
    """A request is dated where nothing can be said; the message names the bounds."""


@dataclass(frozen=True)
class ServingSnapshot:
    """All that an answer is made of. latest: scores of the latest forecasts, rising."""

    champion: Champion
    table: SplitConformalIntervals
    history: StoredHistory
    latest: np.ndarray
    newest: dt.date | None
    # Coins of the months before those held: their last stored row is older than anything a request may see.
    gone: frozenset[str]
    # What it was read from: another one means that there is something new.
    key: tuple

    @cached_property
    def ranges(self) -> list[tuple[str, float, float]]:
        """Fields of the contract with their training range, ±infinity where none is known."""
        known = self.champion.metadata.get("input_ranges", {})
        return [(field, *known.get(field, (-np.inf, np.inf))) for field in _FIELDS]

    def history_from(self, first: dt.date) -> StoredHistory | None:
        """The history held, where requests from `first` on see all that they may of it."""
        return self.history if self.oldest and first >= self.oldest else None

    @property
    def oldest(self) -> dt.date | None:
        """First day that a request may be dated; None while nothing is stored."""
        return self.newest - dt.timedelta(days=OLDEST_REQUEST_DAYS) if self.newest else None


class Predictor:
    """One home's forecasts on request. `held` is None until `refresh` has found a champion."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = TableStore(settings)
        self.snapshot: ServingSnapshot | None = None
        self.problem: str = "not loaded yet"
        self._coins: dict[tuple, frozenset[str]] = {}

    def refresh(self) -> bool:
        """Load what is new: True when `held` was replaced. A champion that does not load leaves the old one in place, with
        the reason in `problem`; an earlier sound one is taken where there is none held yet."""
        key = self._key()
        if self.snapshot is not None and key == self.snapshot.key:
            # What was wrong with something newer is over, where that is gone again.
            self.problem = "; ".join(self.snapshot.champion.passed_over)
            return False
        try:
            champion = load_champion(self.settings)
        except ModelRejectedError as error:
            self.problem = error.reason
            return False
        if champion is None:
            self.problem = "there is no champion yet: `cryptoliq materialize` makes one from the labelled months"
            return False
        if self.snapshot is not None and champion.version == self.snapshot.champion.version:
            # The same artifact, checked again: its compiled form is kept.
            champion = Champion(self.snapshot.champion.loaded, champion.passed_over)
        months = self._months()
        newest = self._newest(months)
        formula = champion.metadata["formula"]
        history = StoredHistory.from_rows(
            self.store.read("cleaned_snapshots", months, columns=StoredHistory.columns_for(formula)), formula=formula
        )
        try:
            latest = self._latest()
        except InvalidTableError as error:
            # They give the percentile alone: what can be answered without them is.
            latest, champion = np.array([]), Champion(champion.loaded, (*champion.passed_over, str(error)))
        held = ServingSnapshot(
            champion=champion,
            table=SplitConformalIntervals.from_dict(champion.metadata["intervals"]),
            history=history,
            latest=latest,
            newest=newest,
            gone=self._coins_before(months),
            key=key,
        )
        # What is compiled or laid out at the first use is so before anyone waits for it.
        self._answer_with(held, _warmup_requests(held), now=dt.datetime.now(dt.UTC))
        self.snapshot = held
        self.problem = "; ".join(champion.passed_over)
        return True

    def predict(self, requests: Sequence[PredictRequest], *, now: dt.datetime | None = None) -> list[dict[str, Any]]:
        """Answers to n requests, computed together: a request's answer does not depend on the others."""
        if self.snapshot is None:
            raise NotReadyError(self.problem)
        return self._answer_with(self.snapshot, requests, now=now or dt.datetime.now(dt.UTC))

    def _answer_with(
        self, held: ServingSnapshot, requests: Sequence[PredictRequest], *, now: dt.datetime
    ) -> list[dict[str, Any]]:
        today = now.date()
        days = np.array([self.day_of(request, held, today=today) for request in requests], dtype=np.int64)
        numbers = _numbers(requests)
        made = online_features(
            [request.coin for request in requests],
            days,
            {name: numbers[name] for name in input_columns(held.history.formula)},
            history=held.history,
        )
        predicted, lower, upper, _ = predict_arrays(
            held.champion.loaded, made.columns, table=held.table, history=made.recent
        )
        percentiles = np.searchsorted(held.latest, predicted, side="right") * (100.0 / max(len(held.latest), 1))
        outside = _outside(numbers, held)
        floored = made.today.liquidity.volatility_floored
        shared = {
            "model": held.champion.model_name,
            "model_version": held.champion.model_version,
            "timestamp": format_timestamp(now),
            "level": held.table.level,
            "horizon_days": held.champion.horizon_days,
        }
        columns = zip(
            predicted.tolist(),
            lower.tolist(),
            upper.tolist(),
            made.recent.tolist(),
            made.age.tolist(),
            percentiles.tolist(),
            floored.tolist(),
            strict=True,
        )
        return [
            {
                "liquidity_score": score,
                **shared,
                "lower": low,
                "upper": high,
                "basis": HISTORY if recent else SNAPSHOT,
                "percentile": round(percentile, 2) if len(held.latest) else None,
                "flags": {
                    "volatility_floored": peg,
                    "out_of_range": outside.get(place, []),
                    "stale_history": not recent and (age >= 0 or requests[place].coin in held.gone),
                },
            }
            for place, (score, low, high, recent, age, percentile, peg) in enumerate(columns)
        ]

    def invalid_dates(self, requests: Sequence[PredictRequest]) -> dict[int, str]:
        """Why requests are dated where nothing can be said, by their place; those that may be answered are left out."""
        held, found = self.snapshot, {}
        dated = [(place, request) for place, request in enumerate(requests) if request.date]
        if held is None or not dated:
            return found
        today = dt.datetime.now(dt.UTC).date()
        for place, request in dated:
            try:
                self.day_of(request, held, today=today)
            except DateRejectedError as error:
                found[place] = str(error)
        return found

    @staticmethod
    def day_of(request: PredictRequest, held: ServingSnapshot, *, today: dt.date) -> int:
        """Days since 1970 of a request's snapshot; DateRejectedError outside what can be answered."""
        date = request.date or today
        last = latest_allowed_date(today)
        if date > last:
            raise DateRejectedError(f"date is {date}; expected a day no later than {last}")
        if request.date and held.oldest and date < held.oldest:
            raise DateRejectedError(
                f"date is {date}; expected a day from {held.oldest} on, for which history is at hand: send CSV for older ones"
            )
        return (date - _EPOCH).days

    def _key(self) -> tuple:
        months = self._months()
        stamps = [self.store.stamp("cleaned_snapshots", month) for month in months]
        forecasts = self.store.months("forecasts")[-1:]
        latest = [self.store.stamp("forecasts", month) for month in forecasts]
        models = open_model_store(self.settings)
        pointer = models.pointer()
        # A pointer that was lost, or mended, is news as well: `problem` tells it.
        return (pointer, _state(models.folder / f"{pointer.version}.pkl"), *months, *stamps, *forecasts, *latest)

    def _months(self) -> list[str]:
        """Months of the newest snapshot and of what requests up to OLDEST_REQUEST_DAYS before it may see."""
        there = self.store.months("cleaned_snapshots")
        if not there:
            return []
        since = first_day(there[-1]) - dt.timedelta(days=HISTORY_DAYS + OLDEST_REQUEST_DAYS)
        wanted = set(months_between(month_of(since), there[-1]))
        return [month for month in there if month in wanted]

    def _coins_before(self, held: list[str]) -> frozenset[str]:
        """Coins with a row in the months before those held; a month is read once as long as it stays as it is."""
        earlier = [month for month in self.store.months("cleaned_snapshots") if held and month < held[0]]
        stamps = {month: self.store.stamp("cleaned_snapshots", month) for month in earlier}
        states = {(month, stamp.inputs if stamp else None): month for month, stamp in stamps.items()}
        self._coins = {
            state: self._coins[state] if state in self._coins else self._coins_of(month)
            for state, month in states.items()
        }
        return frozenset().union(*self._coins.values())

    def _coins_of(self, month: str) -> frozenset[str]:
        rows = self.store.read("cleaned_snapshots", [month], columns=["coin"])
        return frozenset(map(str, rows["coin"].cat.remove_unused_categories().cat.categories))

    def _newest(self, months: list[str]) -> dt.date | None:
        for month in reversed(months):
            stamp = self.store.stamp("cleaned_snapshots", month)
            if stamp and stamp.days:
                return dt.date.fromisoformat(max(stamp.days))
        return None

    def _latest(self) -> np.ndarray:
        made = read_newest_forecasts(self.settings, self.store)
        return np.array([]) if made is None else np.sort(made["liquidity_score"].to_numpy())


def _warmup_requests(held: ServingSnapshot) -> list[PredictRequest]:
    """Requests that bring to use every part of a champion: one on its own, one of a coin with history."""
    track = held.history.rows
    if held.newest is None or not len(track.days):
        return [_ANY]
    code = track.coins[np.argmax(track.days)]
    coin = next(name for name, own in held.history.codes.items() if own == code)
    return [_ANY, _ANY.model_copy(update={"coin": coin, "date": held.newest + dt.timedelta(days=1)})]


def _state(artifact: Location) -> tuple[Any, ...]:
    """What changes when the current artifact is written anew in place: a restored one is loaded again."""
    try:
        return file_state(artifact)
    except OSError:
        return ()


def _numbers(requests: Sequence[PredictRequest]) -> dict[str, np.ndarray]:
    """The contract's fields of n requests, NaN where unknown; a cap of 0 is unknown."""
    values = np.array(
        [
            (
                request.price,
                request.change_1h,
                request.change_24h,
                request.change_7d,
                request.volume,
                request.mkt_cap or None,
                request.liquidity_ratio,
                request.price_change_24h,
                request.high_24h,
                request.low_24h,
            )
            for request in requests
        ],
        dtype=float,
    )
    numbers = dict(zip(_FIELDS, np.ascontiguousarray(values.T), strict=True))
    numbers["high_24h"], numbers["low_24h"] = clean_price_range(numbers["high_24h"], numbers["low_24h"])
    return numbers


def _outside(numbers: dict[str, np.ndarray], held: ServingSnapshot) -> dict[int, list[str]]:
    """Fields out of their training range, by place of the request; those without any are left out."""
    found: dict[int, list[str]] = {}
    for field, low, high in held.ranges:
        for place in np.flatnonzero((numbers[field] < low) | (numbers[field] > high)).tolist():
            found.setdefault(place, []).append(field)
    return found
