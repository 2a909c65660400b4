"""Page Coin: daily scores of one coin, its forecast with the interval, and forecast vs. actual of past days."""

from typing import Any

import pandas as pd
import streamlit as st

from cryptoliq_assets.dashboard import (
    Page,
    charts,
    escape_markdown,
    format_number,
    load_coin,
    load_forecasts,
    make_score_column,
    render_page,
    show_chart,
    show_empty_state,
    show_metrics,
    zero_below_precision,
)
from cryptoliq_assets.dashboard.data_sources import Source
from cryptoliq_assets.forecasting import describe_row_quality

PAGE = Page("Coin", icon=":material/show_chart:", order=20)

_NUMERIC = ["liquidity_score", "price", "24h_volume", "mkt_cap"]
_COLUMNS = {
    "target_date": st.column_config.TextColumn("Date"),
    "liquidity_score": make_score_column("Forecast"),
    "lower": make_score_column("Lower"),
    "upper": make_score_column("Upper"),
    "realised": make_score_column("Actual"),
    "error": make_score_column("Error", help="forecast minus actual"),
    "inside": st.column_config.CheckboxColumn(
        "Within interval", help="whether the actual score is within the prediction interval"
    ),
    "model_version": st.column_config.TextColumn("Model"),
}


def show(source: Source) -> None:
    """Draw the page."""
    summary, coins = load_forecasts(source)
    if not summary["count"]:
        show_empty_state(source)
        return
    names = coins.sort_values(["rank", "coin"], na_position="last")["coin"].tolist()
    if source.home is not None:
        names += [name for name in source.home.list_stale_coins() if name not in set(names)]
    name = st.selectbox(
        "Coin",
        names,
        key="coin",
        bind="query-params",
        help="Largest market cap first; coins missing from the newest snapshot are last.",
    )
    coin = load_coin(source, name)
    if coin is None:
        st.info(f"Unknown coin “{escape_markdown(name)}”. Names are as in the snapshot files.")
        return
    history = pd.DataFrame(coin["history"])
    history[_NUMERIC] = history[_NUMERIC].astype(float)
    symbol = coin["symbol"]
    st.subheader(f"{escape_markdown(name)} ({escape_markdown(symbol)})" if symbol else escape_markdown(name))
    _show_latest(coin, summary)
    past = select_first_forecasts(coin["forecasts"])
    latest = coin["latest"]
    drawn = past if latest is None else past[past["target_date"] < latest["target_date"]]
    show_chart(charts.draw_coin_history(history, drawn, latest), key="history")
    _show_past(past[past["realised"].notna()])
    left, right = st.columns(2)
    with left:
        show_chart(
            charts.draw_lines(history, {"price": "price"}, title="Price", y_title="USD", form=",.6g"), key="price"
        )
    with right:
        amounts = {"24h_volume": "24h volume"} | ({"mkt_cap": "market cap"} if history["mkt_cap"].notna().any() else {})
        show_chart(
            charts.draw_lines(history, amounts, title="Volume and market cap", y_title="USD", logarithmic=True),
            key="volume",
        )


def _show_latest(coin: dict[str, Any], summary: dict[str, Any]) -> None:
    latest = coin["latest"]
    if latest is None:
        st.info(
            f"No forecast: the coin is missing from the snapshot of {summary['date']}. Last seen "
            f"{coin['history'][-1]['date']}; the page shows its history up to that date."
        )
        return
    show_metrics(
        {
            f"Forecast, {latest['target_date']}": format_number(latest["liquidity_score"]),
            "Interval": f"{format_number(latest['lower'])} to {format_number(latest['upper'])}",
            "Current score": format_number(latest["today"]),
            "Change": format_number(latest["change"], "+.3f"),
            "Deviation from 30-day mean": format_number(latest["below_mean"], "+.3f"),
        }
    )
    if note := describe_row_quality(filled=latest["filled"], outlier=latest["outlier"]):
        st.caption(f"Snapshot of {latest['date']}: {note}.")


def select_first_forecasts(forecasts: list[dict[str, Any]]) -> pd.DataFrame:
    """Select the first forecast of each target date, as forecast accuracy does: later ones had more data.

    Args:
        forecasts: Forecasts of one coin, as in `views.build_coin_view`.

    Returns:
        One row per target date, in ascending order.
    """
    columns = ["target_date", "made_at", "liquidity_score", "lower", "upper", "realised", "model_version"]
    frame = pd.DataFrame(forecasts, columns=["date", *columns]).astype({"realised": float})
    return frame.sort_values("made_at", kind="stable").drop_duplicates("target_date").sort_values("target_date")


def _show_past(realised: pd.DataFrame) -> None:
    st.subheader("Forecast vs. actual")
    if realised.empty:
        st.caption("No actual value for a forecast of this coin yet: it needs a snapshot of the target date.")
        return
    table = realised.assign(
        error=zero_below_precision(realised["liquidity_score"] - realised["realised"]),
        inside=realised["realised"].between(realised["lower"], realised["upper"]),
    )
    newest_first = table.sort_values("target_date", ascending=False)
    height = min(35 * (len(newest_first) + 1) + 3, 360)
    st.dataframe(newest_first[list(_COLUMNS)], column_config=_COLUMNS, hide_index=True, height=height, key="past")
    # Below the table: above it, on a phone the toolbar of the table would cover the text.
    st.caption(
        f"{len(table):,} days: mean absolute error {table['error'].abs().mean():.3f}, {table['inside'].mean():.0%} within "
        "interval."
    )


if __name__ == "__main__":
    render_page(PAGE, show)
