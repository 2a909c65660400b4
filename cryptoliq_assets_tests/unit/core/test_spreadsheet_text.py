"""Text cells of CSV output: no cell is a formula, the original text is recoverable, and numbers stay numbers."""

import pandas as pd
import pytest
from hypothesis import example, given, strategies as st

from cryptoliq_assets.core.spreadsheet_text import neutralize, neutralize_frame, neutralize_unless_number


@pytest.mark.parametrize(
    "sign", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠", " =", "\t=", "\u3000＝"]
)
def test_a_formula_cell_gets_an_apostrophe(sign):
    assert neutralize(f"{sign}1+1") == f"'{sign}1+1"
    assert neutralize(f"'{sign}1+1") == f"''{sign}1+1"


@pytest.mark.parametrize("cell", ["", "Bitcoin", "a=b", "'tis", "1+1", "é", "币安"])
def test_an_ordinary_text_cell_is_unchanged(cell):
    assert neutralize(cell) == cell


@pytest.mark.parametrize("cell", ["-1.5", "+2", "-.5", " -1e-7 ", "-inf", "1.", "-1E+5"])
def test_a_number_is_unchanged(cell):
    assert neutralize_unless_number(cell) == cell


@pytest.mark.parametrize("cell", ["-1+1", "=1", "--1", "+1 +cmd|' /C calc'!A0", "-١"])
def test_a_cell_that_only_starts_like_a_number_is_text(cell):
    assert neutralize_unless_number(cell) == f"'{cell}"


@given(cells=st.lists(st.text(), unique=True))
@example(cells=["=a", "'=a", "''=a", "a"])
def test_neutralizing_is_injective_and_reversible(cells):
    neutralized = [neutralize(cell) for cell in cells]
    assert len(set(neutralized)) == len(cells)
    assert all(after in (cell, f"'{cell}") for cell, after in zip(cells, neutralized, strict=True))


def test_text_columns_and_names_change_and_numbers_do_not():
    frame = pd.DataFrame({"=a": pd.Series(["=1", None, "b"]), "n": [-1.5, 2.0, None]})
    frame["c"] = pd.Categorical(["@x", "'@x", "y"])
    frame["s"] = pd.Series(["-z", None, "z"], dtype="string")
    neutralized = neutralize_frame(frame)
    assert list(neutralized) == ["'=a", "n", "c", "s"]
    assert neutralized["'=a"].tolist()[::2] == ["'=1", "b"]
    assert neutralized["'=a"].isna().tolist() == neutralized["s"].isna().tolist() == [False, True, False]
    assert neutralized["c"].tolist() == ["'@x", "''@x", "y"]
    assert neutralized["s"].tolist()[0] == "'-z"
    pd.testing.assert_series_equal(neutralized["n"], frame["n"])
    assert list(frame) == ["=a", "n", "c", "s"]
