"""Formats of numbers, names and texts on the pages."""

import pytest

from cryptoliq_assets.dashboard.chart_layout import format_label
from cryptoliq_assets.dashboard.components import escape_markdown, format_number


@pytest.mark.parametrize(
    ("value", "form", "expected"),
    [
        (-0.0004, ".3f", "0.000"),
        (0.0004, "+.3f", "0.000"),
        (-0.0006, "+.3f", "-0.001"),
        (-0.004, ".1%", "-0.4%"),
        (-0.0004, ".1%", "0.0%"),
        (None, ".3f", "–"),
        (float("nan"), ".3f", "–"),
    ],
)
def test_number_that_rounds_to_zero_has_no_sign(value, form, expected):
    assert format_number(value, form) == expected


def test_names_are_escaped():
    assert escape_markdown("![x](http://e) `cryptoliq_x` $1$") == "\\!\\[x\\](http\\://e) `cryptoliq_x` \\$1\\$"
    assert "`" not in escape_markdown("one ` only")
    assert format_label("<a href='x'>") == "&lt;a href=&#x27;x&#x27;&gt;"
