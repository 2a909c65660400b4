"""Where the app's numbers come from: a home on this machine, or the service of one. The same methods, the same values.

What goes wrong is told as a `Problem` (`serving/telling.py`).
"""

import datetime as dt
import io
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from pydantic import ValidationError

from cryptoliq_assets.io.places import Place, state_of
from cryptoliq_assets.io.safe_open import read_text
from cryptoliq_assets.io.tables import TableStore
from cryptoliq_assets.models.loading import ModelRefused
from cryptoliq_assets.models.store import store_of
from cryptoliq_assets.monitor.tally import APP
from cryptoliq_assets.monitor.watch import REPORTS
from cryptoliq_assets.serving import home_views, views
from cryptoliq_assets.serving.prediction_log import PredictionLog, Stopwatch, sample_of
from cryptoliq_assets.serving.predictor import DateRefused, NotReady
from cryptoliq_assets.serving.remote import ApiSource, ForecastFile
from cryptoliq_assets.serving.telling import Problem, in_words
from cryptoliq_assets.settings import Settings

if TYPE_CHECKING:
    from cryptoliq_assets.serving.predictor import Predictor


# Not faults of the app: what the input or the home lacks is told to the visitor.
_ABOUT_INPUT = (ValidationError, DateRefused, NotReady, Problem)


class Source(Protocol):
    """Each method may raise Problem. `name` says where the numbers come from; `home` is None for a service."""

    name: str
    home: "HomeViews | None"

    def key(self) -> str:
        """Another text when `forecasts`, `coin` or `model` may answer otherwise than before."""

    def forecasts(self) -> dict[str, Any]:
        """As views.latest_forecasts, all coins."""

    def coin(self, name: str) -> dict[str, Any] | None:
        """As views.coin_view; None for a coin that nobody knows."""

    def model(self) -> dict[str, Any] | None:
        """As views.model_view; None while there is no champion."""

    def predict(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A forecast of one row of the contract's fields, with optional `coin` and `date`."""

    def predict_csv(self, content: bytes) -> ForecastFile:
        """A CSV of rows to forecast, its unit found out."""


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
        with in_words():
            return home_views.models_view(self._settings)

    def health(self) -> dict[str, Any]:
        with in_words():
            return home_views.health_view(self._settings, self._store)

    def stale(self) -> list[str]:
        """Coins that were seen in the last 90 days and are not in the newest snapshot."""
        return home_views.stale_coins(self._settings)

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
        self.name = f"the home {settings.home}"
        self.home: HomeViews | None = HomeViews(settings)

    def key(self) -> str:
        """Of what the month files say of their days, and of which model is current, by what pointer."""
        months = [
            (table, month, stamp.inputs, *stamp.in_order)
            for table in ("forecasts", "cleaned_snapshots", "engineered_features", "labels")
            for month in self._store.months(table)
            if (stamp := self._store.stamp(table, month))
        ]
        return f"{self._settings.home} {store_of(self._settings).pointer()} {hash(tuple(months)):x}"

    def forecasts(self) -> dict[str, Any]:
        with in_words():
            return views.latest_forecasts(self._settings, self._store)

    def coin(self, name: str) -> dict[str, Any] | None:
        with in_words():
            return views.coin_view(self._settings, self._store, name)

    def model(self) -> dict[str, Any] | None:
        with in_words():
            return views.model_view(self._settings)

    def predict(self, body: Mapping[str, Any]) -> dict[str, Any]:
        from cryptoliq_assets.serving.contract import request_of

        with in_words(), self._log.watching("a what-if", expected=_ABOUT_INPUT):
            watch = Stopwatch()
            request = request_of(body)
            predictor = self._ready()
            [answer] = predictor.answers([request])
            sample = [{"inputs": request, "output": answer}]
            scores = np.array([answer["liquidity_score"]])
            self._log.note_predictions(
                "single", predictor.held.champion, scores, sample=sample, seconds=watch.seconds()
            )
            return answer

    def predict_csv(self, content: bytes) -> ForecastFile:
        from cryptoliq_assets.serving.batch import ADDED_COLUMNS, InputRefused, predict_content

        with in_words(), self._log.watching("a CSV file", expected=(*_ABOUT_INPUT, InputRefused)):
            watch = Stopwatch()
            held = self._ready().held
            outcome, chunks = predict_content(
                content,
                champion=held.champion,
                settings=self._settings,
                today=dt.datetime.now(dt.UTC).date(),
                history=held.history_from,
            )
            made = b"".join(chunks)
            sample = sample_of(io.TextIOWrapper(io.BytesIO(made), encoding="utf-8", newline=""), added=ADDED_COLUMNS)
            refused = sum(outcome.refused.values())
            self._log.note_predictions(
                "csv", held.champion, outcome.scores, sample=sample, seconds=watch.seconds(), refused=refused
            )
            return ForecastFile(made, outcome.unit, "; ".join(outcome.doubts))

    def _ready(self) -> "Predictor":
        """The predictor with the present champion and history; several sessions ask for it, the first one loads."""
        if self._version() is None:
            raise Problem("There is no champion yet", "`cryptoliq train` makes one from the labelled months.")
        with self._lock:
            if self._predictor is None:
                from cryptoliq_assets.serving.predictor import Predictor

                self._predictor = Predictor(self._settings)
            self._predictor.refresh()
        if self._predictor.held is None:
            raise ModelRefused(self._predictor.problem)
        self._log.note_load(self._predictor.held.champion)
        return self._predictor

    def _version(self) -> str | None:
        return store_of(self._settings).current_version()


def _state(path: Place) -> str:
    try:
        return repr(state_of(path))
    except FileNotFoundError:
        return "–"


def source_of(settings: Settings) -> Source:
    """The service where the settings name one, else the home."""
    if settings.api_url:
        return ApiSource(settings.api_url, settings.api_key.get_secret_value() if settings.api_key else None)
    return LocalSource(settings)
