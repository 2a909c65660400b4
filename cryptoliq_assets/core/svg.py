"""Small plots as SVG text: lines and bars, without scripts, style sheets or external fonts.

A plot is a string that is embedded in a page as it is, or in Markdown as an image (`svg_as_markdown`).
"""

import base64
import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt

# Okabe and Ito's colours, which colour-blind readers can distinguish (jfly.uni-koeln.de/color).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555")
_WIDTH, _HEIGHT = 640, 280
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 38, 40
_LABEL_WIDTH = 220
_BAR = 20
# A character of the 12 px sans-serif font, on average.
_CHARACTER = 6.4


def line_plot(
    x: Sequence[object],
    lines: Mapping[str, Sequence[float] | npt.NDArray[Any]],
    *,
    title: str,
    x_label: str = "",
    y_label: str = "",
    points: bool = False,
    diagonal: bool = False,
) -> str:
    """Draw lines over a common x.

    Args:
        x: Numbers, or anything else as evenly spaced labels.
        lines: Values by name of the line; NaN interrupts a line.
        title: Title, for screen readers.
        x_label: Label of the horizontal axis.
        y_label: Label of the vertical axis.
        points: Whether to mark each value.
        diagonal: Whether to draw the line y = x, on which a forecast equals the actual value.

    Raises:
        ValueError: Lengths differ.
    """
    for name, values in lines.items():
        if len(values) != len(x):
            raise ValueError(f"{name} has {len(values)} values for {len(x)} x values")
    numeric = all(isinstance(place, (int, float, np.number)) for place in x)
    places = [float(str(place)) for place in x] if numeric else [float(index) for index in range(len(x))]
    known = [float(value) for values in lines.values() for value in values if math.isfinite(value)]
    low, high, steps = _axis(known + (places if diagonal and numeric else []))
    x_low, x_high = (min(places), max(places)) if places else (0.0, 1.0)

    def across(value: float) -> float:
        return _LEFT + (value - x_low) / ((x_high - x_low) or 1.0) * (_WIDTH - _LEFT - _RIGHT)

    def up(value: float) -> float:
        return _HEIGHT - _BOTTOM - (value - low) / ((high - low) or 1.0) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [_grid(up(step), _number(step)) for step in steps]
    for place, label in _x_labels(x, places, numeric=numeric):
        # A label at the right end must not exceed the image.
        anchor = "end" if across(place) + len(label) * _CHARACTER / 2 > _WIDTH else "middle"
        parts.append(_text(across(place), _HEIGHT - _BOTTOM + 18, label, anchor=anchor))
    if diagonal:
        first, last = max(low, x_low), min(high, x_high)
        parts.append(
            f'<line x1="{across(first):.1f}" y1="{up(first):.1f}" x2="{across(last):.1f}" y2="{up(last):.1f}" '
            'stroke="#999" stroke-dasharray="4 4"/>'
        )
    for colour, values in zip(_colours(len(lines)), lines.values(), strict=True):
        drawn = [(across(place), up(float(value))) for place, value in zip(places, values, strict=True)]
        parts += [_path(run, colour) for run in _runs(drawn)]
        if points:
            parts += [
                f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3.5" fill="{colour}"/>' for a, b in drawn if math.isfinite(b)
            ]
    parts += _legend(list(lines)) if len(lines) > 1 else []
    parts.append(_text((_WIDTH + _LEFT) / 2, _HEIGHT - 3, x_label, anchor="middle", colour="#555"))
    parts.append(_text(4, 13, y_label, colour="#555"))
    return _svg(parts, title=title, height=_HEIGHT)


