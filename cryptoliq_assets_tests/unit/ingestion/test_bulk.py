"""Bulk parsing: the result for each file equals that of parsing it alone, whatever the other files are."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st

from cryptoliq_assets.ingestion.parsing import (
    ParsedSnapshot,
    RawFile,
    bulk,
    parse_snapshot,
    parse_snapshots,
    read_snapshot_dates,
    snapshot_dates,
)
from cryptoliq_assets.simulation.market import simulate_market, snapshot_files

FIRST, TODAY = dt.date(2013, 1, 1), dt.date(2026, 1, 1)
NAME = "coingecko_20220316.csv"
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


def check(files: Sequence[RawFile], **options: object) -> None:
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


GOOD = [
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
def mutated(draw: st.DrawFn, content: bytes) -> bytes:
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
    content = draw(st.sampled_from(GOOD))
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        content = draw(mutated(content))
    name = draw(st.sampled_from([NAME, NAME, "coin_gecko_2022-03-10.csv", "prices.csv"]))
    return RawFile(name, content, draw(st.sampled_from([TODAY, TODAY, dt.date(2022, 3, 10), dt.date(9999, 1, 1)])))


# Properties


@settings(max_examples=300)
@given(
    files=st.lists(raw_files(), max_size=12),
    change_unit=st.sampled_from(["auto", "auto", "fraction"]),
    max_rejected_fraction=st.sampled_from([0.5, 0.0]),
    group_bytes=st.sampled_from([2**20, 2000]),
)
def test_bulk_parsing_equals_single_parsing(
    files: list[RawFile], change_unit: str, max_rejected_fraction: float, group_bytes: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # The second size puts about two files in a group.
        patch.setattr(bulk, "_GROUP_BYTES", group_bytes)
        check(files, change_unit=change_unit, max_rejected_fraction=max_rejected_fraction)


@settings(max_examples=300)
@given(st.one_of(st.sampled_from(GOOD).flatmap(mutated), st.binary(max_size=60)))
def test_the_fast_path_for_dates_equals_full_parsing(content: bytes) -> None:
    fast = read_snapshot_dates(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot_dates, "_find_single_date", lambda document: None)
        assert read_snapshot_dates(content) == fast


# Cases


def test_ordinary_files_are_never_parsed_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise AssertionError("an ordinary file was parsed alone")

    monkeypatch.setattr(bulk, "_parse_single", fail)
    files = [RawFile(NAME, content, TODAY) for content in (*SIMULATED, *map(convert_to_fractions, SIMULATED))]
    parsed = parse_snapshots(files, first_date=FIRST)
    assert [snapshot.report["unit"] for snapshot in parsed] == ["percent"] * len(SIMULATED) + ["fraction"] * len(
        SIMULATED
    )


def test_files_with_few_implausible_numbers_stay_in_the_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    header, *lines = SIMULATED[0].decode().splitlines()
    place = header.split(",").index("price")

    def with_price(line: str, price: str) -> str:
        cells = line.split(",")
        return ",".join([*cells[:place], price, *cells[place + 1 :]])

    lines[1], lines[3], lines[4] = (
        with_price(lines[n], price) for n, price in ((1, "-3"), (3, " 5e-324 "), (4, "1e19"))
    )
    unusual = "\n".join([header, *lines, ""]).encode()
    files = [RawFile(NAME, content, TODAY) for content in (SIMULATED[0], unusual, SIMULATED[1])]
    check(files)
    monkeypatch.setattr(bulk, "_parse_single", None)
    parsed = parse_snapshots(files, first_date=FIRST)[1]
    assert parsed.report["rows_refused"] == {"negative_value": 1, "implausible_number": 2}
    assert parsed.rejected_rows["line"].to_pylist() == [3, 5, 6]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"2022-03-05\n", b"2022-03-05\r\n"),
        (b"\n", b"\n\n"),
        (b"coin,", b"\xef\xbb\xbfcoin,"),
        (b"Bitcoin,", b"\xef\xbb\xbfBitcoin,"),
        (b"Bitcoin,", b'"Bitcoin",'),
        (b"Bitcoin,", b"Ethereum,"),
        (b"Bitcoin,", b" ,"),
        (b"Bitcoin,BTC,", b"Bitcoin,BTC,,"),
        (b"2022-03-05\n", b"2027-03-05\n"),
        (b"mkt_cap", b"cap"),
        (b"mkt_cap", b"price"),
    ],
)
def test_an_unusual_file_does_not_affect_the_others(old: bytes, new: bytes) -> None:
    content = SIMULATED[0]
    assert old in content
    unusual = content.replace(old, new, 1)
    for files in ([content, unusual, SIMULATED[1]], [unusual, content, SIMULATED[1]], [content, SIMULATED[1], unusual]):
        check([RawFile(NAME, content, TODAY) for content in files])


def test_a_unit_conflict_in_a_group_rejects_only_its_file() -> None:
    lines = [
        f"Coin {n},C,{n + 5},{(n - 10) / 3},{(n - 10) / 300},{(n - 9) / 100},1e6,1e8,2022-03-16" for n in range(30)
    ]
    header = SIMULATED[0].split(b"\n")[0].decode()
    unusual = "\n".join([header, *lines, ""]).encode()
    files = [RawFile(NAME, content, TODAY) for content in (SIMULATED[0], unusual, SIMULATED[1])]
    assert parse_snapshots(files, first_date=FIRST)[1].report["refusal_code"] == "unit_conflict"
    check(files)


def test_each_file_has_its_own_last_allowed_date() -> None:
    files = [RawFile(NAME, SIMULATED[-1], today) for today in (TODAY, dt.date(2022, 3, 1), TODAY)]
    codes = [snapshot.report["refusal_code"] for snapshot in parse_snapshots(files, first_date=FIRST)]
    assert codes == [None, "no_usable_rows", None]
    check(files)


def test_a_known_checksum_is_not_computed_again() -> None:
    files = [RawFile(NAME, content, TODAY, sha256="known") for content in (*SIMULATED[:2], b"")]
    assert [snapshot.report["sha256"] for snapshot in parse_snapshots(files, first_date=FIRST)] == ["known"] * 3


def test_an_unknown_unit_is_an_error() -> None:
    with pytest.raises(ValueError, match="permille"):
        parse_snapshots(
            [RawFile(NAME, content, TODAY) for content in SIMULATED], first_date=FIRST, change_unit="permille"
        )


def test_no_files_give_no_results() -> None:
    assert parse_snapshots([], first_date=FIRST) == []


@pytest.mark.realdata
def test_bulk_parsing_equals_single_parsing_of_real_files(real_data: Path) -> None:
    files = [RawFile(path.name, path.read_bytes(), TODAY) for path in sorted(real_data.glob("*/*.csv"))]
    columns = ["coin", "symbol", "price", "1h", "24h", "7d", "24h_volume", "mkt_cap", "date"]
    panel = pd.read_parquet(real_data / "coingecko_daily_2021.parquet").rename(columns={"volume_24h": "24h_volume"})
    for day, rows in list(panel.assign(**{"1h": float("nan")}).groupby("date"))[::9]:
        content = rows[columns].to_csv(index=False).encode()
        files.append(RawFile(f"coingecko_{day:%Y%m%d}.csv", content, TODAY))
    check(files)
