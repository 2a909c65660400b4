"""Data source for a data directory on this machine, with the same values as `http.py` for a service.

Add values that `serving.views` or `serving.home_views` compute. Computation does not belong here.
"""

import datetime as dt
import io
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from cryptoliq_assets.core import Location, Settings, file_exists, file_state, is_remote, list_states, read_text
from cryptoliq_assets.dashboard import UserFacingError, user_facing_errors
from cryptoliq_assets.dashboard.data_sources.base import ForecastFile, HomeSource
from cryptoliq_assets.modeling.registry import ModelRejectedError, open_model_store
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
    from cryptoliq_assets.serving import Predictor, ServingSnapshot


# Caused by the input or by a missing model, not by a defect of the app: shown to the visitor, not logged as an exception.
_EXPECTED_ERRORS = (ValidationError, DateRejectedError, NotReadyError, UserFacingError)
# How long values of the database are shown before they are read again.
_DATABASE_SECONDS = 30


class HomeViews:
    """Values that only a data directory has."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._store = settings, TableStore(settings)

    def cache_key(self) -> str:
        """Return a text that changes when reports, audit log or catalog change."""
        with user_facing_errors():
            reports = self._settings.reports_dir
            names = ("forecasts.json", "metrics.json", *REPORTS, self._settings.incidents_path.name)
            # Of an object store one listing instead of a request for each.
            listed = list_states(reports) if is_remote(reports) else None
            states = [_describe_state(reports / name) if listed is None else repr(listed.get(name)) for name in names]
            states += map(_describe_state, (open_model_store(self._settings).ledger.path, self._settings.catalog_path))
        # No file changes with the catalog of a market.
        tick = "" if self._settings.postgres_url is None else f" {time.monotonic() // _DATABASE_SECONDS}"
        return " ".join(states) + tick

    def load_models(self) -> dict[str, Any]:
        """Return the values of `home_views.build_models_view`.

        Raises:
            UserFacingError: If a table, model or file cannot be read.
        """
        with user_facing_errors():
            return home_views.build_models_view(self._settings)

    def load_health(self) -> dict[str, Any]:
        """Return the values of `home_views.build_health_view`.

        Raises:
            UserFacingError: If a table, model or file cannot be read.
        """
        with user_facing_errors():
            return home_views.build_health_view(self._settings, self._store)

    def list_stale_coins(self) -> list[str]:
        """Return the coins of the last 90 days that are missing from the newest snapshot."""
        return home_views.read_stale_coins(self._settings)

    def read_model_card(self) -> str | None:
        """Return the model card of the current model as HTML; None if it has none."""
        path = self._settings.reports_dir / "model_card.html"
        return read_text(path) if file_exists(path) else None


class LocalSource:
    """A data directory. Its predictor caches champion and history, and reloads them when either changes."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._store = settings, TableStore(settings)
        self._lock = threading.Lock()
        self._predictor: Predictor | None = None
        self._log = PredictionLog(settings, APP)
        self.name = f"the data directory {settings.home_dir}"
        self.home: HomeSource | None = HomeViews(settings)

    def cache_key(self) -> str:
        """Return a text made of the month files' fingerprints and the pointer to the current model."""
        with user_facing_errors():
            months = [
                (table, month, stamp.inputs, *stamp.in_order)
                for table in ("forecasts", "cleaned_snapshots", "engineered_features", "labels")
                for month in self._store.months(table)
                if (stamp := self._store.stamp(table, month))
            ]
            pointer = open_model_store(self._settings).pointer()
        return f"{self._settings.home_dir} {pointer} {hash(tuple(months)):x}"

    def load_forecasts(self) -> dict[str, Any]:
        """Return the values of `views.load_latest_forecasts`, for all coins.

        Raises:
            UserFacingError: If a table, model or file cannot be read.
        """
        with user_facing_errors():
            return views.load_latest_forecasts(self._settings, self._store)

    def load_coin(self, name: str) -> dict[str, Any] | None:
        """Return the values of `views.build_coin_view`; None for an unknown coin.

        Raises:
            UserFacingError: If a table, model or file cannot be read.
        """
        with user_facing_errors():
            return views.build_coin_view(self._settings, self._store, name)

    def load_model(self) -> dict[str, Any] | None:
        """Return the values of `views.build_model_view`; None if there is no champion.

        Raises:
            UserFacingError: If no stored model is valid.
        """
        with user_facing_errors():
            return views.build_model_view(self._settings)

    def predict(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Forecast one row, and record it in the prediction log.

        Args:
            body: Fields of the contract, with optional `coin` and `date`.

        Returns:
            The same values as POST /predict.

        Raises:
            UserFacingError: If the row is rejected, with its fields, or no model is ready.
        """
        from cryptoliq_assets.serving import parse_request

        with user_facing_errors(), self._log.record_exceptions("a what-if", expected=_EXPECTED_ERRORS):
            watch = Stopwatch()
            request = parse_request(body)
            predictor, snapshot = self._load_predictor()
            [answer] = predictor.predict([request])
            sample = [{"inputs": request, "output": answer}]
            scores = np.array([answer["liquidity_score"]])
            self._log.record_predictions("single", snapshot.champion, scores, sample=sample, seconds=watch.seconds())
            return answer

    def predict_csv(self, content: bytes) -> ForecastFile:
        """Forecast the rows of a CSV file, and record them in the prediction log.

        Args:
            content: The file.

        Returns:
            The file with forecasts added.

        Raises:
            UserFacingError: If the file is rejected or no model is ready.
        """
        from cryptoliq_assets.serving.csv import ADDED_COLUMNS, InputRejectedError, predict_content

        with (
            user_facing_errors(),
            self._log.record_exceptions("a CSV file", expected=(*_EXPECTED_ERRORS, InputRejectedError)),
        ):
            watch = Stopwatch()
            _, snapshot = self._load_predictor()
            summary, chunks = predict_content(
                content,
                champion=snapshot.champion,
                settings=self._settings,
                today=dt.datetime.now(dt.UTC).date(),
                history=snapshot.history_from,
            )
            output = b"".join(chunks)
            sample = sample_csv_rows(
                io.TextIOWrapper(io.BytesIO(output), encoding="utf-8", newline=""), output_columns=ADDED_COLUMNS
            )
            rejected = sum(summary.rejected.values())
            self._log.record_predictions(
                "csv", snapshot.champion, summary.scores, sample=sample, seconds=watch.seconds(), rejected=rejected
            )
            return ForecastFile(output, summary.unit, "; ".join(summary.doubts))

    def _load_predictor(self) -> "tuple[Predictor, ServingSnapshot]":
        """Return the predictor with its current champion and history; of several sessions the first one loads it."""
        if open_model_store(self._settings).current_version() is None:
            raise UserFacingError(
                "There is no champion yet", "Run `cryptoliq train` to train one on the labelled months."
            )
        with self._lock:
            if self._predictor is None:
                from cryptoliq_assets.serving import Predictor

                self._predictor = Predictor(self._settings)
            self._predictor.refresh()
        snapshot = self._predictor.snapshot
        if snapshot is None:
            raise ModelRejectedError(self._predictor.problem)
        self._log.record_model_load(snapshot.champion)
        return self._predictor, snapshot


def _describe_state(path: Location) -> str:
    try:
        return repr(file_state(path))
    except FileNotFoundError:
        return "–"
