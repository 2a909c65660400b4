"""A CSV file up, the same with forecasts down, and why rows were refused."""

import hashlib
import io
import re
from typing import Any

import pandas as pd
import streamlit as st

from cryptoliq_assets.core import Settings
from cryptoliq_assets.dashboard import figures, needs_champion, page, score_column, text
from cryptoliq_assets.dashboard.data_sources import ForecastFile, Source

_SHOWN = 500
_ADDED = {
    "liquidity_score": score_column("Forecast"),
    "lower": score_column("Low"),
    "upper": score_column("High"),
    "basis": st.column_config.TextColumn("Rests on", width="small", help="history: the row and the coin's stored days"),
}
# A refused row takes some lines of the page.
_REFUSED_SHOWN = 100
_LINE = re.compile(r"^line (?P<line>\d+): (?P<why>.*)$", re.DOTALL)


def show(source: Source) -> None:
    if needs_champion(source):
        return
    st.caption(
        "Columns as in a snapshot file: coin, date, price, 1h, 24h, 7d, 24h_volume, mkt_cap, of which price and 24h_volume "
        "must be there. Each row is forecast by itself, with its coin's stored days; without a date it is of today."
    )
    given = st.file_uploader("CSV file", type="csv", key="csv", **_limit(source))
    if given is None:
        return
    content = given.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    made = _forecast(source.key(), digest, source, content)
    st.download_button(
        "Download with forecasts",
        made.content,
        file_name=f"{given.name.removesuffix('.csv')}_forecasts.csv",
        mime="text/csv",
        type="primary",
        on_click="ignore",
    )
    if made.unit:
        st.caption(f"1h, 24h and 7d were read as {made.unit}.")
    if made.doubts:
        st.warning(text(made.doubts))
    rows = pd.read_csv(io.BytesIO(made.content), dtype=str, keep_default_na=False)
    refused = rows["reason"] != ""
    figures(
        {
            "Rows": f"{len(rows):,}",
            "Forecast": f"{int((~refused).sum()):,}",
            "With history": f"{int((rows['basis'] == 'history').sum()):,}",
            "Refused": f"{int(refused.sum()):,}",
        }
    )
    if refused.any():
        st.subheader("Refused rows")
        bad = rows[refused].head(_REFUSED_SHOWN)
        # The line that a reason names stands in a column of its own here.
        found = bad["reason"].str.extract(_LINE)
        coins = bad["coin"].map(text) if "coin" in bad else ""
        told = pd.DataFrame(
            {"Line": found["line"].astype(int), "Coin": coins, "Why it was refused": found["why"].map(text)}
        )
        # In cells of one line a reason would be cut off.
        st.table(told, border="horizontal", hide_index=True)
        if len(bad) < int(refused.sum()):
            st.caption(f"The first {_REFUSED_SHOWN} are shown; the download has all.")
    st.subheader("Forecasts")
    good = rows[~refused].head(_SHOWN)
    if good.empty:
        st.caption("No row could be forecast.")
        return
    table = good[[name for name in ("coin", "symbol", "date") if name in good] + list(_ADDED)]
    table = table.astype(dict.fromkeys(("liquidity_score", "lower", "upper"), float))
    names = {name: name.capitalize() for name in ("coin", "date")} | {"symbol": "Ticker"}
    st.dataframe(table, column_config={**names, **_ADDED}, hide_index=True, key="forecast")
    if len(good) < int((~refused).sum()):
        st.caption(f"The first {_SHOWN} are shown; the download has all.")


def _limit(source: Source) -> dict[str, Any]:
    """What the box lets up to a service: as much as that takes. A home takes what the app's own limit lets up."""
    if source.home is not None:
        return {}
    settings = Settings()
    most = max(1, int(min(settings.api.max_body_mib, settings.ingestion.max_file_mib)))
    return {
        "max_upload_size": most,
        "help": "As much as a service takes. Where its `CRYPTOLIQ_API__MAX_BODY_MIB` is another, start the app with the same.",
    }


@st.cache_data(max_entries=4, show_spinner="Forecasting each row")
def _forecast(key: str, digest: str, _source: Source, _content: bytes) -> ForecastFile:
    return _source.predict_csv(_content)


page("CSV file", show)
