"""Parsing of one raw file: accepted rows, rejected rows and files, and the report."""

import datetime as dt
import json
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from cryptoliq_assets.core.atomic_write import to_json
from cryptoliq_assets.ingestion.csv import cells as cells_module
from cryptoliq_assets.ingestion.csv.dates import parse_file_date
from cryptoliq_assets.ingestion.csv.header import _is_utf8
from cryptoliq_assets.ingestion.parsing import ParsedSnapshot, parse_snapshot, read_snapshot_dates
from cryptoliq_assets.ingestion.parsing.accepted_rows import ROWS_SCHEMA
from cryptoliq_assets.schemas.raw import NUMBER_COLUMNS, UNSIGNED_COLUMNS, RawSnapshots

HEADER = "coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date"
BITCOIN = "Bitcoin,BTC,40000,0.5,-2.5,4,2e10,8e11,2022-03-16"
ETHEREUM = "Ethereum,ETH,2700,0.6,-3.5,5,1e10,3e11,2022-03-16"
TETHER = "Tether,USDT,1.0,0.01,-0.02,0.03,5e10,8e10,2022-03-16"
NAME = "coingecko_20220316.csv"
FIRST, TODAY = dt.date(2013, 1, 1), dt.date(2026, 1, 1)


def parse(content: bytes | str, *, name: str = NAME, **options: object) -> ParsedSnapshot:
    content = content.encode() if isinstance(content, str) else content
    return parse_snapshot(content, name=name, **({"today": TODAY, "first_date": FIRST} | options))


def table(*lines: str, header: str = HEADER, end: str = "\n") -> str:
    return "".join(line + end for line in (header, *lines))


def get_only_rejected(parsed: ParsedSnapshot) -> dict[str, object]:
    assert parsed.rejected_rows.num_rows == 1
    return parsed.rejected_rows.to_pylist()[0]


# Accepted rows


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


# Rejected rows


@pytest.mark.parametrize(
    ("line", "reason", "column", "value"),
    [
        ("Bitcoin,BTC,1", "wrong_field_count", None, "3 fields"),
        (BITCOIN + ",9", "wrong_field_count", None, "10 fields"),
        (BITCOIN.replace("Bitcoin", " "), "missing_coin", "coin", ""),
        (BITCOIN.replace("2022-03-16", ""), "missing_date", "date", ""),
        (BITCOIN.replace("2022-03-16", "16/3/2022"), "bad_date", "date", "16/3/2022"),
        (BITCOIN.replace("2022-03-16", "2022-02-30"), "bad_date", "date", "2022-02-30"),
        (BITCOIN + " 14:30:00", "bad_date", "date", "2022-03-16 14:30:00"),
        (BITCOIN.replace("2022-03-16", "2012-12-31"), "date_too_early", "date", "2012-12-31"),
        (BITCOIN.replace("2022-03-16", "2026-01-02"), "date_in_future", "date", "2026-01-02"),
        (BITCOIN.replace("40000", "abc"), "not_a_number", "price", "abc"),
        (BITCOIN.replace("40000", '"40,000"'), "not_a_number", "price", "40,000"),
        (BITCOIN.replace("40000", "0x10"), "not_a_number", "price", "0x10"),
        (BITCOIN.replace("40000", "nan(7)"), "not_a_number", "price", "nan(7)"),
        (BITCOIN.replace("-2.5", "-"), "not_a_number", "24h", "-"),
        (BITCOIN.replace("40000", "inf"), "infinite_number", "price", "inf"),
        (BITCOIN.replace("-2.5", "-Infinity"), "infinite_number", "24h", "-Infinity"),
        (BITCOIN.replace("-2.5", "1e999"), "infinite_number", "24h", "1e999"),
        (BITCOIN.replace("-2.5", "1e307"), "implausible_number", "24h", "1e307"),
        (BITCOIN.replace("-2.5", "-1.01e16"), "implausible_number", "24h", "-1.01e16"),
        (BITCOIN.replace("40000", "5e-324"), "implausible_number", "price", "5e-324"),
        (BITCOIN.replace("40000", "9.99e-19"), "implausible_number", "price", "9.99e-19"),
        (BITCOIN.replace("2e10", "1.01e18"), "implausible_number", "24h_volume", "1.01e18"),
        (BITCOIN.replace("8e11", "5e-324"), "implausible_number", "mkt_cap", "5e-324"),
        (BITCOIN.replace("8e11", "1e308"), "implausible_number", "mkt_cap", "1e308"),
        (BITCOIN.replace("40000", "-1"), "negative_value", "price", "-1"),
        (BITCOIN.replace("2e10", "-1"), "negative_value", "24h_volume", "-1"),
        (BITCOIN.replace("8e11", "-1"), "negative_value", "mkt_cap", "-1"),
    ],
)
def test_a_bad_row_is_rejected_with_line_column_and_value(line: str, reason: str, column: str, value: str) -> None:
    parsed = parse(table(ETHEREUM, line, TETHER))
    expected = {"line": 3, "reason": reason, "column": column, "value": value, "text": line}
    assert get_only_rejected(parsed) == expected
    assert parsed.rows["coin"].to_pylist() == ["Ethereum", "Tether"]
    assert parsed.report["rows_refused"] == {reason: 1}
    issue, *column_issues = parsed.report["issues"]
    assert issue.startswith("line 3: ")
    assert "; expected " in issue
    # One empty cell in three is above the maximum fraction of empty cells.
    assert len(column_issues) == (1 if reason in ("missing_coin", "missing_date") else 0)


