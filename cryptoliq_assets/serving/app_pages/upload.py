"""A CSV file up, the same with forecasts down, and why rows were refused."""

import hashlib
import io

import pandas as pd
import streamlit as st

from cryptoliq_assets.serving.app_kit import figures, needs_champion, page, score_column
from cryptoliq_assets.serving.sources import Source

_SHOWN = 500
_ADDED = {
    "liquidity_score": score_column("Forecast"),
    "lower": score_column("Low"),
    "upper": score_column("High"),
    "basis": st.column_config.TextColumn("Rests on", width="small", help="history: the row and the coin's stored days"),
}
_ERRORS = {
    "row": st.column_config.NumberColumn("Row", format="%d", width="small", help="1 is the first below the header"),
    "coin": st.column_config.TextColumn("Coin", width="small"),
    "reason": st.column_config.TextColumn("Why it was refused", width="large"),
}


def show(source: Source) -> None:
    if needs_champion(source):
        return
    st.caption(
        "Columns as in a snapshot file: coin, symbol, date, price, 1h, 24h, 7d, 24h_volume, mkt_cap; liquidity_ratio and "
        "price_change_24h where they are there. Each row is forecast with its coin's stored days."
    )
    given = st.file_uploader("CSV file", type="csv", key="csv")
    if given is None:
        return
    content = given.getvalue()
    made = _forecast(source.key(), hashlib.sha256(content).hexdigest(), source, content)
    st.download_button(
        "Download with forecasts",
        made,
        file_name=f"{given.name.removesuffix('.csv')}_forecasts.csv",
        mime="text/csv",
        type="primary",
        on_click="ignore",
    )
    rows = pd.read_csv(io.BytesIO(made), dtype=str, keep_default_na=False)
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
        bad = rows[refused]
        errors = pd.DataFrame({"row": bad.index + 1, "coin": bad.get("coin", ""), "reason": bad["reason"]})
        st.dataframe(errors.head(_SHOWN), column_config=_ERRORS, hide_index=True, key="errors")
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


@st.cache_data(max_entries=4, show_spinner="Forecasting each row")
def _forecast(key: str, digest: str, _source: Source, _content: bytes) -> bytes:
    return _source.predict_csv(_content)


page("CSV file", show)
