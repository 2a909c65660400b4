"""The app's figures: frames and plain values in, Plotly figures out. No Streamlit here.

Names come from files: a figure shows them as they are, never as markup.
"""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from cryptoliq_assets.core import COLOURS

BLUE, RED, GREEN = COLOURS[0], COLOURS[1], COLOURS[2]
_BAND = "rgba(213, 94, 0, 0.15)"
_GREY = "#888888"
_LONGEST_NAME = 18
_BAR = 26
_SIZES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
_MOST_TICKS = 6


def bars(values: pd.Series, *, title: str, x_title: str, colour: str = BLUE, form: str = "%{x:+.3f}") -> go.Figure:
    """Horizontal bars by the index's names, the first on top, with their values."""
    names = [name_shown(name) for name in values.index]
    figure = go.Figure(
        go.Bar(
            x=values.to_numpy(),
            # Two names may be the same once they are cut.
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
    # Room for the values beyond the ends of the bars.
    room = 0.25 * ((high - low) or 1.0)
    figure.update_xaxes(
        title=x_title, range=[low - room if low < 0 else 0, high + room if high > 0 else 0], nticks=5, zeroline=True
    )
    return _framed(figure, title, height=110 + _BAR * len(values))


def against_mean(coins: pd.DataFrame, *, title: str) -> go.Figure:
    """For each coin its 30-day mean and its forecast, joined by a line. coins: coin, liquidity_score, mean_30d."""
    places = list(range(len(coins)))
    names = [escape(str(name)) for name in coins["coin"]]
    figure = go.Figure()
    ends = zip(places, coins["mean_30d"], coins["liquidity_score"], strict=True)
    line = {"color": _GREY, "width": 2}
    # All at once: added one by one, each would have Plotly look through those before it.
    figure.update_layout(
        shapes=[
            {"type": "line", "x0": mean, "x1": score, "y0": place, "y1": place, "line": line}
            for place, mean, score in ends
        ]
    )
    for column, label, colour, symbol in (
        ("mean_30d", "mean of 30 days", BLUE, "circle-open"),
        ("liquidity_score", "forecast", RED, "circle"),
    ):
        figure.add_scatter(
            x=coins[column],
            y=places,
            mode="markers",
            name=label,
            marker={"color": colour, "symbol": symbol, "size": 10, "line": {"width": 2, "color": colour}},
            customdata=names,
            hovertemplate=f"%{{customdata}}, {label}: %{{x:.3f}}<extra></extra>",
        )
    figure.update_yaxes(
        tickvals=places, ticktext=[name_shown(name) for name in coins["coin"]], autorange="reversed", automargin=True
    )
    figure.update_xaxes(title="liquidity score", nticks=6)
    return _framed(figure, title, height=140 + _BAR * len(coins), legend=True)


def spread(
    scores: pd.Series, *, title: str, mark: float | None = None, band: tuple[float, float] | None = None
) -> go.Figure:
    """How many coins have which score; `mark` and `band` are a forecast of one's own and its interval."""
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
    return _framed(figure, title, height=300)


def coin_history(history: pd.DataFrame, past: pd.DataFrame, ahead: Mapping[str, object] | None) -> go.Figure:
    """Score by day, what was forecast of those days with its intervals, and the forecast that is still open.

    history: date, liquidity_score; past: target_date, liquidity_score, lower, upper; ahead: the same of one day.
    """
    figure = go.Figure()
    if len(past):
        # An interval a day, so that a gap in the forecasts stays a gap.
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
        name="forecast of that day",
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
    _by_day(figure)
    figure.update_yaxes(title="liquidity score", nticks=6)
    figure.update_layout(bargap=0)
    return _framed(figure, "", height=420, legend=True)


def lines(
    frame: pd.DataFrame,
    columns: Mapping[str, str],
    *,
    title: str,
    y_title: str,
    logarithmic: bool = False,
    form: str = ".4g",
) -> go.Figure:
    """Columns by the frame's `date`, labelled; a missing day is a gap."""
    days = frame.set_index(pd.DatetimeIndex(frame["date"])).asfreq("D")
    figure = go.Figure()
    for (column, label), colour in zip(columns.items(), COLOURS, strict=False):
        figure.add_scatter(
            x=days.index,
            y=days[column],
            # A day between two gaps has no line.
            mode="lines+markers",
            name=label,
            line={"color": colour, "width": 2},
            marker={"size": 4},
            hovertemplate=f"%{{x|%Y-%m-%d}}: {label} %{{y:{form}}}<extra></extra>",
        )
    _by_day(figure)
    figure.update_yaxes(title=y_title, nticks=5, exponentformat="B")
    if logarithmic:
        ticks = _log_ticks(frame[list(columns)])
        figure.update_yaxes(type="log", tickvals=ticks, ticktext=[_short(tick) for tick in ticks])
    return _framed(figure, title, height=280, legend=len(columns) > 1)


def columns_by_day(frame: pd.DataFrame, column: str, *, title: str, y_title: str) -> go.Figure:
    """A column a day; a day without one is a gap."""
    figure = go.Figure(
        go.Bar(
            x=pd.DatetimeIndex(frame["date"]),
            y=frame[column],
            marker_color=BLUE,
            hovertemplate=f"%{{x|%Y-%m-%d}}: %{{y:,}} {y_title}<extra></extra>",
        )
    )
    _by_day(figure)
    figure.update_yaxes(title=y_title, nticks=5, tickformat=",")
    return _framed(figure, title, height=260)


def groups(
    values: Mapping[str, Sequence[float | None]], labels: Sequence[str], *, title: str, y_title: str
) -> go.Figure:
    """Bars side by side: one colour a label, one group a name."""
    figure = go.Figure()
    for place, label in enumerate(labels):
        figure.add_bar(
            x=[name_shown(name) for name in values],
            y=[series[place] for series in values.values()],
            name=label,
            marker_color=COLOURS[place % len(COLOURS)],
            hovertemplate=f"%{{x}}, {label}: %{{y:.3f}}<extra></extra>",
        )
    figure.update_yaxes(title=y_title, nticks=6)
    return _framed(figure, title, height=340, legend=True)


def name_shown(name: object) -> str:
    """A name as a label: cut where it is long, and never markup."""
    whole = str(name)
    return escape(whole if len(whole) <= _LONGEST_NAME else whole[: _LONGEST_NAME - 1] + "…")


def _log_ticks(values: pd.DataFrame) -> list[float]:
    """Where a logarithmic axis has its numbers: at powers of ten where two of them lie among the values, else at 1, 2 and 5
    times those. Plotly's own are `2` and `5` between `1B` and `10B`."""
    known = values.to_numpy(dtype=float)
    known = known[np.isfinite(known) & (known > 0)]
    if not len(known):
        return []
    low, high = known.min(), known.max()
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.floor(np.log10(high)) + 2)
    within = [power for power in powers if low <= power <= high]
    if len(within) >= 2:
        return within[:: 1 + len(within) // _MOST_TICKS]
    return [step * power for power in powers for step in (1.0, 2.0, 5.0)]


def _short(value: float) -> str:
    """A tick as `20B`."""
    for size, sign in _SIZES:
        if value >= size:
            return f"{value / size:g}{sign}"
    return f"{value:g}"


def _by_day(figure: go.Figure) -> None:
    figure.update_xaxes(type="date", tickformat="%d %b\n%Y", nticks=6)


def _framed(figure: go.Figure, title: str, *, height: int, legend: bool = False) -> go.Figure:
    figure.update_layout(
        title={"text": title, "font": {"size": 15}, "y": 1.0, "yref": "container", "yanchor": "top", "pad": {"t": 8}},
        height=height,
        margin={"l": 8, "r": 12, "t": (40 if title else 8) + (24 if legend else 0), "b": 8},
        showlegend=legend,
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.0, "yanchor": "bottom"},
        hovermode="closest",
        dragmode=False,
    )
    return figure
