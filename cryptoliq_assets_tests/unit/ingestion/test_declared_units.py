"""Declared units: read from every row, checked and reported, but not stored as a column."""

import pytest

from cryptoliq_assets.ingestion.parsing import ParsedSnapshot, parse_snapshot
from cryptoliq_assets.ingestion.parsing.accepted_rows import ROWS_SCHEMA
from cryptoliq_assets_tests.support.csv_snapshots import (
    BITCOIN,
    ETHEREUM,
    FIRST,
    HEADER,
    NAME,
    TETHER,
    TODAY,
    table,
)

# From the sizes of its values this row would be inferred as fractions.
CALM = "Bitcoin,BTC,40000,0.01,-0.02,0.05,2e10,8e11,2022-03-16"


def parse(*lines: str, header: str = f"{HEADER},change_unit", **options: object) -> ParsedSnapshot:
    return parse_snapshot(table(*lines, header=header).encode(), name=NAME, today=TODAY, first_date=FIRST, **options)


@pytest.mark.parametrize(("unit", "change"), [("percent", -0.02), ("fraction", -2.0)])
def test_a_declared_unit_is_used_and_reported(unit: str, change: float) -> None:
    parsed = parse(f"{CALM}, {unit} ")
    assert parsed.rows.schema == ROWS_SCHEMA
    assert parsed.rows["24h"].to_pylist() == [change]
    report = parsed.report
    assert (report["unit"], report["unit_certain"], report["ignored_columns"]) == (unit, True, [])
    assert report["unit_found_by"] == f"the file's column change_unit is {unit}"


def test_rows_with_different_units_reject_the_file() -> None:
    parsed = parse(f"{BITCOIN},percent", f"{ETHEREUM},percent", f"{TETHER},fraction")
    assert (parsed.rows, parsed.report["refusal_code"]) == (None, "bad_change_unit")
    assert parsed.rejection == (
        "line 4: change_unit is 'fraction'; expected percent or fraction, the same in every row of the file; "
        "the rows before it have 'percent'"
    )


@pytest.mark.parametrize("unit", ["permille", "%", "Percent", "percent;"])
def test_an_unknown_unit_rejects_the_file(unit: str) -> None:
    parsed = parse(f"{BITCOIN},{unit}", f"{ETHEREUM},{unit}")
    assert parsed.report["refusal_code"] == "bad_change_unit"
    assert parsed.rejection.startswith(f"line 2: change_unit is '{unit}'; expected percent or fraction")


def test_a_rejected_row_without_unit_rejects_the_file() -> None:
    parsed = parse(f"{BITCOIN},percent", f"{ETHEREUM.replace('2700', '-1')},")
    assert parsed.rejection.startswith("line 3: change_unit is ''")


def test_an_empty_unit_column_declares_nothing() -> None:
    report = parse(f"{BITCOIN},", f"{ETHEREUM},").report
    assert (report["accepted"], report["unit"]) == (True, "percent")
    assert "below -1" in report["unit_found_by"]


def test_a_disproven_declared_unit_rejects_the_file() -> None:
    parsed = parse(f"{BITCOIN},fraction", f"{ETHEREUM},fraction")
    assert parsed.report["refusal_code"] == "unit_conflict"
    assert "change_unit is fraction" in parsed.rejection
    assert "24h is percent (2 of 2 values of 24h are below -1)" in parsed.rejection


def test_a_duplicate_unit_column_rejects_the_file() -> None:
    parsed = parse(f"{BITCOIN},percent,percent", header=f"{HEADER},change_unit,change_unit")
    assert parsed.report["refusal_code"] == "doubled_columns"


def test_a_declared_unit_in_a_file_overrides_the_setting() -> None:
    assert parse(f"{CALM},percent", change_unit="fraction").report["unit"] == "percent"
