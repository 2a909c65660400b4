"""Figures of the dashboard: frames and plain values in, Plotly figures out.

Add a figure that a page shows. Streamlit and the loading of values do not belong here.
Names come from files: a figure displays them as text, never as markup.
"""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from cryptoliq_assets.core import COLOURS
from cryptoliq_assets.dashboard.chart_layout import apply_layout, format_date_axis, format_label, format_tick, log_ticks

BLUE, RED, GREEN = COLOURS[0], COLOURS[1], COLOURS[2]
_BAND = "rgba(213, 94, 0, 0.15)"
_GREY = "#888888"
_BAR_PIXELS = 26


def draw_bars(values: pd.Series, *, title: str, x_title: str, colour: str = BLUE, form: str = "%{x:+.3f}") -> go.Figure:
    """Draw horizontal bars with their values, the first on top.

    Args:
        values: Numbers, indexed by the label of the bar.
        title: Title of the figure.
        x_title: Title of the value axis.
        colour: Colour of the bars.
        form: Plotly template of a value.

    Returns:
        The figure.
    """
    names = [format_label(name) for name in values.index]
    figure = go.Figure(
        go.Bar(
            x=values.to_numpy(),
            # Positions, because two names may be equal once they are shortened.
            y=list(range(len(values))),
            orientation="h",
            marker_color=colour,
            texttemplate=form,
            textposition="outside",
            cliponaxis=False,
            customdata=[escape(str(name)) for name in values.index],
            hovertemplate=f"%{{customdata}}: {form}<extra></extra>",
        )
    )
    figure.update_yaxes(tickvals=list(range(len(values))), ticktext=names, autorange="reversed", automargin=True)
    low, high = min(0.0, values.min()), max(0.0, values.max())
    # Space for the values beyond the ends of the bars.
    room = 0.25 * ((high - low) or 1.0)
    figure.update_xaxes(
        title=x_title, range=[low - room if low < 0 else 0, high + room if high > 0 else 0], nticks=5, zeroline=True
    )
    return apply_layout(figure, title, height=110 + _BAR_PIXELS * len(values))


def draw_forecast_vs_mean(coins: pd.DataFrame, *, title: str) -> go.Figure:
    """Draw each coin's 30-day mean and forecast, connected by a line.

    Args:
        coins: One row per coin with coin, liquidity_score (the forecast) and mean_30d.
        title: Title of the figure.

    Returns:
        The figure.
    """
    positions = list(range(len(coins)))
    names = [escape(str(name)) for name in coins["coin"]]
    figure = go.Figure()
    ends = zip(positions, coins["mean_30d"], coins["liquidity_score"], strict=True)
    line = {"color": _GREY, "width": 2}
    # All at once: added one by one, Plotly would search the earlier shapes for each new one.
    figure.update_layout(
        shapes=[
            {"type": "line", "x0": mean, "x1": score, "y0": position, "y1": position, "line": line}
            for position, mean, score in ends
        ]
    )
    for column, label, colour, symbol in (
        ("mean_30d", "30-day mean", BLUE, "circle-open"),
        ("liquidity_score", "forecast", RED, "circle"),
    ):
        figure.add_scatter(
            x=coins[column],
            y=positions,
            mode="markers",
            name=label,
            marker={"color": colour, "symbol": symbol, "size": 10, "line": {"width": 2, "color": colour}},
            customdata=names,
            hovertemplate=f"%{{customdata}}, {label}: %{{x:.3f}}<extra></extra>",
        )
    figure.update_yaxes(
        tickvals=positions,
        ticktext=[format_label(name) for name in coins["coin"]],
        autorange="reversed",
        automargin=True,
    )
    figure.update_xaxes(title="liquidity score", nticks=6)
    return apply_layout(figure, title, height=140 + _BAR_PIXELS * len(coins), legend=True)


def draw_histogram(
    scores: pd.Series, *, title: str, mark: float | None = None, band: tuple[float, float] | None = None
) -> go.Figure:
    """Draw the distribution of liquidity scores over coins.

    Args:
        scores: One score per coin.
        title: Title of the figure.
        mark: Score of one forecast to mark with a line.
        band: Lower and upper end of its interval.

    Returns:
        The figure.
    """
    figure = go.Figure(
        go.Histogram(x=scores, nbinsx=40, marker_color=BLUE, hovertemplate="%{x}: %{y} coins<extra></extra>")
    )
    if band:
        figure.add_vrect(x0=band[0], x1=band[1], fillcolor=_BAND, line_width=0)
    if mark is not None:
        figure.add_vline(x=mark, line_color=RED, line_width=2)
    figure.update_xaxes(title="liquidity score", nticks=6)
    figure.update_yaxes(title="coins", nticks=5)
    figure.update_layout(bargap=0.05)
    return apply_layout(figure, title, height=300)


