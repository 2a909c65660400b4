"""What the app's pages share: the source of their numbers, caches, words for what goes wrong and for what is not there yet.

Caches are keyed by what the month files say of themselves, and by the current model: a new snapshot shows at the next
look, without a restart.
"""

import datetime as dt
import logging
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from cryptoliq_assets.core import Settings
from cryptoliq_assets.dashboard.data_sources import Source, source_of
from cryptoliq_assets.dashboard.error_messages import UserFacingError
from cryptoliq_assets.monitoring.service import APP
from cryptoliq_assets.serving import PredictionLog
from cryptoliq_assets.serving.gateway import hash_key

_LOG = logging.getLogger("cryptoliq.app")
_Numbers = TypeVar("_Numbers", pd.Series, pd.DataFrame)
# Signs that Markdown, or Streamlit's own additions to it, would obey.
_OBEYED = re.compile(r"([\\*_{}\[\]<>$~|#!:])")
_DROP = "Drop snapshot files into `data/raw` and run `cryptoliq materialize`, or try `cryptoliq demo`."
_TRAIN = "Snapshots are there, a model is not: `cryptoliq train` makes one."
_FORECAST = "A model is there, forecasts are not: `cryptoliq forecast` makes them."


def page(title: str, show: Callable[[Source], None]) -> None:
    """Run a page; what goes wrong is told in words, and what nobody foresaw goes to the log with its traceback."""
    st.title(title)
    try:
        show(source())
    except UserFacingError as problem:
        tell(problem)
    except Exception as error:
        _LOG.exception("the page %r failed", title)
        settings = Settings()
        if not settings.dashboard.api_url:
            PredictionLog(settings, APP).record_exception(error, doing=f"the page {title}")
        st.error("Something went wrong here that nobody foresaw. The log of `cryptoliq app` says what it was.")


def source() -> Source:
    """The home or the service that the settings name; kept for as long as they say so."""
    settings = Settings()
    key = settings.dashboard.api_key.get_secret_value() if settings.dashboard.api_key else ""
    return _kept_source(
        f"{settings.home_dir} {settings.storage.url} {settings.dashboard.api_url} {hash_key(key)}", settings
    )


@st.cache_resource(max_entries=8, show_spinner=False)
def _kept_source(key: str, _settings: Settings) -> Source:
    return source_of(_settings)


def forecasts(chosen: Source) -> tuple[dict[str, Any], pd.DataFrame]:
    """The newest forecasts: what is said of all of them, and one row a coin."""
    return _forecasts(chosen.key(), chosen)


def coin(chosen: Source, name: str) -> dict[str, Any] | None:
    return _coin(chosen.key(), name, chosen)


def health(chosen: Source) -> dict[str, Any]:
    # Data grows old while nothing is written.
    hour = f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H}"
    return _health(f"{chosen.key()} {chosen.home.key()} {hour}", chosen)


@st.cache_data(max_entries=4, show_spinner="Reading the newest forecasts")
def _forecasts(key: str, _source: Source) -> tuple[dict[str, Any], pd.DataFrame]:
    found = _source.forecasts()
    items = pd.DataFrame(found.pop("items"))
    # A column of nothing but unknown numbers would not be one of numbers.
    numbers = [name for name in items.columns if name not in ("coin", "symbol")]
    return found, items.astype(dict.fromkeys(numbers, float))


@st.cache_data(max_entries=64, show_spinner="Reading the coin's days")
def _coin(key: str, name: str, _source: Source) -> dict[str, Any] | None:
    return _source.coin(name)


@st.cache_data(max_entries=4, show_spinner="Looking through the home")
def _health(key: str, _source: Source) -> dict[str, Any]:
    return _source.home.health()


def nothing_yet(chosen: Source) -> None:
    """What to do where there are no forecasts to show, or no champion to make any."""
    if chosen.home is None:
        st.info(
            f"There is nothing to show yet at {text(chosen.name)}. In its home, `cryptoliq status` says what there is to do."
        )
    elif health(chosen)["newest_snapshot"] is None:
        st.info(f"There is no data yet in {text(chosen.name)}. {_DROP}")
    elif chosen.model() is None:
        st.info(_TRAIN)
    else:
        st.info(_FORECAST)


def needs_champion(chosen: Source) -> bool:
    """True, told in words, where nothing can be forecast because there is no champion yet."""
    if chosen.model() is not None:
        return False
    nothing_yet(chosen)
    return True


def needs_home(chosen: Source) -> bool:
    """True, told in words, where a page has nothing to show because the app runs on a service."""
    if chosen.home is None:
        st.info(
            f"This is read from the home itself, and the app runs on {text(chosen.name)}. Start `cryptoliq app` where the "
            "home is, without `CRYPTOLIQ_DASHBOARD__API_URL`."
        )
    return chosen.home is None


def tell(problem: UserFacingError) -> None:
    lines = [f"**{text(problem.title)}**", text(problem.detail)]
    lines += [f"- {text(name)}: {text(fault)}" if name else f"- {text(fault)}" for name, fault in problem.fields]
    st.error("\n\n".join(line for line in lines if line))


def text(said: str) -> str:
    """Text of any origin as Markdown that shows it and nothing else; what stands in backticks stays code."""
    parts = said.split("`")
    if len(parts) % 2 == 0:
        return _OBEYED.sub(r"\\\1", said.replace("`", "'"))
    return "`".join(part if place % 2 else _OBEYED.sub(r"\\\1", part) for place, part in enumerate(parts))


def figures(values: Mapping[str, str], *, helps: Mapping[str, str] | None = None) -> None:
    """Key figures side by side, as many as fit."""
    with st.container(horizontal=True, gap="xsmall"):
        for name, value in values.items():
            st.metric(name, value, help=(helps or {}).get(name), border=True, width="content")


def chart(figure: go.Figure, *, key: str) -> None:
    st.plotly_chart(figure, width="stretch", key=key, config={"displayModeBar": False, "scrollZoom": False})


def ahead(days: int) -> str:
    """A horizon as it is read."""
    return "1 day ahead" if days == 1 else f"{days} days ahead"


def shown(value: float | None, form: str = ".3f") -> str:
    """A number as it is read, a dash where it is not known."""
    if value is None or value != value:
        return "–"
    said = format(value, form)
    # What rounds to nothing has no sign.
    return said if said.strip("+-0.%") else said.lstrip("+-")


def without_traces(values: _Numbers, *, digits: int = 3) -> _Numbers:
    """Numbers of which those that so many digits show as nothing are 0: a table would show them as -0.000."""
    return values.mask(values.abs() < 0.5 * 10.0**-digits, 0.0)


def score_column(label: str, *, help: str | None = None) -> Any:
    return st.column_config.NumberColumn(label, help=help, format="%.3f")


def usd_column(label: str, *, exact: bool = False) -> Any:
    return st.column_config.NumberColumn(label, format="%.6g" if exact else "compact")
