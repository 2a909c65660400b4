"""Where the app's numbers come from: a home on this machine, or the service of one. The same methods, the same values.

What goes wrong is told as a `Problem` (`dashboard/error_messages.py`).
"""

import datetime as dt
import io
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from cryptoliq_assets.core import Location, Settings, file_state, read_text
from cryptoliq_assets.dashboard import UserFacingError, user_facing_errors
from cryptoliq_assets.dashboard.data_sources.base import ForecastFile, HomeSource
from cryptoliq_assets.modeling.registry import ModelRejectedError, store_of
from cryptoliq_assets.monitoring import REPORTS
from cryptoliq_assets.monitoring.service import APP
from cryptoliq_assets.serving import (
    DateRejectedError,
    NotReadyError,
    PredictionLog,
    Stopwatch,
    home_views,
    sample_csv_rows,
    views,
)
from cryptoliq_assets.storage import TableStore

if TYPE_CHECKING:
    from cryptoliq_assets.serving import Predictor


# Not faults of the app: what the input or the home lacks is told to the visitor.
_ABOUT_INPUT = (ValidationError, DateRejectedError, NotReadyError, UserFacingError)


class HomeViews:
    """What only a home can tell."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._store = settings, TableStore(settings)

    def key(self) -> str:
        """Another text when reports, ledger or catalogue were written anew."""
        reports = self._settings.reports_dir
        paths = [reports / name for name in ("forecasts.json", "metrics.json", *REPORTS)]
        paths += [
            self._settings.incidents_path,
            store_of(self._settings).ledger.path,
            self._settings.catalogue_path,
        ]
        return " ".join(_state(path) for path in paths)

    def models(self) -> dict[str, Any]:
        with user_facing_errors():
            return home_views.build_models_view(self._settings)

    def health(self) -> dict[str, Any]:
        with user_facing_errors():
            return home_views.build_health_view(self._settings, self._store)

    def stale(self) -> list[str]:
        """Coins that were seen in the last 90 days and are not in the newest snapshot."""
        return home_views.read_stale_coins(self._settings)

    def card(self) -> str | None:
        """The page of the current model's card; None where it has none."""
        path = self._settings.reports_dir / "model_card.html"
        return read_text(path) if path.exists() else None


class LocalSource:
    """The home itself. Its predictor keeps champion and history, and loads them anew when either is another."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._store = settings, TableStore(settings)
        self._lock = threading.Lock()
        self._predictor: Predictor | None = None
        self._log = PredictionLog(settings, APP)
        self.name = f"the home {settings.home_dir}"
        self.home: HomeSource | None = HomeViews(settings)

    def key(self) -> str:
        """Of what the month files say of their days, and of which model is current, by what pointer."""
        months = [
            (table, month, stamp.inputs, *stamp.in_order)
            for table in ("forecasts", "cleaned_snapshots", "engineered_features", "labels")
            for month in self._store.months(table)
            if (stamp := self._store.stamp(table, month))
        ]
        return f"{self._settings.home_dir} {store_of(self._settings).pointer()} {hash(tuple(months)):x}"

    def forecasts(self) -> dict[str, Any]:
        with user_facing_errors():
            return views.load_latest_forecasts(self._settings, self._store)

    def coin(self, name: str) -> dict[str, Any] | None:
        with user_facing_errors():
            return views.build_coin_view(self._settings, self._store, name)

    def model(self) -> dict[str, Any] | None:
        with user_facing_errors():
            return views.build_model_view(self._settings)

    def predict(self, body: Mapping[str, Any]) -> dict[str, Any]:
        from cryptoliq_assets.serving import parse_request

        with user_facing_errors(), self._log.record_exceptions("a what-if", expected=_ABOUT_INPUT):
            watch = Stopwatch()
            request = parse_request(body)
            predictor = self._ready()
            [answer] = predictor.predict([request])
            sample = [{"inputs": request, "output": answer}]
            scores = np.array([answer["liquidity_score"]])
            self._log.record_predictions(
                "single", predictor.snapshot.champion, scores, sample=sample, seconds=watch.seconds()
            )
            return answer

    def predict_csv(self, content: bytes) -> ForecastFile:
        from cryptoliq_assets.serving.csv import ADDED_COLUMNS, InputRejectedError, predict_content

        with (
            user_facing_errors(),
            self._log.record_exceptions("a CSV file", expected=(*_ABOUT_INPUT, InputRejectedError)),
        ):
            watch = Stopwatch()
            held = self._ready().snapshot
            outcome, chunks = predict_content(
                content,
                champion=held.champion,
                settings=self._settings,
                today=dt.datetime.now(dt.UTC).date(),
                history=held.history_from,
            )
            made = b"".join(chunks)
            sample = sample_csv_rows(
                io.TextIOWrapper(io.BytesIO(made), encoding="utf-8", newline=""), added=ADDED_COLUMNS
            )
            refused = sum(outcome.refused.values())
            self._log.record_predictions(
                "csv", held.champion, outcome.scores, sample=sample, seconds=watch.seconds(), refused=refused
            )
            return ForecastFile(made, outcome.unit, "; ".join(outcome.doubts))

    def _ready(self) -> "Predictor":
        """The predictor with the present champion and history; several sessions ask for it, the first one loads."""
        if self._version() is None:
            raise UserFacingError("There is no champion yet", "`cryptoliq train` makes one from the labelled months.")
        with self._lock:
            if self._predictor is None:
                from cryptoliq_assets.serving import Predictor

                self._predictor = Predictor(self._settings)
            self._predictor.refresh()
        if self._predictor.snapshot is None:
            raise ModelRejectedError(self._predictor.problem)
        self._log.record_model_load(self._predictor.snapshot.champion)
        return self._predictor

    def _version(self) -> str | None:
        return store_of(self._settings).current_version()


def _state(path: Location) -> str:
    try:
        return repr(file_state(path))
    except FileNotFoundError:
        return "–"
