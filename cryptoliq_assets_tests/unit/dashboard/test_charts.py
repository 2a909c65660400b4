"""Ticks and labels of the figures."""

import pandas as pd
import pytest

from cryptoliq_assets.dashboard import charts


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        # Bitcoin's volume and cap: not 2, 5, 100B, 2, 5, 1T, which Plotly would show.
        ([2.1e10, 1.1e11, 9e11, 1.3e12], ["100B", "1T"]),
        ([2.1e9, 7e9], ["1B", "2B", "5B", "10B", "20B", "50B"]),
        ([0.002, 40.0], ["0.01", "0.1", "1", "10"]),
        ([0.0, float("nan")], []),
    ],
)
def test_logarithmic_axis_has_round_numbers(values, expected):
    frame = pd.DataFrame({"date": pd.date_range("2025-01-01", periods=len(values)), "volume": values})
    figure = charts.draw_lines(frame, {"volume": "volume"}, title="", y_title="USD", logarithmic=True)
    assert list(figure.layout.yaxis.ticktext) == expected
