"""Imputation: invalid values become null, short gaps are filled and flagged, and every dropped row is counted."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from cryptoliq_assets.cleaning.imputation import CleaningReport, clean_snapshots
from cryptoliq_assets.schemas.tables import TABLES
from cryptoliq_assets.storage.validation import validate_table
from cryptoliq_assets_tests.support.frames import day, raw_rows

NAN = np.nan


def clean(rows: list[dict[str, Any]], *, since: int = 1, until: int = 31) -> tuple[pd.DataFrame, CleaningReport]:
    return clean_snapshots(raw_rows(rows), since=day(since), until=day(until))


def days_of(cleaned: pd.DataFrame) -> list[int]:
    return [1 + (date - day(1)).days for date in cleaned["date"]]


@pytest.mark.parametrize("column", ["price", "24h_volume"])
def test_forward_fill_covers_at_most_three_days(column):
    rows = [{"day": 1, column: 42.0}, *({"day": number, column: NAN} for number in (2, 3, 4, 5))]
    cleaned, report = clean(rows)
    assert days_of(cleaned) == [1, 2, 3, 4]
    assert cleaned[column].tolist() == [42.0] * 4
    assert cleaned["filled_forward"].tolist() == [False, True, True, True]
    assert not cleaned["filled_backward"].any()
    assert (report.rows_read, report.rows_kept, report.rows_dropped, report.filled_forward) == (5, 4, 1, 3)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("mkt_cap", 5e-324),
        ("mkt_cap", 1e19),
        ("price", 9.9e-19),
        ("24h_volume", 1e300),
        ("1h", 1.01e18),
        ("7d", 1e308),
        ("liquidity_ratio", 1e200),
        ("price_change_24h", -1e300),
    ],
)
def test_implausible_stored_numbers_become_null_and_are_counted(column, value):
    cleaned, report = clean([{"day": 1, "mkt_cap": NAN}, {"day": 2, "mkt_cap": NAN, column: value}])
    assert report.faults[column] == 1
    assert report.rows_kept == 2
    if column in ("price", "24h_volume"):
        assert cleaned["filled_forward"].tolist() == [False, True]
    else:
        # A derivable value is derived; here only the change in dollars is derivable.
        assert cleaned[column].isna()[1] or abs(cleaned[column][1]) < 1e6
    assert not np.isinf(cleaned.select_dtypes(float)).any(axis=None)


def test_the_three_day_limit_is_in_calendar_days():
    cleaned, report = clean([{"day": 1, "price": 7.0}, {"day": 4, "price": NAN}, {"day": 5, "price": NAN}])
    assert days_of(cleaned) == [1, 4]
    assert cleaned["price"].tolist() == [7.0, 7.0]
    assert report.rows_dropped == 1


def test_backward_fill_covers_one_day():
    cleaned, report = clean([{"day": 1, "price": NAN}, {"day": 2, "price": NAN}, {"day": 3, "price": 9.0}])
    assert days_of(cleaned) == [2, 3]
    assert cleaned["price"].tolist() == [9.0, 9.0]
    assert cleaned["filled_backward"].tolist() == [True, False]
    assert (report.rows_dropped, report.filled_backward, report.filled_forward) == (1, 1, 0)


def test_forward_fill_has_priority_over_backward_fill():
    cleaned, _ = clean([{"day": 1, "price": 1.0}, {"day": 2, "price": NAN}, {"day": 3, "price": 3.0}])
    assert cleaned["price"].tolist() == [1.0, 1.0, 3.0]
    assert cleaned.loc[1, ["filled_forward", "filled_backward"]].tolist() == [True, False]


def test_a_row_filled_from_both_directions_has_both_flags():
    rows = [
        {"day": 1, "24h_volume": NAN, "price": 5.0},
        {"day": 2, "24h_volume": NAN, "price": NAN},
        {"day": 3, "24h_volume": 8.0, "price": 6.0},
    ]
    cleaned, report = clean(rows)
    assert days_of(cleaned) == [2, 3]
    assert cleaned.loc[0, ["price", "24h_volume"]].tolist() == [5.0, 8.0]
    assert cleaned.loc[0, ["filled_forward", "filled_backward"]].all()
    assert (report.filled_forward, report.filled_backward) == (1, 1)


def test_a_filled_cell_is_no_source_for_another():
    rows = [{"day": 1, "price": 4.0}, *({"day": number, "price": NAN} for number in (3, 6))]
    cleaned, _ = clean(rows)
    assert days_of(cleaned) == [1, 3]


def test_a_gap_in_dates_stays_a_gap():
    cleaned, report = clean([{"day": 1}, {"day": 3}, {"day": 10}])
    assert days_of(cleaned) == [1, 3, 10]
    assert report == CleaningReport(3, 3, 0, report.faults)


def test_missing_changes_are_neither_filled_nor_drop_the_row():
    empty = {"1h": NAN, "24h": NAN, "7d": NAN}
    cleaned, report = clean([{"day": 1}, {"day": 2, **empty}, {"day": 3}])
    assert days_of(cleaned) == [1, 2, 3]
    assert cleaned.loc[1, ["1h", "24h", "7d"]].isna().all()
    assert not cleaned[["filled_forward", "filled_backward"]].any(axis=None)
    assert report.filled_forward == 0


@pytest.mark.parametrize("cap", [0.0, NAN])
def test_an_unknown_market_cap_stays_null_and_is_no_fault(cap):
    cleaned, report = clean([{"day": 1, "mkt_cap": 5e9}, {"day": 2, "mkt_cap": cap}])
    assert cleaned["mkt_cap"].tolist() == pytest.approx([5e9, NAN], nan_ok=True)
    assert np.isnan(cleaned.loc[1, "liquidity_ratio"])
    assert report.faults["mkt_cap"] == 0
    assert not cleaned.loc[1, "filled_forward"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("price", 0.0),
        ("price", -1.0),
        ("price", np.inf),
        ("24h_volume", -5.0),
        ("24h_volume", np.inf),
    ],
)
def test_an_impossible_price_or_volume_is_counted_and_filled(column, value):
    cleaned, report = clean([{"day": 1, column: 11.0}, {"day": 2, column: value}])
    assert cleaned[column].tolist() == [11.0, 11.0]
    assert cleaned["filled_forward"].tolist() == [False, True]
    assert report.faults[column] == 1
    assert sum(report.faults.values()) == 1


@pytest.mark.parametrize(
    ("column", "value"),
    [("mkt_cap", -3.0), ("24h", -100.1), ("7d", -250.0), ("1h", -np.inf), ("mkt_cap", np.inf)],
)
def test_an_impossible_cap_or_change_is_counted_and_not_filled(column, value):
    cleaned, report = clean([{"day": 1}, {"day": 2, column: value}])
    assert np.isnan(cleaned.loc[1, column])
    assert report.faults[column] == 1
    assert not cleaned["filled_forward"].any()


def test_a_volume_of_0_and_a_fall_of_100_percent_are_valid():
    cleaned, report = clean([{"day": 1, "24h_volume": 0.0, "24h": -100.0}])
    assert cleaned.loc[0, ["24h_volume", "24h"]].tolist() == [0.0, -100.0]
    assert np.isnan(cleaned.loc[0, "price_change_24h"])
    assert sum(report.faults.values()) == 0


def test_a_cell_is_filled_only_from_its_own_coin():
    rows = [{"coin": coin, "day": number} for coin in ("Aaa", "Ccc") for number in (1, 2)]
    cleaned, report = clean([*rows, {"coin": "Bbb", "day": 1, "price": NAN}, {"coin": "Bbb", "day": 2, "price": NAN}])
    assert cleaned["coin"].tolist() == ["Aaa", "Aaa", "Ccc", "Ccc"]
    assert report.rows_dropped == 2


def test_two_coins_with_one_symbol_do_not_fill_each_other():
    rows = [
        {"coin": "THORChain", "symbol": "RUNE", "day": 1},
        {"coin": "Rune", "symbol": "RUNE", "day": 2, "price": NAN},
    ]
    cleaned, _ = clean(rows)
    assert cleaned["coin"].tolist() == ["THORChain"]


def test_derived_columns_of_a_filled_row_use_the_filled_values():
    rows = [
        {"day": 1, "price": 200.0, "24h_volume": 3e6, "liquidity_ratio": 0.003, "price_change_24h": 1.98},
        {"day": 2, "price": NAN, "24h_volume": 5e6, "24h": 25.0, "liquidity_ratio": 0.9, "price_change_24h": 0.9},
    ]
    cleaned, _ = clean(rows)
    assert cleaned.loc[0, ["liquidity_ratio", "price_change_24h"]].tolist() == [0.003, 1.98]
    # 5e6 / 1e9, and 200 - 200 / 1.25
    assert cleaned.loc[1, ["liquidity_ratio", "price_change_24h"]].tolist() == pytest.approx([0.005, 40.0])


def test_a_missing_turnover_is_derived_and_a_stated_one_stays():
    cleaned, _ = clean([{"day": 1, "24h_volume": 2e6}, {"day": 2, "24h_volume": 2e6, "liquidity_ratio": 0.07}])
    assert cleaned["liquidity_ratio"].tolist() == pytest.approx([0.002, 0.07])


def test_rows_around_the_range_fill_cells_but_are_not_returned():
    rows = [{"day": 1, "price": 3.0}, {"day": 4, "price": NAN}, {"day": 5, "price": NAN}, {"day": 6, "price": 8.0}]
    cleaned, report = clean(rows, since=4, until=5)
    assert days_of(cleaned) == [4, 5]
    assert cleaned["price"].tolist() == [3.0, 8.0]
    assert (report.rows_read, report.filled_forward, report.filled_backward) == (2, 1, 1)


def test_no_rows_give_no_rows():
    cleaned, report = clean_snapshots(raw_rows([{"day": 1}]).head(0), since=day(1), until=day(31))
    assert list(cleaned.columns) == TABLES["cleaned_snapshots"].columns
    assert report.rows_read == report.rows_kept == report.rows_dropped == len(cleaned) == 0


CELLS = st.sampled_from([NAN, 0.0, -1.0, 1.0, 2.0, 3.0, np.inf])
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "coin": st.sampled_from(["Aaa", "Bbb"]),
            "day": st.integers(1, 14),
            "price": CELLS,
            "24h_volume": CELLS,
            "mkt_cap": CELLS,
            "24h": st.sampled_from([NAN, -300.0, 1.5]),
        }
    ),
    min_size=1,
    max_size=24,
    unique_by=lambda row: (row["coin"], row["day"]),
)


@settings(max_examples=150)
@given(ROWS, st.integers(1, 14), st.integers(1, 14))
def test_each_row_is_kept_or_dropped_and_invents_no_value(rows, first, second):
    since, until = min(first, second), max(first, second)
    cleaned, report = clean(rows, since=since, until=until)
    assert report.rows_read == report.rows_kept + report.rows_dropped
    assert report.rows_read == sum(since <= row["day"] <= until for row in rows)
    assert report.rows_kept == len(cleaned)
    raw = {(row["coin"], row["day"]): row for row in rows}
    for coin, number, row in zip(cleaned["coin"], days_of(cleaned), cleaned.to_dict("records"), strict=True):
        source = raw[coin, number]
        filled = row["filled_forward"] or row["filled_backward"]
        valid = {"price": 0 < source["price"] < np.inf, "24h_volume": 0 <= source["24h_volume"] < np.inf}
        assert filled != all(valid.values())
        for name in ("price", "24h_volume"):
            candidates = [raw[coin, n][name] for n in range(number - 3, number + 2) if (coin, n) in raw]
            assert row[name] == source[name] if valid[name] else row[name] in candidates
    validate_table(TABLES["cleaned_snapshots"], cleaned, where="test")


@settings(max_examples=100)
@given(ROWS, st.integers(1, 14), st.integers(0, 5))
def test_a_range_with_margins_equals_the_full_table(rows, since, length):
    until = since + length
    with_margins = [row for row in rows if since - 3 <= row["day"] <= until + 1]
    full, _ = clean(rows, since=since, until=until)
    if not with_margins:
        assert full.empty
        return
    part, _ = clean(with_margins, since=since, until=until)
    pd.testing.assert_frame_equal(part.astype({"coin": str}), full.astype({"coin": str}), check_categorical=False)
