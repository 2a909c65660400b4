"""Layout shared by the figures: labels, ticks, date axis, margins.

Add what several figures of `charts.py` use. A figure itself does not belong here.
"""

from html import escape

import numpy as np
import pandas as pd
import plotly.graph_objects as go

_MAX_LABEL_CHARACTERS = 18
_MAX_TICKS = 6
_SIZE_SUFFIXES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))


def format_label(name: object) -> str:
    """Format a name as a label: shortened if it is long, and escaped.

    Example:
        >>> format_label("<b>Bitcoin</b>"), format_label("Wrapped Liquid Staked Ether")
        ('&lt;b&gt;Bitcoin&lt;/b&gt;', 'Wrapped Liquid St…')
    """
    text = str(name)
    return escape(text if len(text) <= _MAX_LABEL_CHARACTERS else text[: _MAX_LABEL_CHARACTERS - 1] + "…")


def log_ticks(values: pd.DataFrame) -> list[float]:
    """Return the ticks of a logarithmic axis: powers of ten if two are in range, otherwise also 2 and 5 times those.

    Args:
        values: The numbers on the axis, any shape; only finite positive ones count.

    Returns:
        The ticks in ascending order; none without positive numbers.
    """
    # Plotly's own ticks are `2` and `5` between `1B` and `10B`.
    numbers = values.to_numpy(dtype=float)
    numbers = numbers[np.isfinite(numbers) & (numbers > 0)]
    if not len(numbers):
        return []
    low, high = numbers.min(), numbers.max()
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.floor(np.log10(high)) + 2)
    in_range = [float(power) for power in powers if low <= power <= high]
    if len(in_range) >= 2:
        return in_range[:: 1 + len(in_range) // _MAX_TICKS]
    return [float(step * power) for power in powers for step in (1.0, 2.0, 5.0)]


def format_tick(value: float) -> str:
    """Format a tick with the suffix of its size.

    Example:
        >>> format_tick(2e10), format_tick(500.0)
        ('20B', '500')
    """
    for size, suffix in _SIZE_SUFFIXES:
        if value >= size:
            return f"{value / size:g}{suffix}"
    return f"{value:g}"


def format_date_axis(figure: go.Figure) -> None:
    """Format the horizontal axis as dates."""
    figure.update_xaxes(type="date", tickformat="%d %b\n%Y", nticks=6)


def apply_layout(figure: go.Figure, title: str, *, height: int, legend: bool = False) -> go.Figure:
    """Apply title, size, margins and legend, the same for all figures.

    Args:
        figure: The figure; it is changed.
        title: Title; empty for none.
        height: Height in pixels.
        legend: Whether the legend is shown.

    Returns:
        The figure.
    """
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
