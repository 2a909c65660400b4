"""Page Market: the newest forecasts, the largest changes, and the largest forecast deterioration."""

import pandas as pd
import streamlit as st

from cryptoliq_assets.dashboard import (
    Page,
    charts,
    escape_markdown,
    format_number,
    load_forecasts,
    make_score_column,
    make_usd_column,
    render_page,
    show_chart,
    show_empty_state,
    show_metrics,
    zero_below_precision,
)
from cryptoliq_assets.dashboard.data_sources import Source
from cryptoliq_assets.forecasting import describe_row_quality

PAGE = Page("Market", icon=":material/water_drop:", order=10)

_MOVERS = 10
_DETERIORATED = 15
_COLUMNS = {
    "coin": st.column_config.TextColumn("Coin", pinned=True),
    "symbol": st.column_config.TextColumn("Ticker"),
    "liquidity_score": make_score_column("Forecast", help="liquidity_score expected on the target date"),
    "lower": make_score_column("Lower", help="lower end of the prediction interval"),
    "upper": make_score_column("Upper", help="upper end of the prediction interval"),
    "today": make_score_column("Current score", help="score in the snapshot that the forecast is based on"),
    "change": make_score_column("Change", help="forecast minus current score"),
    "mean_30d": make_score_column("30-day mean", help="mean score of the last 30 days"),
    "below_mean": make_score_column("Deviation from 30-day mean", help="forecast minus 30-day mean"),
    "price": make_usd_column("Price, USD", exact=True),
    "24h": st.column_config.NumberColumn("24h change, %", format="%.1f"),
    "24h_volume": make_usd_column("24h volume, USD"),
    "mkt_cap": make_usd_column("Market cap, USD"),
    "rank": st.column_config.NumberColumn("Market cap rank", format="%d"),
    "note": st.column_config.TextColumn("Note", help="whether price or volume of the snapshot was filled or replaced"),
}


def show(source: Source) -> None:
    """Draw the page."""
    summary, coins = load_forecasts(source)
    if not summary["count"]:
        show_empty_state(source)
        return
    st.caption(
        f"Liquidity forecasts for **{summary['target_date']}**, from the snapshot of {summary['date']}, by model "
        f"{escape_markdown(summary['model_version'])}, computed {summary['made_at'][:16].replace('T', ' ')} UTC."
    )
    coins = coins.assign(**{name: zero_below_precision(coins[name]) for name in ("change", "below_mean")})
    coins["24h"] = zero_below_precision(coins["24h"], digits=1)
    coins["note"] = [
        describe_row_quality(filled=filled, outlier=outlier)
        for filled, outlier in zip(coins["filled"], coins["outlier"], strict=True)
    ]
    fraction_below = (coins["below_mean"] < 0).sum() / max(coins["below_mean"].notna().sum(), 1)
    show_metrics(
        {
            "Coins": f"{summary['count']:,}",
            "Median forecast": format_number(coins["liquidity_score"].median()),
            "Median change": format_number(coins["change"].median(), "+.3f"),
            "Below 30-day mean": f"{fraction_below:.0%}",
        },
        helps={"Below 30-day mean": "fraction of coins whose forecast is below their mean score of the last 30 days"},
    )
    _show_movers(coins)
    _show_deterioration(coins)
    st.subheader("All forecasts")
    query = st.text_input("Find a coin", placeholder="name or ticker", key="find").strip().casefold()
    ordered = coins.sort_values(["rank", "coin"], na_position="last")
    if query:
        by_name = ordered["coin"].str.casefold().str.contains(query, regex=False)
        by_ticker = ordered["symbol"].fillna("").str.casefold().str.contains(query, regex=False)
        ordered = ordered[by_name | by_ticker]
    st.dataframe(ordered[list(_COLUMNS)], column_config=_COLUMNS, hide_index=True, height=420, key="all")
    show_chart(
        charts.draw_histogram(coins["liquidity_score"].dropna(), title="Distribution of forecasts"), key="spread"
    )


def _show_movers(coins: pd.DataFrame) -> None:
    st.subheader("Movers")
    st.caption("Largest expected gains and losses of liquidity: forecast minus current score.")
    changes = coins.dropna(subset=["change"]).set_index("coin")["change"].sort_values(ascending=False)
    gains, losses = changes[changes > 0].head(_MOVERS), changes[changes < 0][::-1].head(_MOVERS)
    left, right = st.columns(2)
    for column, movers, title, colour in (
        (left, gains, "Gaining liquidity", charts.GREEN),
        (right, losses, "Losing liquidity", charts.RED),
    ):
        with column:
            if len(movers):
                show_chart(
                    charts.draw_bars(movers, title=title, x_title="change of the score", colour=colour), key=title
                )
            else:
                st.caption(f"{title}: no coin.")


def _show_deterioration(coins: pd.DataFrame) -> None:
    st.subheader("Largest forecast deterioration")
    worst = coins[coins["below_mean"] < 0].nsmallest(_DETERIORATED, "below_mean")
    if worst.empty:
        st.caption("No forecast is below the 30-day mean of its coin.")
        return
    st.caption("Coins whose forecast is furthest below their mean score of the last 30 days.")
    left, right = st.columns(2)
    with left:
        show_chart(charts.draw_forecast_vs_mean(worst, title="Forecast vs. 30-day mean"), key="stress")
    with right:
        columns = ["coin", "below_mean", "liquidity_score", "24h_volume"]
        st.dataframe(
            worst[columns], column_config=_COLUMNS, hide_index=True, key="stressed", height=35 * (len(worst) + 1) + 3
        )


if __name__ == "__main__":
    render_page(PAGE, show)
