"""Bulk parsing: the result of each file equals that of parsing it alone, independent of the other files."""

import datetime as dt

import pytest

from cryptoliq_assets.ingestion.parsing import RawFile, bulk, parse_snapshots
from cryptoliq_assets_tests.support.bulk_files import SIMULATED, check_bulk_parsing, convert_to_fractions
from cryptoliq_assets_tests.support.csv_snapshots import FIRST, NAME, TODAY


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
    column = header.split(",").index("price")

    def with_price(line: str, price: str) -> str:
        cells = line.split(",")
        return ",".join([*cells[:column], price, *cells[column + 1 :]])

    lines[1], lines[3], lines[4] = (
        with_price(lines[n], price) for n, price in ((1, "-3"), (3, " 5e-324 "), (4, "1e19"))
    )
    unusual = "\n".join([header, *lines, ""]).encode()
    files = [RawFile(NAME, content, TODAY) for content in (SIMULATED[0], unusual, SIMULATED[1])]
    check_bulk_parsing(files)
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
        check_bulk_parsing([RawFile(NAME, content, TODAY) for content in files])


def test_a_unit_conflict_in_a_group_rejects_only_its_file() -> None:
    lines = [
        f"Coin {n},C,{n + 5},{(n - 10) / 3},{(n - 10) / 300},{(n - 9) / 100},1e6,1e8,2022-03-16" for n in range(30)
    ]
    header = SIMULATED[0].split(b"\n")[0].decode()
    unusual = "\n".join([header, *lines, ""]).encode()
    files = [RawFile(NAME, content, TODAY) for content in (SIMULATED[0], unusual, SIMULATED[1])]
    assert parse_snapshots(files, first_date=FIRST)[1].report["refusal_code"] == "unit_conflict"
    check_bulk_parsing(files)


def test_each_file_has_its_own_last_allowed_date() -> None:
    files = [RawFile(NAME, SIMULATED[-1], today) for today in (TODAY, dt.date(2022, 3, 1), TODAY)]
    codes = [snapshot.report["refusal_code"] for snapshot in parse_snapshots(files, first_date=FIRST)]
    assert codes == [None, "no_usable_rows", None]
    check_bulk_parsing(files)


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
