"""The predictor: requests in, predictions out, from a snapshot of the data directory in memory.

It does not import Dagster. What it serves from is loaded in `snapshot`; HTTP belongs in `serving.api`.
"""

import datetime as dt
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from cryptoliq_assets.cleaning import clean_price_range
from cryptoliq_assets.core import Settings
from cryptoliq_assets.features import HISTORY, SNAPSHOT, input_columns, online_features
from cryptoliq_assets.ingestion.csv import latest_allowed_date
from cryptoliq_assets.modeling import Champion, load_champion, predict_arrays
from cryptoliq_assets.modeling.registry import ModelRejectedError
from cryptoliq_assets.serving.request_models import PredictRequest, format_timestamp
from cryptoliq_assets.serving.snapshot import NUMBER_FIELDS, ServingSnapshot, SnapshotLoader
from cryptoliq_assets.storage import TableStore

_EPOCH = dt.date(1970, 1, 1)
_MINIMAL_REQUEST = PredictRequest.model_validate_json('{"price": 1.0, "24h_volume": 1.0}')
_ATTRIBUTES = {field.alias or name: name for name, field in PredictRequest.model_fields.items()}
# The values of NUMBER_FIELDS in a request, in their order.
_read_numbers = attrgetter(*(_ATTRIBUTES[name] for name in NUMBER_FIELDS))


class NotReadyError(RuntimeError):
    """There is no champion to predict with; the message states what to do."""


class DateRejectedError(ValueError):
    """The date of a request is out of bounds; the message states the bounds."""


