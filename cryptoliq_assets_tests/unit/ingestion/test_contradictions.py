"""Contradictions: stated values that differ from those derived from the other columns."""

import pytest

from cryptoliq_assets_tests.support.market_files import market, parse, price_change, ratio, with_columns


def test_consistent_stated_values_are_used() -> None:
    parsed = parse(with_columns(liquidity_ratio=lambda row: ratio(row) * 1.009, price_change_24h=price_change))
    assert parsed.report["contradicted_cells"] == parsed.report["derived_cells"] == {}
    assert parsed.rows["liquidity_ratio"][0].as_py() == ratio(market()[0]) * 1.009


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("price_change_24h", lambda row: row["24h"]),
        ("price_change_24h", lambda row: 3 * price_change(row)),
        ("price_change_24h", lambda row: -price_change(row)),
        ("liquidity_ratio", lambda row: 0.9),
        ("liquidity_ratio", lambda row: 1 / ratio(row)),
        ("liquidity_ratio", lambda row: 100 * ratio(row)),
    ],
)
def test_a_contradicting_column_rejects_the_file_with_examples(column, value) -> None:
    rows = with_columns(**{column: value})
    report = parse(rows).report
    assert report["refusal_code"] == "contradiction"
    assert report["refusal"].count("states") == report["refusal"].count("(derived ") == 3
    derived = {"liquidity_ratio": ratio, "price_change_24h": price_change}[column]
    assert f"{float(rows[0][column]):.6g} (derived {derived(rows[0]):.6g})" in report["refusal"]


def test_some_contradicting_values_are_derived_and_counted() -> None:
    rows = with_columns(liquidity_ratio=ratio, price_change_24h=price_change)
    for row in rows[:15]:
        row["liquidity_ratio"] = "37.8"
    parsed = parse(rows)
    assert parsed.report["contradicted_cells"] == parsed.report["derived_cells"] == {"liquidity_ratio": 15}
    assert parsed.rows["liquidity_ratio"].to_pylist() == pytest.approx([ratio(row) for row in rows])
    [issue] = parsed.report["issues"]
    assert "in 15 of 40 rows" in issue
    assert "states 37.8" in issue


def test_a_rounded_column_does_not_reject_the_file() -> None:
    rows = with_columns(
        liquidity_ratio=lambda row: round(ratio(row), 2), price_change_24h=lambda row: round(price_change(row), 2)
    )
    report = parse(rows).report
    assert report["accepted"]
    assert report["contradicted_cells"]["liquidity_ratio"] > 20


def test_a_constant_factor_is_reported() -> None:
    assert (
        "(all by a factor of 1e-06)"
        in parse(with_columns(liquidity_ratio=lambda row: ratio(row) / 1e6)).report["refusal"]
    )
