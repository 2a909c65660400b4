"""Where the app's numbers come from: a home on this machine, or the service of one. The same methods, the same values.

What goes wrong is told as a `Problem`: a title, what to do about it, and the fields that were refused.
"""

import datetime as dt
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

import httpx
from pydantic import ValidationError

from cryptoliq_assets.io.tables import TableStore
from cryptoliq_assets.io.validation import TableInvalid
from cryptoliq_assets.models.loading import ModelRefused
from cryptoliq_assets.models.store import store_of
from cryptoliq_assets.serving import home_views, views
from cryptoliq_assets.settings import Settings

if TYPE_CHECKING:
    from cryptoliq_assets.serving.predictor import Predictor

# Forecasts asked of the service at once.
_PAGE = 1_000
# A service is asked again for what it answered longer ago than this.
_FRESH_SECONDS = 30
_SECONDS = 30.0
# A CSV of hundreds of thousands of rows takes its time.
_BATCH_SECONDS = 600.0


class Problem(Exception):
    """What went wrong, for a person; `fields` are (field, what is wrong with it)."""

    def __init__(self, title: str, detail: str = "", fields: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(": ".join(part for part in (title, detail) if part))
        self.title, self.detail, self.fields = title, detail, fields


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

    def predict_csv(self, content: bytes) -> bytes:
        """The CSV with forecasts added, refused rows with the reason."""


class HomeViews:
    """What only a home can tell."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._store = settings, TableStore(settings)

    def key(self) -> str:
        """Another text when reports, ledger or catalogue were written anew."""
        reports, models = self._settings.reports_dir, self._settings.models_dir
        paths = [reports / name for name in ("forecasts.json", "metrics.json", "drift_report.json")]
        paths += [models / "ledger.jsonl", self._settings.catalogue_path]
        return " ".join(str(path.stat().st_mtime_ns) if path.exists() else "–" for path in paths)

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
        return path.read_text(encoding="utf-8") if path.exists() else None


class LocalSource:
    """The home itself. Its predictor keeps champion and history, and loads them anew when either is another."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._store = settings, TableStore(settings)
        self._lock = threading.Lock()
        self._predictor: Predictor | None = None
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
        with in_words():
            return self._ready().answer(dict(body))

    def predict_csv(self, content: bytes) -> bytes:
        from cryptoliq_assets.serving.batch import predict_content

        with in_words():
            held = self._ready().held
            _, chunks = predict_content(
                content,
                champion=held.champion,
                settings=self._settings,
                today=dt.datetime.now(dt.UTC).date(),
                history=held.history_from,
            )
            return b"".join(chunks)

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
        return self._predictor

    def _version(self) -> str | None:
        return store_of(self._settings).current_version()


class ApiSource:
    """A service, asked over HTTP with a key."""

    def __init__(self, url: str, key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = httpx.Client(base_url=url.rstrip("/") + "/", headers=headers, timeout=_SECONDS)
        self.name = f"the service at {self._client.base_url.host}"
        self.home: HomeViews | None = None

    def key(self) -> str:
        return f"{self._client.base_url} {int(time.monotonic() / _FRESH_SECONDS)}"

    def forecasts(self) -> dict[str, Any]:
        whole = self._get("forecasts", limit=_PAGE, offset=0)
        page = whole["items"]
        while page and len(whole["items"]) < whole["count"]:
            page = self._get("forecasts", limit=_PAGE, offset=len(whole["items"]))["items"]
            whole["items"] = whole["items"] + page
        return whole

    def coin(self, name: str) -> dict[str, Any] | None:
        with _spoken():
            # Names hold slashes and question marks; a name is one part of the path.
            answer = self._client.get(f"forecasts/{quote(name, safe='')}")
        return None if answer.status_code == httpx.codes.NOT_FOUND else _answer(answer).json()

    def model(self) -> dict[str, Any] | None:
        with _spoken():
            answer = self._client.get("model")
        return None if answer.status_code == httpx.codes.NOT_FOUND else _answer(answer).json()

    def predict(self, body: Mapping[str, Any]) -> dict[str, Any]:
        with _spoken():
            return _answer(self._client.post("predict", json=dict(body))).json()

    def predict_csv(self, content: bytes) -> bytes:
        with _spoken():
            headers = {"Content-Type": "text/csv"}
            answer = self._client.post("predict/batch", content=content, headers=headers, timeout=_BATCH_SECONDS)
            return _answer(answer).content

    def _get(self, path: str, **asked: int) -> dict[str, Any]:
        with _spoken():
            return _answer(self._client.get(path, params=asked)).json()


def source_of(settings: Settings) -> Source:
    """The service where the settings name one, else the home."""
    if settings.api_url:
        return ApiSource(settings.api_url, settings.api_key.get_secret_value() if settings.api_key else None)
    return LocalSource(settings)


@contextmanager
def in_words() -> Iterator[None]:
    """What a home's tables, models and files refuse, as a Problem."""

    from cryptoliq_assets.serving.batch import InputRefused
    from cryptoliq_assets.serving.predictor import DateRefused, NotReady
    from cryptoliq_assets.serving.problems import faults_in

    try:
        yield
    except ValidationError as error:
        fields = tuple((fault["field"], fault["message"]) for fault in faults_in(error))
        raise Problem("The row is refused", "", fields) from error
    except DateRefused as error:
        raise Problem("The row is refused", str(error), (("date", str(error)),)) from error
    except NotReady as error:
        raise Problem("There is nothing to forecast with", str(error)) from error
    except ModelRefused as error:
        raise Problem(
            "The model was refused", f"{error.reason}. `cryptoliq models verify` checks each; restore it or roll back."
        ) from error
    except TableInvalid as error:
        raise Problem("A table cannot be read", f"{error}\n`cryptoliq materialize` makes stale months anew.") from error
    except InputRefused as error:
        raise Problem("The file was refused", str(error)) from error
    except OSError as error:
        raise Problem("A file cannot be read or written", f"{error.strerror or error}: {error.filename}") from error


@contextmanager
def _spoken() -> Iterator[None]:
    """What goes wrong between here and the service, as a Problem."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise Problem("The service did not answer in time", "Try again, or send fewer rows.") from error
    except httpx.HTTPError as error:
        raise Problem(
            "The service cannot be reached",
            f"{error or type(error).__name__}. Is `cryptoliq serve` running, and is CRYPTOLIQ_API_URL its address?",
        ) from error
    except ValueError as error:
        raise Problem("The service's answer cannot be read", "Is CRYPTOLIQ_API_URL that of cryptoliq?") from error


def _answer(answer: httpx.Response) -> httpx.Response:
    """The answer where it is one; Problem with the words of its problem+json (RFC 9457) otherwise."""
    if answer.is_success:
        return answer
    if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise Problem("The service refused the key", "Set CRYPTOLIQ_API_KEY to a key that it knows.")
    try:
        told = answer.json()
    except ValueError:
        told = {}
    raise _told(told if isinstance(told, dict) else {}, f"The service answered {answer.status_code}")


def _told(told: Mapping[str, Any], otherwise: str) -> Problem:
    """The words of a problem+json value; `otherwise` is its title where it has none."""
    faults = told.get("errors")
    fields = tuple(
        (str(fault.get("field") or ""), str(fault.get("message") or fault.get("detail") or ""))
        for fault in (faults if isinstance(faults, list) else [])
        if isinstance(fault, dict)
    )
    # The fields say what the detail sums up.
    return Problem(str(told.get("title") or otherwise), "" if fields else str(told.get("detail") or ""), fields)
