"""Page CSV file: upload rows, download them with forecasts, and see why rows were rejected."""

import hashlib
import io
import re
from typing import Any

import pandas as pd
import streamlit as st

from cryptoliq_assets.core import Settings
from cryptoliq_assets.dashboard import (
    Page,
    escape_markdown,
    lacks_champion,
    make_score_column,
    render_page,
    show_metrics,
)
from cryptoliq_assets.dashboard.data_sources import ForecastFile, Source

PAGE = Page("CSV file", icon=":material/upload_file:", order=40)

_MAX_FORECASTS = 500
_FORECAST_COLUMNS = {
    "liquidity_score": make_score_column("Forecast"),
    "lower": make_score_column("Lower"),
    "upper": make_score_column("Upper"),
    "basis": st.column_config.TextColumn(
        "Inputs used",
        width="small",
        help="history: the row and the coin's stored days; snapshot: the row only",
    ),
}
# A rejected row takes several lines of the page.
_MAX_REJECTED = 100
_REASON = re.compile(r"^line (?P<line>\d+): (?P<reason>.*)$", re.DOTALL)


def show(source: Source) -> None:
    """Draw the page."""
    if lacks_champion(source):
        return
    st.caption(
        "Columns as in a snapshot file: coin, date, price, 1h, 24h, 7d, 24h_volume, mkt_cap; price and 24h_volume are "
        "required. Each row is forecast independently, with the stored days of its coin; a row without a date is for today."
    )
    upload = st.file_uploader("CSV file", type="csv", key="csv", **_make_upload_limit(source))
    if upload is None:
        return
    content = upload.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    result = _forecast_file(source.cache_key(), digest, source, content)
    st.download_button(
        "Download with forecasts",
        result.content,
        file_name=f"{upload.name.removesuffix('.csv')}_forecasts.csv",
        mime="text/csv",
        type="primary",
        on_click="ignore",
    )
    if result.unit:
        st.caption(f"1h, 24h and 7d were read as {result.unit}.")
    if result.doubts:
        st.warning(escape_markdown(result.doubts))
    rows = pd.read_csv(io.BytesIO(result.content), dtype=str, keep_default_na=False)
    is_rejected = rows["reason"] != ""
    show_metrics(
        {
            "Rows": f"{len(rows):,}",
            "Forecast": f"{int((~is_rejected).sum()):,}",
            "With history": f"{int((rows['basis'] == 'history').sum()):,}",
            "Rejected": f"{int(is_rejected.sum()):,}",
        }
    )
    _show_rejected(rows[is_rejected])
    _show_forecasts(rows[~is_rejected])


def _show_rejected(rows: pd.DataFrame) -> None:
    if rows.empty:
        return
    st.subheader("Rejected rows")
    first = rows.head(_MAX_REJECTED)
    # The line number of the reason has its own column here.
    parts = first["reason"].str.extract(_REASON)
    coins = first["coin"].map(escape_markdown) if "coin" in first else ""
    table = pd.DataFrame(
        {"Line": parts["line"].astype(int), "Coin": coins, "Reason": parts["reason"].map(escape_markdown)}
    )
    # A dataframe would cut off the reason: its cells have one line.
    st.table(table, border="horizontal", hide_index=True)
    if len(first) < len(rows):
        st.caption(f"The page shows the first {_MAX_REJECTED}; the download contains all.")


def _show_forecasts(rows: pd.DataFrame) -> None:
    st.subheader("Forecasts")
    first = rows.head(_MAX_FORECASTS)
    if first.empty:
        st.caption("No row could be forecast.")
        return
    table = first[[name for name in ("coin", "symbol", "date") if name in first] + list(_FORECAST_COLUMNS)]
    table = table.astype(dict.fromkeys(("liquidity_score", "lower", "upper"), float))
    labels = {name: name.capitalize() for name in ("coin", "date")} | {"symbol": "Ticker"}
    st.dataframe(table, column_config={**labels, **_FORECAST_COLUMNS}, hide_index=True, key="forecast")
    if len(first) < len(rows):
        st.caption(f"The page shows the first {_MAX_FORECASTS}; the download contains all.")


def _make_upload_limit(source: Source) -> dict[str, Any]:
    """Return the size limit of the upload for a service; for a data directory the app's own limit applies."""
    if source.home is not None:
        return {}
    settings = Settings()
    limit_mib = max(1, int(min(settings.api.max_body_mib, settings.ingestion.max_file_mib)))
    return {
        "max_upload_size": limit_mib,
        "help": "The limit of the service. If its `CRYPTOLIQ_API__MAX_BODY_MIB` differs, start the app with the same value.",
    }


@st.cache_data(max_entries=4, show_spinner="Forecasting each row")
def _forecast_file(key: str, digest: str, _source: Source, _content: bytes) -> ForecastFile:
    return _source.predict_csv(_content)


if __name__ == "__main__":
    render_page(PAGE, show)