def test_a_negative_stated_liquidity_ratio_is_rejected() -> None:
    parsed = parse(table(BITCOIN + ",-0.5", ETHEREUM + ",0.033", header=HEADER + ",liquidity_ratio"))
    assert get_only_rejected(parsed)["column"] == "liquidity_ratio"


def test_negative_changes_are_accepted() -> None:
    assert parse(table(BITCOIN)).rejected_rows.num_rows == 0


def test_a_row_with_many_errors_counts_for_the_first_one() -> None:
    parsed = parse(table(",BTC,abc,inf,x,y,-1,-1,yesterday", ETHEREUM, TETHER))
    assert parsed.report["rows_refused"] == {"missing_coin": 1}


def test_of_two_equal_rows_one_is_accepted() -> None:
    parsed = parse(table(BITCOIN, ETHEREUM, BITCOIN))
    assert (get_only_rejected(parsed)["reason"], get_only_rejected(parsed)["line"]) == ("duplicate", 2)
    assert parsed.report["duplicates"] == 1


def test_the_last_row_of_a_coin_and_date_is_accepted() -> None:
    parsed = parse(table(BITCOIN, ETHEREUM, BITCOIN.replace("40000", "41000")))
    assert (get_only_rejected(parsed)["reason"], get_only_rejected(parsed)["line"]) == ("superseded_in_file", 2)
    assert dict(zip(parsed.rows["coin"].to_pylist(), parsed.rows["price"].to_pylist(), strict=True)) == {
        "Ethereum": 2700.0,
        "Bitcoin": 41000.0,
    }


def test_a_rejected_row_does_not_supersede_another() -> None:
    parsed = parse(table(BITCOIN, ETHEREUM, BITCOIN.replace("40000", "-1")))
    assert parsed.report["rows_refused"] == {"negative_value": 1}
    assert parsed.rows.num_rows == 2


def test_a_thousand_repeats_do_not_reject_the_file() -> None:
    parsed = parse(table(*[BITCOIN] * 1001))
    assert (parsed.report["rows_kept"], parsed.report["rows_refused"]) == (1, {"duplicate": 1000})


def test_issues_list_20_rows_per_reason_and_count_the_rest() -> None:
    bad = [f"Coin {number},C,-1,,,,,,2022-03-16" for number in range(25)]
    good = [f"Good {number},G,1,,,,,,2022-03-16" for number in range(25)]
    report = parse(table(*bad, *good)).report
    assert len([issue for issue in report["issues"] if issue.startswith("line ")]) == 20
    assert "negative_value: 5 more rows" in report["issues"]


