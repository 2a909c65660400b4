"""Self-contained HTML pages: no scripts, no external resources."""

from collections.abc import Callable, Collection, Iterable
from html import escape
from typing import Any

import pandas as pd

_STYLE = """
:root { color-scheme: light; }
body { max-width: 980px; margin: 24px auto 64px; padding: 0 20px; background: #fff; color: #222;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 26px; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 18px; margin: 34px 0 8px; padding-bottom: 4px; border-bottom: 1px solid #ddd; }
p { margin: 6px 0; } p.note { color: #555; font-size: 13.5px; }
.key { display: flex; flex-wrap: wrap; gap: 10px; margin: 16px 0; }
.key div { background: #f3f6f9; border-radius: 6px; padding: 8px 14px; }
.key b { display: block; font-size: 20px; } .key span { color: #555; font-size: 13px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 10px 0; font-size: 13.5px; }
th { text-align: right; padding: 4px 10px; border-bottom: 2px solid #bbb; vertical-align: bottom; font-weight: 600; }
td { text-align: right; padding: 3px 10px; border-bottom: 1px solid #eee; font-variant-numeric: tabular-nums; }
th.text, td.text { text-align: left; } td, th.text, th.fold { white-space: nowrap; } td.long { white-space: normal; overflow-wrap: anywhere; }
tr.chosen td { background: #eef5fb; font-weight: 600; }
svg { max-width: 100%; height: auto; }
"""


def html_page(title: str, parts: Iterable[str]) -> str:
    """Return a complete page of parts that are HTML already; UTF-8."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}'
        f"</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


def html_note(text: str) -> str:
    """Return a paragraph in small print."""
    return f'<p class="note">{escape(text)}</p>\n'


def html_key_figures(figures: Iterable[tuple[str, str]]) -> str:
    """Return the key figures of a page: pairs of name and value."""
    return (
        '<div class="key">'
        + "".join(f"<div><b>{escape(v)}</b><span>{escape(k)}</span></div>" for k, v in figures)
        + "</div>"
    )


def html_table(
    frame: pd.DataFrame,
    *,
    shown: Callable[[object, Any], str],
    long: Collection[str] = (),
    chosen: str | None = None,
) -> str:
    """Render a frame as a table, text left-aligned.

    Args:
        frame: Rows to show.
        shown: Formats a value, given its column.
        long: Columns that may wrap.
        chosen: First cell of the rows to highlight.
    """
    if frame.empty:
        return "<p>none</p>"
    text = [frame[name].dtype == object or isinstance(frame[name].dtype, pd.StringDtype) for name in frame]
    classes = [
        f' class="text{" long" if name in long else ""}"' if is_text else ""
        for name, is_text in zip(frame, text, strict=True)
    ]
    # Headings such as "fold 1" do not wrap.
    heads = [
        ' class="fold"' if str(name).startswith("fold ") else kind for name, kind in zip(frame, classes, strict=True)
    ]
    head = "".join(f"<th{kind}>{escape(str(name))}</th>" for name, kind in zip(frame, heads, strict=True))
    lines = []
    for row in frame.itertuples(index=False):
        cells = zip(frame.columns, row, classes, strict=True)
        line = "".join(f"<td{kind}>{escape(shown(name, value))}</td>" for name, value, kind in cells)
        lines.append(f"<tr{' class=chosen' if chosen is not None and row[0] == chosen else ''}>{line}</tr>")
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>\n'
