"""A formula that would fail or score nothing in a run is rejected where it is declared, with what to write."""

import numpy as np
import pytest

from cryptoliq_assets.labels import FORMULA_COLUMNS, Formula
from cryptoliq_assets.labels.formula import _SAMPLE_ROW

COMPLETE = {
    "name": "range",
    "description": "Minus ln of the range relative to the close.",
    "source": "doi:10.1093/rfs/hhx084",
    "lo": 0.0,
    "hi": 10.0,
    "columns": ("high_24h", "low_24h", "price"),
    "log_liquidity": lambda columns: -np.log((columns["high_24h"] - columns["low_24h"]) / columns["price"]),
}


def declare(**changed) -> Formula:
    return Formula(**{**COMPLETE, **changed})


def test_a_complete_formula_is_accepted():
    assert declare().row_columns == ("24h_volume", "24h", "7d", "high_24h", "low_24h", "price")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"description": ""},
            r"'range' has no description; in its entry of FORMULAS in .*liquidity\.py use description=",
        ),
        ({"source": " "}, "has no source; .* use source="),
        ({"name": ""}, "has no name; .* use name="),
        ({"lo": 10.0}, "has lo 10 and hi 10; .* use lo=… below hi=…"),
        ({"hi": float("nan")}, "has lo 0 and hi nan"),
        ({"columns": ("high_24h", "low_24h", "close")}, r"declares the unknown column\(s\) close"),
        (
            {"columns": ("high_24h", "low_24h")},
            r"reads 'price', which it does not declare; .* use columns=\(\"high_24h\", \"low_24h\", \"price\", \)",
        ),
        ({"log_liquidity": lambda columns: 1.0}, r"returns float of shape \(\) for two rows"),
        ({"log_liquidity": lambda columns: columns["price"][:1]}, r"returns ndarray of shape \(1,\) for two rows"),
        ({"log_liquidity": lambda columns: columns["price"] > 1}, "for two rows; .* use a function that returns ln L"),
        ({"log_liquidity": lambda columns: columns.price}, "fails on a row: AttributeError"),
        ({"log_liquidity": lambda: 1}, "fails on a row: TypeError"),
    ],
)
def test_an_incomplete_formula_fails_with_what_to_write(changed, message):
    with pytest.raises(ValueError, match=message):
        declare(**changed)


def test_the_sample_row_has_every_column_a_formula_may_read():
    assert set(_SAMPLE_ROW) == set(FORMULA_COLUMNS)