def draw_coin_history(history: pd.DataFrame, past: pd.DataFrame, ahead: Mapping[str, Any] | None) -> go.Figure:
    """Draw a coin's daily score, the forecasts of those days with their intervals, and the next forecast.

    Args:
        history: One row per day with date and liquidity_score.
        past: One row per past forecast with target_date, liquidity_score, lower and upper.
        ahead: The same four values of the next forecast; None without one.

    Returns:
        The figure.
    """
    figure = go.Figure()
    if len(past):
        # One bar per day, so that a gap in the forecasts remains a gap.
        figure.add_bar(
            x=past["target_date"],
            y=past["upper"] - past["lower"],
            base=past["lower"],
            marker_color=_BAND,
            name="interval",
            hoverinfo="skip",
        )
    days = history.set_index(pd.DatetimeIndex(history["date"]))["liquidity_score"].asfreq("D")
    figure.add_scatter(
        x=days.index,
        y=days,
        mode="lines",
        name="score",
        line={"color": BLUE, "width": 2},
        hovertemplate="%{x|%Y-%m-%d}: score %{y:.3f}<extra></extra>",
    )
    figure.add_scatter(
        x=past["target_date"],
        y=past["liquidity_score"],
        mode="markers",
        name="past forecast",
        marker={"color": RED, "size": 5},
        hovertemplate="%{x|%Y-%m-%d}: forecast %{y:.3f}<extra></extra>",
    )
    if ahead is not None:
        figure.add_scatter(
            x=[ahead["target_date"]],
            y=[ahead["liquidity_score"]],
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [ahead["upper"] - ahead["liquidity_score"]],
                "arrayminus": [ahead["liquidity_score"] - ahead["lower"]],
                "thickness": 2,
                "width": 6,
            },
            mode="markers",
            name="next forecast",
            marker={"color": RED, "size": 11, "symbol": "diamond"},
            hovertemplate="%{x|%Y-%m-%d}: forecast %{y:.3f}<extra></extra>",
        )
    format_date_axis(figure)
    figure.update_yaxes(title="liquidity score", nticks=6)
    figure.update_layout(bargap=0)
    return apply_layout(figure, "", height=420, legend=True)


def draw_lines(
    frame: pd.DataFrame,
    columns: Mapping[str, str],
    *,
    title: str,
    y_title: str,
    logarithmic: bool = False,
    form: str = ".4g",
) -> go.Figure:
    """Draw columns over time; a missing day is a gap.

    Args:
        frame: One row per day with `date` and the columns.
        columns: Column to legend label.
        title: Title of the figure.
        y_title: Title of the value axis.
        logarithmic: Whether the value axis is logarithmic.
        form: Format of a value in the tooltip.

    Returns:
        The figure.
    """
    days = frame.set_index(pd.DatetimeIndex(frame["date"])).asfreq("D")
    figure = go.Figure()
    for (column, label), colour in zip(columns.items(), COLOURS, strict=False):
        figure.add_scatter(
            x=days.index,
            y=days[column],
            # A day between two gaps has no line, only a marker.
            mode="lines+markers",
            name=label,
            line={"color": colour, "width": 2},
            marker={"size": 4},
            hovertemplate=f"%{{x|%Y-%m-%d}}: {label} %{{y:{form}}}<extra></extra>",
        )
    format_date_axis(figure)
    figure.update_yaxes(title=y_title, nticks=5, exponentformat="B")
    if logarithmic:
        ticks = log_ticks(frame[list(columns)])
        figure.update_yaxes(type="log", tickvals=ticks, ticktext=[format_tick(tick) for tick in ticks])
    return apply_layout(figure, title, height=280, legend=len(columns) > 1)


def draw_daily_bars(frame: pd.DataFrame, column: str, *, title: str, y_title: str) -> go.Figure:
    """Draw one vertical bar per day; a missing day is a gap.

    Args:
        frame: One row per day with `date` and the column.
        column: Name of the column.
        title: Title of the figure.
        y_title: Title of the value axis, and unit in the tooltip.

    Returns:
        The figure.
    """
    figure = go.Figure(
        go.Bar(
            x=pd.DatetimeIndex(frame["date"]),
            y=frame[column],
            marker_color=BLUE,
            hovertemplate=f"%{{x|%Y-%m-%d}}: %{{y:,}} {y_title}<extra></extra>",
        )
    )
    format_date_axis(figure)
    figure.update_yaxes(title=y_title, nticks=5, tickformat=",")
    return apply_layout(figure, title, height=260)


def draw_grouped_bars(
    values: Mapping[str, Sequence[float | None]], labels: Sequence[str], *, title: str, y_title: str
) -> go.Figure:
    """Draw bars in groups: one group per name, one colour per label.

    Args:
        values: Name of the group to one value per label; None is missing.
        labels: Legend labels.
        title: Title of the figure.
        y_title: Title of the value axis.

    Returns:
        The figure.
    """
    figure = go.Figure()
    for index, label in enumerate(labels):
        figure.add_bar(
            x=[format_label(name) for name in values],
            y=[series[index] for series in values.values()],
            name=label,
            marker_color=COLOURS[index % len(COLOURS)],
            hovertemplate=f"%{{x}}, {label}: %{{y:.3f}}<extra></extra>",
        )
    figure.update_yaxes(title=y_title, nticks=6)
    return apply_layout(figure, title, height=340, legend=True)
