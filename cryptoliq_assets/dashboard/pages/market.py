"""The market: the newest forecasts, who moves, and who is forecast furthest below its own mean."""

import pandas as pd
import streamlit as st

from cryptoliq_assets.dashboard import (
    chart,
    charts,
    figures,
    forecasts,
    nothing_yet,
    page,
    score_column,
    shown,
    text,
    usd_column,
    without_traces,
)
from cryptoliq_assets.dashboard.data_sources import Source
from cryptoliq_assets.forecasting import row_note

_MOVERS = 10
_STRESSED = 15
_COLUMNS = {
    "coin": st.column_config.TextColumn("Coin", pinned=True),
    "symbol": st.column_config.TextColumn("Ticker"),
    "liquidity_score": score_column("Forecast", help="liquidity_score expected on the target date"),
    "lower": score_column("Low", help="lower end of the interval"),
    "upper": score_column("High", help="upper end of the interval"),
    "today": score_column("Score now", help="score of the snapshot that the forecast was made from"),
    "change": score_column("Change", help="forecast less the score now"),
    "mean_30d": score_column("30-day mean", help="mean score of the last 30 days"),
    "below_mean": score_column("To the mean", help="forecast less the 30-day mean"),
    "price": usd_column("Price, USD", exact=True),
    "24h": st.column_config.NumberColumn("24 h, %", format="%.1f"),
    "24h_volume": usd_column("Volume, USD"),
    "mkt_cap": usd_column("Market cap, USD"),
    "rank": st.column_config.NumberColumn("Cap rank", format="%d"),
    "note": st.column_config.TextColumn("Note", help="whether price or volume of the snapshot was filled or replaced"),
}


def show(source: Source) -> None:
    found, coins = forecasts(source)
    if not found["count"]:
        nothing_yet(source)
        return
    st.caption(
        f"Forecasts of liquidity for **{found['target_date']}**, from the snapshot of {found['date']}, by "
        f"{text(found['model_version'])}, made {found['made_at'][:16].replace('T', ' ')} UTC."
    )
    coins = coins.assign(**{name: without_traces(coins[name]) for name in ("change", "below_mean")})
    coins["24h"] = without_traces(coins["24h"], digits=1)
    coins["note"] = [
        row_note(filled=filled, outlier=outlier)
        for filled, outlier in zip(coins["filled"], coins["outlier"], strict=True)
    ]
    below = (coins["below_mean"] < 0).sum() / max(coins["below_mean"].notna().sum(), 1)
    figures(
        {
            "Coins": f"{found['count']:,}",
            "Median forecast": shown(coins["liquidity_score"].median()),
            "Median change": shown(coins["change"].median(), "+.3f"),
            "Below 30-day mean": f"{below:.0%}",
        },
        helps={
            "Below 30-day mean": "share of the coins whose forecast lies below the mean score of their last 30 days"
        },
    )
    _movers(coins)
    _stress(coins)
    st.subheader("All forecasts")
    wanted = st.text_input("Find a coin", placeholder="name or ticker", key="find").strip().casefold()
    ordered = coins.sort_values(["rank", "coin"], na_position="last")
    if wanted:
        fits = ordered["coin"].str.casefold().str.contains(wanted, regex=False)
        ticker = ordered["symbol"].fillna("").str.casefold().str.contains(wanted, regex=False)
        ordered = ordered[fits | ticker]
    st.dataframe(ordered[list(_COLUMNS)], column_config=_COLUMNS, hide_index=True, height=420, key="all")
    chart(charts.spread(coins["liquidity_score"].dropna(), title="Coins by forecast"), key="spread")


def _movers(coins: pd.DataFrame) -> None:
    st.subheader("Movers")
    st.caption("Forecast less the score now: who is expected to gain and to lose most liquidity.")
    changes = coins.dropna(subset=["change"]).set_index("coin")["change"].sort_values(ascending=False)
    up, down = changes[changes > 0].head(_MOVERS), changes[changes < 0][::-1].head(_MOVERS)
    left, right = st.columns(2)
    for place, moved, title, colour in (
        (left, up, "More liquid", charts.GREEN),
        (right, down, "Less liquid", charts.RED),
    ):
        with place:
            if len(moved):
                chart(charts.bars(moved, title=title, x_title="change of the score", colour=colour), key=title)
            else:
                st.caption(f"{title}: no coin.")


def _stress(coins: pd.DataFrame) -> None:
    st.subheader("Stress list")
    worst = coins[coins["below_mean"] < 0].nsmallest(_STRESSED, "below_mean")
    if worst.empty:
        st.caption("No coin's forecast lies below the mean of its last 30 days.")
        return
    st.caption("Coins whose forecast falls furthest below the mean score of their last 30 days.")
    left, right = st.columns(2)
    with left:
        chart(charts.against_mean(worst, title="Forecast against the 30-day mean"), key="stress")
    with right:
        columns = ["coin", "below_mean", "liquidity_score", "24h_volume"]
        st.dataframe(
            worst[columns], column_config=_COLUMNS, hide_index=True, key="stressed", height=35 * (len(worst) + 1) + 3
        )


page("Market", show)
