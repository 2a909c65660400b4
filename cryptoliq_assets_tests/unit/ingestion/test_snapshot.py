"""Parsing of one raw file: accepted rows, their derived columns and the report."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from cryptoliq_assets.core.atomic_write import to_json
from cryptoliq_assets.ingestion.parsing import read_snapshot_dates
from cryptoliq_assets.ingestion.parsing.accepted_rows import ROWS_SCHEMA
from cryptoliq_assets.schemas.raw import NUMBER_COLUMNS, UNSIGNED_COLUMNS, RawSnapshots
from cryptoliq_assets_tests.support.csv_snapshots import (
    BITCOIN,
    ETHEREUM,
    HEADER,
    TETHER,
    get_only_rejected,
    mutated_files,
    parse,
    table,
)


def test_a_clean_file_is_accepted_with_derived_columns() -> None:
    parsed = parse(table(BITCOIN, ETHEREUM))
    assert parsed.rows.schema == ROWS_SCHEMA
    row = parsed.rows.to_pylist()[0]
    assert (row["coin"], row["date"].isoformat()[:10], row["24h"]) == ("Bitcoin", "2022-03-16", -2.5)
    assert row["liquidity_ratio"] == pytest.approx(0.025)
    assert row["price_change_24h"] == pytest.approx(40000 - 40000 / 0.975)
    report = parsed.report
    assert (report["rows_read"], report["rows_kept"], report["rows_refused"]) == (2, 2, {})
    assert (report["accepted"], report["unit"], report["issues"]) == (True, "percent", [])
    assert report["derived_columns"] == ["liquidity_ratio", "price_change_24h"]
    assert (report["min_date"], report["dates"], report["coins"]) == ("2022-03-16", ["2022-03-16"], 2)


def test_dates_become_datetime64_ns_in_pandas() -> None:
    assert str(parse(table(BITCOIN)).rows.to_pandas()["date"].dtype) == "datetime64[ns]"


def test_fractions_become_percent() -> None:
    row = parse(table(BITCOIN), change_unit="fraction").rows.to_pylist()[0]
    assert (row["1h"], row["24h"], row["7d"]) == (50.0, -250.0, 400.0)


def test_stated_derived_columns_are_used_and_empty_cells_filled() -> None:
    header = HEADER + ",liquidity_ratio,price_change_24h"
    parsed = parse(table(BITCOIN + ",0.0249,-1026", ETHEREUM + ",,", header=header))
    assert parsed.rows["liquidity_ratio"].to_pylist() == [0.0249, pytest.approx(1 / 30)]
    assert parsed.rows["price_change_24h"][0].as_py() == -1026
    assert parsed.report["derived_columns"] == []
    assert parsed.report["derived_cells"] == {"liquidity_ratio": 1, "price_change_24h": 1}


def test_a_market_cap_of_0_is_counted_and_has_no_ratio() -> None:
    parsed = parse(table(BITCOIN.replace("8e11", "0"), ETHEREUM.replace("3e11", "")))
    assert parsed.rows["mkt_cap"].to_pylist() == [0.0, None]
    assert parsed.rows["liquidity_ratio"].to_pylist() == [None, None]
    assert parsed.report["unknown_caps"] == 2


def test_a_fall_of_100_percent_has_no_derived_price_change() -> None:
    parsed = parse(table(BITCOIN.replace("-2.5", "-100"), ETHEREUM.replace("-3.5", "-250")))
    assert parsed.rows["price_change_24h"].to_pylist() == [None, None]


@pytest.mark.parametrize("empty", ["", "NaN", "nan", "NA", "N/A", "null", "NULL", "None", " NaN ", '""'])
def test_every_spelling_of_no_value_is_null_and_counted(empty: str) -> None:
    parsed = parse(table(BITCOIN.replace("40000", empty), ETHEREUM))
    assert parsed.rows["price"].to_pylist() == [None, 2700.0]
    assert parsed.report["empty_cells"]["price"] == 1


@pytest.mark.parametrize("name", ["true", "NaN", "null", "None", "1e5", "2022-03-16", "Größe, 币"])
def test_coins_and_symbols_are_always_text(name: str) -> None:
    parsed = parse(table(f'"{name}","{name}"' + BITCOIN.removeprefix("Bitcoin,BTC")))
    assert (parsed.rows["coin"][0].as_py(), parsed.rows["symbol"][0].as_py()) == (name, name)


def test_an_empty_symbol_is_null() -> None:
    assert parse(table(BITCOIN.replace("BTC", " "))).rows["symbol"].to_pylist() == [None]


def test_whitespace_around_cells_and_names_is_trimmed() -> None:
    parsed = parse(table(BITCOIN.replace(",", " , "), header=HEADER.replace(",", " ,\t")))
    assert parsed.rows.to_pylist() == parse(table(BITCOIN)).rows.to_pylist()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_all_line_ends_give_the_same_rows(end: str) -> None:
    assert parse(table(BITCOIN, ETHEREUM, end=end)).rows.equals(parse(table(BITCOIN, ETHEREUM)).rows)


def test_byte_order_mark_and_blank_lines_are_skipped() -> None:
    parsed = parse(b"\xef\xbb\xbf\n" + table(BITCOIN, "", "   ", ETHEREUM, "").encode())
    assert (parsed.report["rows_read"], parsed.rows.num_rows) == (2, 2)
    assert parsed.report["encoding"] == "utf-8 with byte order mark"


def test_a_quoted_name_may_contain_commas_quotes_line_ends() -> None:
    parsed = parse(table('"The ""One"", or\nTwo"' + BITCOIN.removeprefix("Bitcoin"), "Bad", ETHEREUM))
    assert parsed.rows["coin"].to_pylist() == ['The "One", or\nTwo', "Ethereum"]
    assert get_only_rejected(parsed)["line"] == 4


def test_a_file_of_several_dates_lists_them() -> None:
    parsed = parse(table(BITCOIN, BITCOIN.replace("03-16", "03-14")))
    assert parsed.report["dates"] == ["2022-03-14", "2022-03-16"]
    assert parsed.rows.num_rows == 2


@pytest.mark.parametrize("time", [" 00:00:00", "T00:00:00Z", "T00:00:00.000Z", " 00:00:00+00:00", " 00:00:00 UTC"])
def test_a_date_may_have_a_midnight_time(time: str) -> None:
    assert parse(table(BITCOIN + time)).report["dates"] == ["2022-03-16"]


def test_ignored_columns_are_listed_and_may_repeat() -> None:
    parsed = parse(table("0,x," + BITCOIN + ",y", header=",rank," + HEADER + ",rank"))
    assert parsed.report["ignored_columns"] == ["", "rank", "rank"]
    assert parsed.rows.num_rows == 1


def test_the_order_of_columns_does_not_matter() -> None:
    header, line = (",".join(reversed(text.split(","))) for text in (HEADER, BITCOIN))
    assert parse(table(line, header=header)).rows.equals(parse(table(BITCOIN)).rows)


def test_the_observation_time_is_the_latest_last_updated() -> None:
    lines = (BITCOIN + ",2022-03-16T10:00:00.000Z", ETHEREUM + ",2022-03-16T12:30:00+02:00", TETHER + ",soon")
    report = parse(table(*lines, header=HEADER + ",last_updated")).report
    assert (report["observation_time"], report["ignored_columns"]) == ("2022-03-16T10:30:00+00:00", [])


def test_symbols_shared_by_two_coins_are_listed() -> None:
    parsed = parse(table("Rune B,BTC" + BITCOIN.removeprefix("Bitcoin,BTC"), BITCOIN, ETHEREUM))
    assert parsed.report["shared_symbols"] == {"BTC": ["Bitcoin", "Rune B"]}


def test_zero_volumes_are_counted() -> None:
    assert parse(table(BITCOIN.replace("2e10", "0"), ETHEREUM)).report["zero_volumes"] == 1


def test_the_bounds_of_plausible_numbers_are_accepted() -> None:
    rows = parse(table(BITCOIN.replace("40000", "1e18").replace("2e10", "1e18").replace("8e11", "1e-18"))).rows
    assert (rows["price"][0].as_py(), rows["liquidity_ratio"][0].as_py()) == (1e18, pytest.approx(1e36))


def test_a_row_of_three_megabytes_is_accepted() -> None:
    assert parse(table("x" * 3_000_000 + BITCOIN, ETHEREUM)).rows.num_rows == 2


def check_invariants(content: bytes) -> None:
    """Check that for any content nothing is raised, no row is lost and no accepted row violates the table schema."""
    parsed = parse(content)
    report = json.loads(to_json(parsed.report))
    assert report["rows_read"] == report["rows_kept"] + sum(report["rows_refused"].values())
    assert parsed.rejected_rows.num_rows == sum(report["rows_refused"].values()) - report["rows_refused"].get(
        "file_refused", 0
    )
    assert report["accepted"] == (parsed.rejection is None) == (parsed.rows is not None)
    if parsed.rows is None:
        return
    frame = parsed.rows.to_pandas()
    assert len(frame) == report["rows_kept"] > 0
    assert frame["date"].between("2013-01-01", "2026-01-01").all()
    assert (frame["date"] == frame["date"].dt.normalize()).all()
    assert not frame.duplicated(["coin", "date"]).any()
    assert frame["coin"].map(lambda coin: bool(coin.strip())).all()
    assert frame["symbol"].dropna().map(lambda symbol: bool(symbol.strip())).all()
    assert not np.isinf(frame[list(NUMBER_COLUMNS)].to_numpy()).any()
    assert not (frame[list(UNSIGNED_COLUMNS)] < 0).any(axis=None)
    assert {date.date() for date in frame["date"]} <= read_snapshot_dates(content)


@settings(max_examples=500)
@given(st.binary(max_size=400))
def test_no_bytes_raise_and_no_row_is_lost(content: bytes) -> None:
    check_invariants(content)
    check_invariants(HEADER.encode() + b"\n" + content)


@settings(max_examples=500)
@given(mutated_files())
def test_mutated_files_violate_no_invariant(content: bytes) -> None:
    check_invariants(content)


def test_the_rows_have_the_columns_of_the_raw_schema() -> None:
    columns = list(RawSnapshots.to_schema().columns)
    assert columns == [*ROWS_SCHEMA.names, "source_file", "arrival"]
    assert ROWS_SCHEMA.field("date").type == pa.timestamp("ns")
