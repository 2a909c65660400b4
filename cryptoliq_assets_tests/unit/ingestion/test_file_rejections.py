"""Rejected files: each unusable file is rejected with its reason."""

import datetime as dt

import pytest
from hypothesis import given, settings, strategies as st

from cryptoliq_assets.ingestion.csv.header import _is_utf8
from cryptoliq_assets.ingestion.parsing import ParsedSnapshot
from cryptoliq_assets_tests.support.csv_snapshots import (
    BITCOIN,
    ETHEREUM,
    HEADER,
    NAME,
    parse,
    table,
)


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


def test_an_unread_file_has_a_report_with_the_same_keys() -> None:
    unread = ParsedSnapshot.from_unread(NAME, size=2**31, reason="2,048 MiB, more than allowed")
    assert (unread.rows, unread.rejection) == (None, "2,048 MiB, more than allowed")
    assert unread.report.keys() == parse(table(BITCOIN)).report.keys()
    assert unread.report["size_bytes"] == 2**31


@settings(max_examples=300)
@given(st.one_of(st.binary(max_size=12), st.text(max_size=6).map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_the_utf8_check_agrees_with_python(content: bytes) -> None:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        assert not _is_utf8(content)
    else:
        assert _is_utf8(content)