class Predictor:
    """Predictions of one data directory on request.

    Args:
        settings: Settings of the data directory.

    `snapshot` is None until `refresh` has found a champion. It is replaced completely between two batches: no request waits for
    a load, and none sees parts of two snapshots. `problem` states why the newest data is not served; empty if it is.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.store = TableStore(settings)
        self.snapshot: ServingSnapshot | None = None
        self.problem: str = "not loaded yet"
        self._loader = SnapshotLoader(settings, self.store)

    def refresh(self) -> bool:
        """Load new data.

        If the champion cannot be loaded, the current snapshot stays, and `problem` states the reason; without a current snapshot an
        earlier valid model is loaded.

        Returns:
            Whether the snapshot was replaced.

        Raises:
            InvalidTableError: If the history cannot be read.
        """
        key = self._loader.key()
        if self.snapshot is not None and key == self.snapshot.key:
            # A problem with newer data is over if that data was removed again.
            self.problem = "; ".join(self.snapshot.champion.passed_over)
            return False
        try:
            champion = load_champion(self.settings)
        except ModelRejectedError as error:
            self.problem = error.reason
            return False
        if champion is None:
            self.problem = "there is no champion yet: `cryptoliq materialize` trains one from the labelled months"
            return False
        if self.snapshot is not None and champion.version == self.snapshot.champion.version:
            # The same artifact, verified again: its compiled form is reused.
            champion = Champion(self.snapshot.champion.loaded, champion.passed_over)
        snapshot = self._loader.load(champion, key)
        # Lazy compilation and layout happen now, not during the first request.
        self._predict_from(snapshot, _warmup_requests(snapshot), now=dt.datetime.now(dt.UTC))
        self.snapshot = snapshot
        self.problem = "; ".join(snapshot.champion.passed_over)
        return True

    def predict(self, requests: Sequence[PredictRequest], *, now: dt.datetime | None = None) -> list[dict[str, Any]]:
        """Predict n requests in one computation; the result of a request does not depend on the others.

        Args:
            requests: n requests.
            now: Current time; default: the clock's.

        Returns:
            n responses, as `PredictResponse` describes them.

        Raises:
            NotReadyError: If there is no champion.
            DateRejectedError: If the date of a request is out of bounds.
        """
        if self.snapshot is None:
            raise NotReadyError(self.problem)
        return self._predict_from(self.snapshot, requests, now=now or dt.datetime.now(dt.UTC))

    def _predict_from(
        self, snapshot: ServingSnapshot, requests: Sequence[PredictRequest], *, now: dt.datetime
    ) -> list[dict[str, Any]]:
        today = now.date()
        days = np.array([self.day_of(request, snapshot, today=today) for request in requests], dtype=np.int64)
        numbers = _collect_numbers(requests)
        features = online_features(
            [request.coin for request in requests],
            days,
            {name: numbers[name] for name in input_columns(snapshot.history.formula)},
            history=snapshot.history,
        )
        predicted, lower, upper, _ = predict_arrays(
            snapshot.champion.loaded, features.columns, table=snapshot.intervals, history=features.recent
        )
        percentiles = np.searchsorted(snapshot.latest, predicted, side="right") * (100.0 / max(len(snapshot.latest), 1))
        out_of_range = _find_out_of_range(numbers, snapshot)
        common = {
            "model": snapshot.champion.model_name,
            "model_version": snapshot.champion.model_version,
            "timestamp": format_timestamp(now),
            "level": snapshot.intervals.level,
            "horizon_days": snapshot.champion.horizon_days,
        }
        columns = zip(
            predicted.tolist(),
            lower.tolist(),
            upper.tolist(),
            features.recent.tolist(),
            features.age.tolist(),
            percentiles.tolist(),
            features.today.liquidity.volatility_floored.tolist(),
            strict=True,
        )
        return [
            {
                "liquidity_score": score,
                **common,
                "lower": low,
                "upper": high,
                "basis": HISTORY if is_recent else SNAPSHOT,
                "percentile": round(percentile, 2) if len(snapshot.latest) else None,
                "flags": {
                    "volatility_floored": is_floored,
                    "out_of_range": out_of_range.get(row, []),
                    "stale_history": not is_recent and (age >= 0 or requests[row].coin in snapshot.old_coins),
                },
            }
            for row, (score, low, high, is_recent, age, percentile, is_floored) in enumerate(columns)
        ]

    def invalid_dates(self, requests: Sequence[PredictRequest]) -> dict[int, str]:
        """Find requests whose date is out of bounds.

        Args:
            requests: n requests.

        Returns:
            The message for each invalid date, by index of the request.
        """
        snapshot = self.snapshot
        messages: dict[int, str] = {}
        dated = [(index, request) for index, request in enumerate(requests) if request.date]
        if snapshot is None or not dated:
            return messages
        today = dt.datetime.now(dt.UTC).date()
        for index, request in dated:
            try:
                self.day_of(request, snapshot, today=today)
            except DateRejectedError as error:
                messages[index] = str(error)
        return messages

    @staticmethod
    def day_of(request: PredictRequest, snapshot: ServingSnapshot, *, today: dt.date) -> int:
        """Return the day of a request's data.

        Args:
            request: The request.
            snapshot: What it is answered from.
            today: Date of requests without one.

        Returns:
            Days since 1970.

        Raises:
            DateRejectedError: If the date is out of bounds.
        """
        date = request.date or today
        last = latest_allowed_date(today)
        if date > last:
            raise DateRejectedError(f"date is {date}; expected a date no later than {last}")
        if request.date and snapshot.oldest and date < snapshot.oldest:
            raise DateRejectedError(
                f"date is {date}; expected a date from {snapshot.oldest} on, for which the history is in memory: send CSV for "
                "older ones"
            )
        return (date - _EPOCH).days


def _warmup_requests(snapshot: ServingSnapshot) -> list[PredictRequest]:
    """Requests that use every part of a champion: one without history, and one of a coin with history."""
    stored = snapshot.history.rows
    if snapshot.newest is None or not len(stored.days):
        return [_MINIMAL_REQUEST]
    code = stored.coins[np.argmax(stored.days)]
    coin = next(name for name, own in snapshot.history.codes.items() if own == code)
    date = snapshot.newest + dt.timedelta(days=1)
    return [_MINIMAL_REQUEST, _MINIMAL_REQUEST.model_copy(update={"coin": coin, "date": date})]


def _collect_numbers(requests: Sequence[PredictRequest]) -> dict[str, np.ndarray]:
    """Return the number fields of n requests by name, NaN if unknown; a market cap of 0 is unknown."""
    values = np.array([_read_numbers(request) for request in requests], dtype=float)
    numbers = dict(zip(NUMBER_FIELDS, np.ascontiguousarray(values.T), strict=True))
    numbers["mkt_cap"][numbers["mkt_cap"] == 0.0] = np.nan
    numbers["high_24h"], numbers["low_24h"] = clean_price_range(numbers["high_24h"], numbers["low_24h"])
    return numbers


def _find_out_of_range(numbers: dict[str, np.ndarray], snapshot: ServingSnapshot) -> dict[int, list[str]]:
    """Return the fields outside their training range, by index of the request; requests without any are left out."""
    fields: dict[int, list[str]] = {}
    for name, low, high in snapshot.ranges:
        for row in np.flatnonzero((numbers[name] < low) | (numbers[name] > high)).tolist():
            fields.setdefault(row, []).append(name)
    return fields