# Rejected files


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (b"", "empty", "0 bytes"),
        (b" \n\r\n\t ", "empty", "all whitespace"),
        (HEADER.encode(), "empty", "header but no rows"),
        (HEADER.encode() + b"\n\n  \n", "empty", "header but no rows"),
        (table(BITCOIN).encode() + b"\x00\x01\x02", "binary", "line 3: NUL byte at offset"),
        (table(BITCOIN).encode("utf-16"), "not_utf8", "line 1: the file begins with the byte order mark of UTF-16"),
        (table(BITCOIN).encode("utf-16-le"), "binary", "NUL byte at offset 1"),
        (table("Größe" + BITCOIN).encode("latin-1"), "not_utf8", "line 2: byte 0xf6 at offset 54"),
        (table(BITCOIN, '"Ethereum,ETH,1').encode(), "unclosed_quote", "line 3"),
        (
            table(BITCOIN).replace("mkt_cap", "cap").encode(),
            "missing_columns",
            "missing columns: mkt_cap; the header has: 'coin'",
        ),
        (
            table(BITCOIN).replace(",", ";").encode(),
            "missing_columns",
            "the delimiter seems to be a semicolon; expected a comma",
        ),
        (table(BITCOIN).replace(",", "\t").encode(), "missing_columns", "seems to be a tab"),
        (table(BITCOIN + ",1", header=HEADER + ",price").encode(), "doubled_columns", "contains price more than once"),
        (table(BITCOIN, ETHEREUM)[:-30].encode(), "truncated", "line 3"),
        (table("Bitcoin,BTC", BITCOIN.replace("BTC", "BTC,")).encode(), "no_usable_rows", "none of the 2 rows"),
        (table(*[BITCOIN.replace("2022-03-16", "16/3/22")] * 3, ETHEREUM).encode(), "too_many_refused", "bad_date"),
    ],
)
def test_an_unusable_file_is_rejected_with_its_reason(content: bytes, code: str, message: str) -> None:
    parsed = parse(content)
    assert parsed.rows is None
    assert (parsed.report["refusal_code"], parsed.report["accepted"], parsed.report["rows_kept"]) == (code, False, 0)
    assert message in parsed.rejection
    assert parsed.report["issues"][0] == f"rejected: {parsed.rejection}"


def test_the_valid_rows_of_a_rejected_file_are_counted() -> None:
    report = parse(table(BITCOIN, ETHEREUM.replace("ETH,", "ETH,,")), max_rejected_fraction=0.1).report
    assert report["rows_refused"] == {"wrong_field_count": 1, "file_refused": 1}
    assert report["rows_read"] == 2


def test_a_file_with_over_half_its_rows_invalid_is_rejected() -> None:
    bad = BITCOIN.replace("40000", "-1")
    assert parse(table(bad, ETHEREUM)).rows.num_rows == 1
    assert parse(table(bad, bad, ETHEREUM)).report["refusal_code"] == "too_many_refused"


def test_a_last_row_without_line_end_is_an_issue() -> None:
    parsed = parse(table(BITCOIN)[:-1])
    assert parsed.rows.num_rows == 1
    assert "does not end with a line end" in parsed.report["issues"][-1]


def test_columns_with_different_units_reject_the_file() -> None:
    lines = [
        f"Coin {n},C,{n + 5},{(n - 10) / 3},{(n - 10) / 300},{(n - 9) / 100},1e6,1e8,2022-03-16" for n in range(30)
    ]
    parsed = parse(table(*lines))
    assert parsed.report["refusal_code"] == "unit_conflict"
    assert "1h is percent" in parsed.rejection
    assert "24h is fraction" in parsed.rejection


def test_the_unit_does_not_depend_on_the_current_date() -> None:
    later = table(
        *[f"Coin {n},C,7,,{-0.5 * n},,1e6,1e8,2022-03-17" for n in range(1, 9)], ETHEREUM.replace("-3.5", "0.03")
    )
    early = parse(later, today=dt.date(2022, 3, 16), max_rejected_fraction=1)
    assert early.report["unit_found_by"] == parse(later).report["unit_found_by"]


@pytest.mark.parametrize(
    "name",
    [
        "prices.csv",
        "coingecko_20220230.csv",
        "coin_gecko_2022-13-01.csv",
        "coingecko_2022316.csv",
        "../coingecko_20220316.csv",
        "a/coingecko_20220316.csv",
        "coingecko_20220316.csv\n",
        "coingecko_20220316.csv.gz",
        "coingecko_٢٠٢٢0316.csv",
        "COINGECKO_20220316.CSV",
        "",
        "\udcff",
    ],
)
def test_any_other_file_name_is_rejected(name: str) -> None:
    parsed = parse(table(BITCOIN), name=name)
    assert (parse_file_date(name), parsed.report["refusal_code"]) == (None, "bad_name")
    to_json(parsed.report).encode()


@pytest.mark.parametrize("name", ["coingecko_20220316.csv", "coin_gecko_2022-03-16.csv"])
def test_both_file_name_patterns_contain_a_date(name: str) -> None:
    assert parse_file_date(name) == dt.date(2022, 3, 16)


def test_a_file_date_that_no_row_has_is_only_an_issue() -> None:
    parsed = parse(table(BITCOIN), name="coingecko_20220317.csv")
    assert parsed.report["issues"] == ["the date in the file name is 2022-03-17, but no accepted row has that date"]
    assert parsed.rows.num_rows == 1


