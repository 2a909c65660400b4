"""One coin: its days, its forecast with the interval, and what earlier forecasts said of days that have come."""

import pandas as pd
import streamlit as st

from cryptoliq_assets.dashboard import (
    chart,
    charts,
    coin,
    figures,
    forecasts,
    nothing_yet,
    page,
    score_column,
    shown,
    text,
    without_traces,
)
from cryptoliq_assets.dashboard.data_sources import Source
from cryptoliq_assets.forecasting import row_note

_COLUMNS = {
    "target_date": st.column_config.TextColumn("Day"),
    "liquidity_score": score_column("Forecast"),
    "lower": score_column("Low"),
    "upper": score_column("High"),
    "realised": score_column("Came"),
    "error": score_column("Error", help="forecast less what came"),
    "inside": st.column_config.CheckboxColumn("Inside", help="what came lies inside the interval"),
    "model_version": st.column_config.TextColumn("Model"),
}


def show(source: Source) -> None:
    found, coins = forecasts(source)
    if not found["count"]:
        nothing_yet(source)
        return
    names = coins.sort_values(["rank", "coin"], na_position="last")["coin"].tolist()
    if source.home is not None:
        names += [name for name in source.home.stale() if name not in set(names)]
    name = st.selectbox(
        "Coin",
        names,
        key="coin",
        bind="query-params",
        help="Largest first; those not in the newest snapshot at the end.",
    )
    seen = coin(source, name)
    if seen is None:
        st.info(f"Nobody knows a coin named “{text(name)}” here. Names are those of the snapshot files.")
        return
    history = pd.DataFrame(seen["history"])
    history[["liquidity_score", "price", "24h_volume", "mkt_cap"]] = history[
        ["liquidity_score", "price", "24h_volume", "mkt_cap"]
    ].astype(float)
    st.subheader(f"{text(name)} ({text(seen['symbol'])})" if seen["symbol"] else text(name))
    _latest(seen, found)
    past = first_said(seen["forecasts"])
    ahead = seen["latest"]
    came = past[past["realised"].notna()]
    shown_past = past if ahead is None else past[past["target_date"] < ahead["target_date"]]
    chart(charts.coin_history(history, shown_past, ahead), key="history")
    _past(came)
    left, right = st.columns(2)
    with left:
        chart(charts.lines(history, {"price": "price"}, title="Price", y_title="USD", form=",.6g"), key="price")
    with right:
        amounts = {"24h_volume": "24h volume"} | ({"mkt_cap": "market cap"} if history["mkt_cap"].notna().any() else {})
        chart(
            charts.lines(history, amounts, title="Volume and market cap", y_title="USD", logarithmic=True), key="volume"
        )


def _latest(seen: dict, found: dict) -> None:
    latest = seen["latest"]
    if latest is None:
        st.info(
            f"Not forecast: it is not in the snapshot of {found['date']}. Last seen {seen['history'][-1]['date']}; its "
            "days up to then are shown."
        )
        return
    figures(
        {
            f"Forecast, {latest['target_date']}": shown(latest["liquidity_score"]),
            "Interval": f"{shown(latest['lower'])} to {shown(latest['upper'])}",
            "Score now": shown(latest["today"]),
            "Change": shown(latest["change"], "+.3f"),
            "To 30-day mean": shown(latest["below_mean"], "+.3f"),
        }
    )
    if note := row_note(filled=latest["filled"], outlier=latest["outlier"]):
        st.caption(f"Snapshot of {latest['date']}: {note}.")


def first_said(forecasts: list[dict]) -> pd.DataFrame:
    """The first forecast of each target date, as accuracy counts it: later ones knew more."""
    columns = ["target_date", "made_at", "liquidity_score", "lower", "upper", "realised", "model_version"]
    frame = pd.DataFrame(forecasts, columns=["date", *columns]).astype({"realised": float})
    return frame.sort_values("made_at", kind="stable").drop_duplicates("target_date").sort_values("target_date")


def _past(came: pd.DataFrame) -> None:
    st.subheader("Past forecasts against what came")
    if came.empty:
        st.caption("No forecast of this coin has come true yet: it takes a snapshot of the day forecast.")
        return
    table = came.assign(
        error=without_traces(came["liquidity_score"] - came["realised"]),
        inside=came["realised"].between(came["lower"], came["upper"]),
    )
    newest = table.sort_values("target_date", ascending=False)
    height = min(35 * (len(newest) + 1) + 3, 360)
    st.dataframe(newest[list(_COLUMNS)], column_config=_COLUMNS, hide_index=True, height=height, key="past")
    # Below the table: above it, a phone's toolbar for the table would lie on the words.
    st.caption(
        f"{len(table):,} days: mean absolute error {table['error'].abs().mean():.3f}, {table['inside'].mean():.0%} inside "
        "their interval."
    )


page("Coin", show)
