"""Components shared by the pages: data source, caches, messages, metrics, number formats.

Add what at least two pages use. Figures belong in `charts.py`, texts of one page in the page.
Cache keys contain the fingerprints of the month files and the current model: a new snapshot shows at the next page load,
without a restart.
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
from cryptoliq_assets.dashboard.data_sources import Source, select_source
from cryptoliq_assets.dashboard.error_messages import UserFacingError
from cryptoliq_assets.dashboard.page_registry import Page
from cryptoliq_assets.monitoring.service import APP
from cryptoliq_assets.serving import PredictionLog
from cryptoliq_assets.serving.gateway import hash_key

_LOG = logging.getLogger("cryptoliq.app")
_Numbers = TypeVar("_Numbers", pd.Series, pd.DataFrame)
# Characters that Markdown, or Streamlit's extensions of it, interpret.
_MARKUP = re.compile(r"([\\*_{}\[\]<>$~|#!:])")
_NO_DATA_HINT = "Drop snapshot files into `data/raw` and run `cryptoliq materialize`, or try `cryptoliq demo`."
_NO_MODEL_HINT = "There are snapshots, but no model: run `cryptoliq train`."
_NO_FORECASTS_HINT = "There is a model, but no forecasts: run `cryptoliq forecast`."


def render_page(page: Page, render: Callable[[Source], None]) -> None:
    """Render a page and show its errors as messages; unexpected ones go to the log with their traceback.

    Args:
        page: What the module declares.
        render: Draws the page from a data source.
    """
    st.title(page.title)
    try:
        render(current_source())
    except UserFacingError as error:
        show_error(error)
    # Last resort: the page shows that it failed, the log has the traceback.
    except Exception as error:
        _LOG.exception("the page %r failed", page.title)
        settings = Settings()
        if not settings.dashboard.api_url:
            PredictionLog(settings, APP).record_exception(error, doing=f"the page {page.title}")
        st.error("Unexpected error. The log of `cryptoliq app` contains the details.")


def current_source() -> Source:
    """Return the data source that the settings name; it is cached until they change."""
    settings = Settings()
    key = settings.dashboard.api_key.get_secret_value() if settings.dashboard.api_key else ""
    return _cached_source(
        f"{settings.home_dir} {settings.storage.url} {settings.storage.files_url} {settings.dashboard.api_url} {hash_key(key)}",
        settings,
    )


@st.cache_resource(max_entries=8, show_spinner=False)
def _cached_source(key: str, _settings: Settings) -> Source:
    return select_source(_settings)


def load_forecasts(source: Source) -> tuple[dict[str, Any], pd.DataFrame]:
    """Load the newest forecasts, cached.

    Args:
        source: Data source.

    Returns:
        The fields common to all forecasts (date, target_date, model_version, made_at, count), and one row per coin.
    """
    return _cached_forecasts(source.cache_key(), source)


def load_coin(source: Source, name: str) -> dict[str, Any] | None:
    """Load history and forecasts of one coin, cached.

    Args:
        source: Data source.
        name: Name of the coin, as in the snapshot files.

    Returns:
        The values of `serving.views.build_coin_view`; None for an unknown coin.
    """
    return _cached_coin(source.cache_key(), name, source)


def load_health(source: Source) -> dict[str, Any]:
    """Load the health of a data directory, cached for at most an hour.

    Args:
        source: Data source with a data directory.

    Returns:
        The values of `serving.home_views.build_health_view`.
    """
    # The age of the data grows although nothing is written.
    hour = f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H}"
    assert source.home is not None
    return _cached_health(f"{source.cache_key()} {source.home.cache_key()} {hour}", source)


@st.cache_data(max_entries=4, show_spinner="Reading the newest forecasts")
def _cached_forecasts(key: str, _source: Source) -> tuple[dict[str, Any], pd.DataFrame]:
    result = _source.load_forecasts()
    items = pd.DataFrame(result.pop("items"))
    # A column with only missing values would otherwise have the type object.
    numeric = [name for name in items.columns if name not in ("coin", "symbol")]
    return result, items.astype(dict.fromkeys(numeric, float))


@st.cache_data(max_entries=64, show_spinner="Reading the history of the coin")
def _cached_coin(key: str, name: str, _source: Source) -> dict[str, Any] | None:
    return _source.load_coin(name)


@st.cache_data(max_entries=4, show_spinner="Checking the data directory")
def _cached_health(key: str, _source: Source) -> dict[str, Any]:
    assert _source.home is not None
    return _source.home.load_health()


def show_empty_state(source: Source) -> None:
    """Show the next step if there are no forecasts yet, or no champion to compute them.

    Args:
        source: Data source without forecasts.
    """
    if source.home is None:
        st.info(
            f"No forecasts yet at {escape_markdown(source.name)}. Run `cryptoliq status` in its data directory to see the "
            "next step."
        )
    elif load_health(source)["newest_snapshot"] is None:
        st.info(f"No data yet in {escape_markdown(source.name)}. {_NO_DATA_HINT}")
    elif source.load_model() is None:
        st.info(_NO_MODEL_HINT)
    else:
        st.info(_NO_FORECASTS_HINT)


def lacks_champion(source: Source) -> bool:
    """Return True if there is no champion to forecast with, after showing the next step."""
    if source.load_model() is not None:
        return False
    show_empty_state(source)
    return True


def lacks_data_directory(source: Source) -> bool:
    """Return True if the app runs on a service, after showing that the page needs a data directory."""
    if source.home is None:
        st.info(
            f"This page needs the data directory, but the app runs on {escape_markdown(source.name)}. Start "
            "`cryptoliq app` on the machine with the data directory, without `CRYPTOLIQ_DASHBOARD__API_URL`."
        )
    return source.home is None


def show_error(error: UserFacingError) -> None:
    """Show an error with its rejected fields, one per line."""
    lines = [f"**{escape_markdown(error.title)}**", escape_markdown(error.detail)]
    lines += [
        f"- {escape_markdown(name)}: {escape_markdown(reason)}" if name else f"- {escape_markdown(reason)}"
        for name, reason in error.fields
    ]
    st.error("\n\n".join(line for line in lines if line))


def escape_markdown(text: str) -> str:
    r"""Escape text of any origin for Markdown; text in backticks remains code.

    Args:
        text: Plain text.

    Returns:
        Markdown that displays the text and nothing else.

    Example:
        >>> print(escape_markdown("a_b `c_d`"))
        a\_b `c_d`
    """
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return _MARKUP.sub(r"\\\1", text.replace("`", "'"))
    return "`".join(part if index % 2 else _MARKUP.sub(r"\\\1", part) for index, part in enumerate(parts))


def show_metrics(values: Mapping[str, str], *, helps: Mapping[str, str] | None = None) -> None:
    """Show key figures next to each other, as many per line as fit.

    Args:
        values: Label to formatted value.
        helps: Label to tooltip.
    """
    with st.container(horizontal=True, gap="xsmall"):
        for name, value in values.items():
            st.metric(name, value, help=(helps or {}).get(name), border=True, width="content")


def show_chart(figure: go.Figure, *, key: str) -> None:
    """Show a figure at the width of its container, without Plotly's toolbar."""
    st.plotly_chart(figure, width="stretch", key=key, config={"displayModeBar": False, "scrollZoom": False})