def test_an_unread_file_has_a_report_with_the_same_keys() -> None:
    unread = ParsedSnapshot.from_unread(NAME, size=2**31, reason="2,048 MiB, more than allowed")
    assert (unread.rows, unread.rejection) == (None, "2,048 MiB, more than allowed")
    assert unread.report.keys() == parse(table(BITCOIN)).report.keys()
    assert unread.report["size_bytes"] == 2**31


# Dates of a file


def test_dates_are_read_from_invalid_files_too() -> None:
    content = "date,junk\n2022-03-16,x\nsoon,y\n1999-01-01,z\n2022-03-16\n"
    assert read_snapshot_dates(content.encode()) == {dt.date(2022, 3, 16), dt.date(1999, 1, 1)}


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"\xff\xfe", b"a,b\n1,2\n", b'date\n"x', b"date,date\n1,2\n", b"date"]
)
def test_a_file_without_readable_dates_has_none(content: bytes) -> None:
    assert read_snapshot_dates(content) == set()


# Properties

CELLS = st.one_of(
    st.sampled_from(
        ["", "NaN", "inf", "-1", "1e999", "abc", '"', '""', "2022-03-16", "2022-03-17", "0", " 7 ", "+5", "1."]
    ),
    st.floats(allow_nan=True, allow_infinity=True).map(str),
    st.from_regex(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?", fullmatch=True),
    st.text(max_size=6),
)
LINES = st.one_of(
    st.sampled_from([BITCOIN, ETHEREUM, TETHER, "", " "]),
    st.tuples(st.sampled_from([BITCOIN, TETHER]), st.integers(0, 8), CELLS).map(lambda parts: with_cell(*parts)),
    st.text(max_size=20),
)
ENDS = st.sampled_from(["\n", "\r\n", "\r", ""])
HEADERS = st.sampled_from([HEADER, HEADER, HEADER + ",liquidity_ratio", HEADER.replace("7d", "6d"), "date", ""])


def with_cell(line: str, place: int, cell: str) -> str:
    cells = line.split(",")
    cells[place] = cell
    return ",".join(cells)


@st.composite
def mutated_files(draw: st.DrawFn) -> bytes:
    """Generate files of valid and invalid lines, sometimes with a byte in the wrong place."""
    lines = draw(st.lists(LINES, max_size=8))
    text = "".join(line + draw(ENDS) for line in (draw(HEADERS), *lines))
    content = text.encode("utf-8", "surrogatepass")
    if draw(st.booleans()):
        return content
    place = draw(st.integers(0, len(content)))
    return content[:place] + draw(st.binary(max_size=3)) + content[place + draw(st.integers(0, 3)) :]


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


@settings(max_examples=500)
@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=5))
def test_typed_and_textual_parsing_of_numbers_agree(rows: Sequence[Sequence[str]]) -> None:
    def quote(cell: str) -> str:
        return '"' + cell.replace('"', '""').replace("\0", "") + '"'

    lines = [f"Coin {n},C,{','.join(map(quote, row))},,,,2022-03-16" for n, row in enumerate(rows)]
    content = table(*lines).encode("utf-8", "replace")
    at_once = parse(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells_module, "_read_typed", lambda document, *, text_names, number_names: ({}, None, None))
        cell_by_cell = parse(content)
    assert at_once.report == cell_by_cell.report
    assert at_once.rows == cell_by_cell.rows or at_once.rows.equals(cell_by_cell.rows)
    assert at_once.rejected_rows.equals(cell_by_cell.rejected_rows)


@settings(max_examples=300)
@given(mutated_files(), st.sampled_from([16, 100, 10_000]))
def test_threaded_and_sequential_parsing_agree(content: bytes, block: int) -> None:
    one_by_one = parse(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells_module, "_MIN_THREADED_BYTES", 0)
        patch.setattr(cells_module, "_BLOCK_BYTES", block)
        in_blocks = parse(content)
    assert in_blocks.report == one_by_one.report
    assert in_blocks.rows == one_by_one.rows or in_blocks.rows.equals(one_by_one.rows)
    assert in_blocks.rejected_rows.equals(one_by_one.rejected_rows)