def bar_plot(
    bars: Mapping[str, float], *, title: str, mark: float | None = None, unit: str = "", logarithmic: bool = False
) -> str:
    """Draw horizontal bars from zero, with their values.

    Args:
        bars: Values by label; NaN draws no bar.
        title: Title, for screen readers.
        mark: Value of a dashed line, such as a target.
        unit: Text after each value.
        logarithmic: Whether lengths are ln(1 + |value|), for when one bar would otherwise dwarf the others.
    """
    values = [float(value) for value in bars.values() if math.isfinite(value)]

    def length(value: float) -> float:
        return math.copysign(math.log1p(abs(value)), value) if logarithmic else value

    low, high, _ = _axis([0.0, *map(length, values), *([length(mark)] if mark is not None else [])])
    right = _WIDTH - _RIGHT - 64

    def across(value: float) -> float:
        return _LABEL_WIDTH + (length(value) - low) / ((high - low) or 1.0) * (right - _LABEL_WIDTH)

    height = 12 + _BAR * len(bars) + 10
    parts, base = [], across(0.0)
    for row, (label, value) in enumerate(bars.items()):
        y = 12 + row * _BAR
        parts.append(_text(_LABEL_WIDTH - 8, y + 13, label, anchor="end"))
        if math.isfinite(value):
            left, width = min(base, across(value)), abs(across(value) - base)
            colour = COLOURS[0] if value >= 0 else COLOURS[1]
            parts.append(f'<rect x="{left:.1f}" y="{y + 2}" width="{width:.1f}" height="{_BAR - 6}" fill="{colour}"/>')
            parts.append(_text(max(base, across(value)) + 6, y + 13, f"{_number(value)}{unit}"))
        else:
            parts.append(_text(base + 6, y + 13, "–"))
    if mark is not None:
        at = across(mark)
        parts.append(
            f'<line x1="{at:.1f}" y1="8" x2="{at:.1f}" y2="{height - 8}" stroke="{COLOURS[1]}" stroke-width="1.5" stroke-dasharray="4 3"/>'
        )
    return _svg(parts, title=title, height=height)


def svg_as_markdown(svg: str, *, name: str) -> str:
    """Return a plot as a Markdown image, as the UI of Dagster shows it."""
    return f"![{name}](data:image/svg+xml;base64,{base64.b64encode(svg.encode('utf-8')).decode('ascii')})"


def _svg(parts: list[str], *, title: str, height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img" font-family="sans-serif" font-size="12"><title>{escape(title)}</title>'
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", colour: str = "#222") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>' if text else ""


def _grid(y: float, label: str) -> str:
    line = f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}" stroke="#e4e4e4"/>'
    return line + _text(_LEFT - 6, y + 4, label, anchor="end", colour="#555")


def _legend(names: list[str]) -> list[str]:
    """Names in their colours, right-aligned in the top line."""
    parts, x = [], float(_WIDTH - _RIGHT)
    for colour, name in reversed(list(zip(_colours(len(names)), names, strict=True))):
        x -= len(name) * _CHARACTER + 22
        parts.append(f'<rect x="{x:.1f}" y="7" width="12" height="4" fill="{colour}"/>')
        parts.append(_text(x + 16, 13, name))
    return parts


def _path(run: list[tuple[float, float]], colour: str) -> str:
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in run)
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.8"/>'


def _runs(drawn: list[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    """Segments of two or more points between missing values."""
    runs: list[list[tuple[float, float]]] = [[]]
    for place, value in drawn:
        if math.isfinite(value):
            runs[-1].append((place, value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if len(run) > 1]


def _x_labels(x: Sequence[object], places: list[float], *, numeric: bool) -> list[tuple[float, str]]:
    if numeric:
        _, _, steps = _axis(places)
        return [(step, _number(step)) for step in steps if places and min(places) <= step <= max(places)]
    every = max(1, math.ceil(len(places) / 6))
    return [
        (place, str(label)) for index, (place, label) in enumerate(zip(places, x, strict=True)) if index % every == 0
    ]


def _axis(values: list[float]) -> tuple[float, float, list[float]]:
    """Ends of an axis that contains the values, and about five round steps between them."""
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if high - low < 1e-12:
        low, high = low - 0.5, high + 0.5
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return first * step, last * step, [index * step for index in range(first, last + 1)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{round(value, 10) + 0.0:.4g}"


def _colours(count: int) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(count)]
