"""Limits of a text, checked before it is parsed: cells and bytes of a row, rows of a file."""

import subprocess
import sys

import pytest
from hypothesis import given, strategies as st

from cryptoliq_assets.ingestion.csv.header import (
    MAX_CELLS,
    MAX_LISTED_ROWS,
    MAX_ROW_BYTES,
    FileRejectedError,
    open_document,
)
from cryptoliq_assets.ingestion.csv.records import find_record_bounds
from cryptoliq_assets.ingestion.csv.text_scan import scan_text
from cryptoliq_assets_tests.unit.ingestion.test_snapshot import BITCOIN, ETHEREUM, HEADER, parse, table

ROW = BITCOIN + "\n"


@pytest.mark.parametrize(
    ("content", "code", "messages"),
    [
        ("," * 2_000_000, "too_many_cells", ["line 1", f"{MAX_CELLS:,} cells"]),
        (HEADER + "," * MAX_CELLS + "\n" + ROW, "too_many_cells", ["line 1"]),
        (HEADER + "\n" + ROW + "," * 2_000_000 + "\n" + ROW, "too_many_cells", ["line 3", f"{MAX_CELLS:,} cells"]),
        (HEADER + "\r" + ROW + '"a",' * 2_000 + "\n", "too_many_cells", ["line 3"]),
        ("x" * (MAX_ROW_BYTES + 1), "row_too_long", ["line 1", f"{MAX_ROW_BYTES:,} bytes"]),
        (HEADER + "\n" + '"' + "x\n" * MAX_ROW_BYTES + '"', "row_too_long", ["line 2"]),
        (HEADER + "\n" + '"' + "x\n" * MAX_ROW_BYTES, "unclosed_quote", ["line 2"]),
        ("a\n" + "1\n" * 2_000_000, "too_many_rows", ["2,000,000 rows", "split it"]),
        (HEADER + "\n" + "x\n" * (MAX_LISTED_ROWS + 1) + ROW, "too_many_refused", ["100,001 of 100,002", "line 2"]),
    ],
)
def test_a_text_beyond_a_limit_is_rejected_before_parsing(content, code, messages):
    with pytest.raises(FileRejectedError) as raised:
        open_document(content.encode())
    assert raised.value.code == code
    for message in messages:
        assert message in str(raised.value)
    assert parse(content).report["refusal_code"] == code


def test_a_row_may_have_as_many_cells_as_the_limit():
    wide = ",".join([HEADER, *(f"c{n}" for n in range(MAX_CELLS - 9))])
    assert parse(table(BITCOIN + "," * (MAX_CELLS - 9), header=wide)).report["rows_kept"] == 1
    assert (
        parse(table('"' + "," * (3 * MAX_CELLS) + '"' + BITCOIN[len("Bitcoin") :], ETHEREUM)).report["rows_kept"] == 2
    )


def test_a_rejected_file_lists_a_limited_number_of_rows():
    bad = MAX_LISTED_ROWS + 10
    parsed = parse(table(*[ETHEREUM.replace(",2", ",x", 1)] * bad, BITCOIN))
    report = parsed.report
    assert report["refusal_code"] in ("too_many_refused", "no_usable_rows", "empty_columns")
    assert report["rows_read"] == bad + 1 == sum(report["rows_refused"].values())
    assert parsed.rejected_rows.num_rows == MAX_LISTED_ROWS


PIECES = st.lists(st.sampled_from(['"', '""', ",", "\n", "\r", "\r\n", "a", " ", "é", "\n\n"]), max_size=30)


@given(pieces=PIECES)
def test_records_end_at_line_ends_outside_quotes(pieces):
    text = "".join(pieces).encode()
    records = find_record_bounds(text)
    contents = [text[start:end] for start, end in zip(records.starts, records.ends, strict=True)]
    assert all(contents)
    assert b"".join(contents).replace(b"\r", b"").replace(b"\n", b"") == text.replace(b"\r", b"").replace(b"\n", b"")
    for start, line in zip(records.starts.tolist(), records.lines.tolist(), strict=True):
        before = text[:start]
        assert line == 1 + before.count(b"\n") + before.count(b"\r") - before.count(b"\r\n")
    scan = scan_text(text, 0, max_cells=MAX_CELLS, max_bytes=MAX_ROW_BYTES)
    if scan.unclosed_offset < 0:
        assert scan.rows <= max(len(records.starts), 1)


def test_bombs_of_four_megabytes_are_parsed_in_bounded_memory():
    program = f"""
import datetime as dt, resource
from cryptoliq_assets.ingestion.parsing import parse_snapshot
header, row = {HEADER!r}, {ROW!r}
def parse(text):
    parse_snapshot(text.encode(), name="coingecko_20220316.csv", today=dt.date(2022, 3, 20), first_date=dt.date(2013, 1, 1))
parse(header + "\\n" + row * 3 + "\\n" + "x\\n" * 3)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
size = 4 * 2**20
for text in ("," * size, header + "\\n" + "," * size, header + "\\n" + "x\\n" * (size // 2), '"",' * (size // 3),
             header + "\\n" + "\\n" * size, header + "\\n" + '""\\n' * (size // 3), "price\\n" + "1\\n" * (size // 2)):
    parse(text)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert int(done.stdout) < 12 * 4 + 200