def format_horizon(days: int) -> str:
    """Format a forecast horizon.

    Example:
        >>> format_horizon(1), format_horizon(7)
        ('1 day ahead', '7 days ahead')
    """
    return "1 day ahead" if days == 1 else f"{days} days ahead"


def format_number(value: float | None, form: str = ".3f") -> str:
    """Format a number; a missing value becomes a dash, and zero has no sign.

    Args:
        value: The number, None or NaN.
        form: Format specification.

    Returns:
        The formatted number.

    Example:
        >>> format_number(-0.0004), format_number(0.25, "+.1%"), format_number(None)
        ('0.000', '+25.0%', '–')
    """
    if value is None or value != value:
        return "–"
    result = format(value, form)
    return result if result.strip("+-0.%") else result.lstrip("+-")


def zero_below_precision(values: _Numbers, *, digits: int = 3) -> _Numbers:
    """Replace numbers that round to zero by 0; a table would otherwise show them as -0.000.

    Args:
        values: Numbers, any shape.
        digits: Decimals that are displayed.

    Returns:
        The numbers, of the same shape.
    """
    return values.mask(values.abs() < 0.5 * 10.0**-digits, 0.0)


def make_score_column(label: str, *, help: str | None = None) -> Any:
    """Return the column configuration of a liquidity score or skill: three decimals."""
    return st.column_config.NumberColumn(label, help=help, format="%.3f")


def make_usd_column(label: str, *, exact: bool = False) -> Any:
    """Return the column configuration of an amount in USD: compact, or exact with six significant digits."""
    return st.column_config.NumberColumn(label, format="%.6g" if exact else "compact")