def test_threads_parse_a_large_well_formed_file(monkeypatch: pytest.MonkeyPatch) -> None:
    read_csv, threaded = cells_module._read_csv, []

    def record_call(*args, threads, **options):
        threaded.append(threads)
        return read_csv(*args, threads=threads, **options)

    monkeypatch.setattr(cells_module, "_read_csv", record_call)
    monkeypatch.setattr(cells_module, "_MIN_THREADED_BYTES", 100)
    monkeypatch.setattr(cells_module, "_BLOCK_BYTES", 128)
    names = [f"Coin {n}" for n in range(50)]
    parsed = parse(table(*(BITCOIN.replace("Bitcoin", name) for name in names)))
    assert (parsed.rows["coin"].to_pylist(), threaded) == (names, [True])
    assert parse(table(BITCOIN, ETHEREUM, "one,cell,more,than,this")).report["rows_refused"] == {"wrong_field_count": 1}
    assert threaded[1:3] == [True, False]


@settings(max_examples=300)
@given(st.one_of(st.binary(max_size=12), st.text(max_size=6).map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_the_utf8_check_agrees_with_python(content: bytes) -> None:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        assert not _is_utf8(content)
    else:
        assert _is_utf8(content)


# Real files


@pytest.mark.realdata
@pytest.mark.parametrize(("day", "empty"), [("2022-03-16", 3), ("2022-03-17", 4)])
def test_coingecko_files_of_2022_contain_fractions(real_data, day: str, empty: int) -> None:
    name = f"coin_gecko_{day}.csv"
    parsed = parse((real_data / "coingecko_2022" / name).read_bytes(), name=name)
    report = parsed.report
    assert (report["rows_kept"], report["rows_refused"], report["issues"]) == (500, {}, [])
    assert (report["unit"], report["unit_certain"]) == ("fraction", True)
    assert report["derived_columns"] == ["liquidity_ratio", "price_change_24h"]
    assert report["empty_cells"]["24h_volume"] == empty
    assert set(report["shared_symbols"]) == {"RUNE", "TIME", "FEG"}
    assert parsed.rows["1h"][0].as_py() == pytest.approx({"2022-03-16": 2.2, "2022-03-17": 0.1}[day])


@pytest.mark.realdata
def test_files_of_other_sources_are_rejected_under_any_name(real_data) -> None:
    expected = {
        "coingecko_history_hybrix.csv": ("missing columns: coin, symbol, 1h", "price is '-"),
        "coingecko_history_x8-project.csv": ("missing columns: coin, symbol, 1h", "price is '-0.0952"),
        "coinmarketcap_export_0x.csv": (
            "missing columns: coin, symbol, price",
            "the header has: 'Coin', 'Date', 'Open*'",
        ),
        "prices_dmy_dates.csv": (
            "missing columns: coin, price, 1h",
            "date: systematic error in 199 cells: another form of date",
        ),
        "prices_mdy_dates.csv": (
            "missing columns: coin, symbol, price",
            "date: systematic error in 199 cells: another form of date",
        ),
    }
    reports, rejections = [], set()
    for path in sorted((real_data / "dirty").iterdir()):
        content = path.read_bytes()
        assert parse(content, name=path.name).report["refusal_code"] == "bad_name"
        report = parse(content).report
        assert (report["refusal_code"], report["rows_kept"]) == ("missing_columns", 0)
        assert report["rows_read"] == sum(report["rows_refused"].values()) > 100
        for message in expected[path.name]:
            assert any(message in issue for issue in report["issues"]), (path.name, message)
        reports.append(tuple(report["issues"]))
        rejections |= {report["refusal"]}
    # The reason alone is different for each file.
    assert len(rejections) == len(expected)
    assert len(set(reports)) == len(expected)


@pytest.mark.realdata
def test_the_errors_of_the_2021_panel_are_counted(real_data) -> None:
    panel = pd.read_parquet(real_data / "coingecko_daily_2021.parquet").rename(columns={"volume_24h": "24h_volume"})
    november = panel[panel["date"].between("2021-11-11", "2021-11-24")].assign(**{"1h": np.nan})
    content = november[HEADER.split(",")].to_csv(index=False).encode()
    report = parse(content, name="coingecko_20211111.csv").report
    assert report["rows_refused"] == {"negative_value": 18}
    assert report["unit"] == "fraction"
    assert report["rows_kept"] == len(november) - 18
    valid = november[november["price"] >= 0]
    assert report["unknown_caps"] == int((valid["mkt_cap"] == 0).sum())
    assert report["zero_volumes"] == int((valid["24h_volume"] == 0).sum())


def test_the_rows_have_the_columns_of_the_raw_schema() -> None:
    columns = list(RawSnapshots.to_schema().columns)
    assert columns == [*ROWS_SCHEMA.names, "source_file", "arrival"]
    assert ROWS_SCHEMA.field("date").type == pa.timestamp("ns")
