"""Files for bulk parsing: simulated files, variants and mutations, and the comparison with single parsing."""

import datetime as dt
from collections.abc import Sequence

import pyarrow as pa
from hypothesis import strategies as st

from cryptoliq_assets.ingestion.parsing import (
    ParsedSnapshot,
    RawFile,
    parse_snapshot,
    parse_snapshots,
)
from cryptoliq_assets.simulation.market import simulate_market, snapshot_files
from cryptoliq_assets_tests.support.csv_snapshots import FIRST, NAME, TODAY

# Ordinary files of 8 coins.
SIMULATED = [
    content
    for _, content in snapshot_files(simulate_market(coins=8, days=12, end=dt.date(2022, 3, 16), seed=7))
    if content.count(b"\n") > 5
]


def parse_single(file: RawFile, **options: object) -> ParsedSnapshot:
    return parse_snapshot(file.content, name=file.name, today=file.today, first_date=FIRST, **options)


def assert_same(one: ParsedSnapshot, other: ParsedSnapshot) -> None:
    assert one.report == other.report
    assert list(one.report) == list(other.report)
    assert one.rejection == other.rejection
    assert one.rejected_rows.equals(other.rejected_rows)
    assert (one.rows is None) == (other.rows is None)
    if one.rows is not None:
        assert one.rows.schema == other.rows.schema
        # Arrow compares -0 and 0 as equal.
        assert one.rows.equals(other.rows)
        assert get_bits(one) == get_bits(other)


def get_bits(parsed: ParsedSnapshot) -> list[bytes]:
    """Return the bytes of all columns but text, which Arrow compares exactly."""
    columns = parsed.rows.columns
    return [column.to_numpy().tobytes() for column in columns if not pa.types.is_string(column.type)]


def check_bulk_parsing(files: Sequence[RawFile], **options: object) -> None:
    grouped = parse_snapshots(files, first_date=FIRST, **options)
    assert len(grouped) == len(files)
    for file, snapshot in zip(files, grouped, strict=True):
        assert_same(snapshot, parse_single(file, **options))


def append_columns(content: bytes, header: str, cells: str) -> bytes:
    """Append columns with constant cells."""
    first, *lines = content.decode().splitlines()
    return "\n".join([f"{first},{header}", *(f"{line},{cells}" for line in lines), ""]).encode()


def convert_to_fractions(content: bytes) -> bytes:
    first, *lines = content.decode().splitlines()
    rows = [line.split(",") for line in lines]
    for row in rows:
        row[3:6] = [str(float(cell) / 100) if cell else "" for cell in row[3:6]]
    return "\n".join([first, *map(",".join, rows), ""]).encode()


def repeat_on_second_day(content: bytes) -> bytes:
    first, *lines = content.decode().splitlines()
    return "\n".join([first, *lines, *(line[:-10] + "2022-02-01" for line in lines), ""]).encode()


VARIANTS = [
    *SIMULATED[:5],
    convert_to_fractions(SIMULATED[5]),
    convert_to_fractions(SIMULATED[6]),
    append_columns(SIMULATED[7], "price_change_24h", "-3"),
    append_columns(SIMULATED[7], "liquidity_ratio,price_change_24h", ","),
    append_columns(SIMULATED[8], "last_updated", "2022-03-16T10:00:00Z"),
    append_columns(SIMULATED[9], "rank", "7"),
    append_columns(SIMULATED[4], "name,high_24h,low_24h,market_cap_rank", "A name, 5,-2,1.5"),
    append_columns(SIMULATED[4], "name,circulating_supply,last_updated", ",1e9,at noon"),
    repeat_on_second_day(SIMULATED[9]),
    append_columns(SIMULATED[4], "change_unit", "percent"),
    append_columns(convert_to_fractions(SIMULATED[6]), "change_unit,last_updated", "fraction,2022-03-16T10:00:00Z"),
    append_columns(SIMULATED[3], "change_unit", ""),
]
CELLS = st.sampled_from(
    ["", "0", "-1", "1e400", "inf", "NaN", "1,5", '"', "true", "2022-02-30", "2031-01-01", "é", " 7 ", "0x10", "0.02"]
)
SPLICES = st.sampled_from([b"", b"\x00", b"\xff", b'"', b"\r", b"\n\n", b"\n \n", b",,", b"\xef\xbb\xbf", b";"])


@st.composite
def mutate(draw: st.DrawFn, content: bytes) -> bytes:
    """Change a cell, a line or a few bytes of a file."""
    kind = draw(st.integers(0, 3))
    lines = content.split(b"\n")
    place = draw(st.integers(0, len(lines) - 1))
    if kind == 0:
        cells = lines[place].split(b",")
        cells[draw(st.integers(0, len(cells) - 1))] = draw(CELLS).encode()
        lines[place] = b",".join(cells)
    elif kind == 1:
        line = lines[place]
        lines[place : place + 1] = draw(st.sampled_from([[], [line, line], [line[: len(line) // 2]], [line, b""]]))
    elif kind == 2:
        at = draw(st.integers(0, len(content)))
        return content[:at] + draw(SPLICES) + content[at + draw(st.integers(0, 3)) :]
    else:
        return content[: draw(st.integers(0, len(content)))]
    return b"\n".join(lines)


@st.composite
def raw_files(draw: st.DrawFn) -> RawFile:
    content = draw(st.sampled_from(VARIANTS))
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        content = draw(mutate(content))
    name = draw(st.sampled_from([NAME, NAME, "coin_gecko_2022-03-10.csv", "prices.csv"]))
    return RawFile(name, content, draw(st.sampled_from([TODAY, TODAY, dt.date(2022, 3, 10), dt.date(9999, 1, 1)])))
