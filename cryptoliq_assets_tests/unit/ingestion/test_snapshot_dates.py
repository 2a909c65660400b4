"""Dates of a raw file: from its name and from its rows."""

import datetime as dt

import pytest
from hypothesis import given, settings, strategies as st

from cryptoliq_assets.core.atomic_write import to_json
from cryptoliq_assets.ingestion.csv.dates import parse_file_date
from cryptoliq_assets.ingestion.parsing import read_snapshot_dates, snapshot_dates
from cryptoliq_assets_tests.support.bulk_files import VARIANTS, mutate
from cryptoliq_assets_tests.support.csv_snapshots import BITCOIN, parse, table


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


def test_dates_are_read_from_invalid_files_too() -> None:
    content = "date,junk\n2022-03-16,x\nsoon,y\n1999-01-01,z\n2022-03-16\n"
    assert read_snapshot_dates(content.encode()) == {dt.date(2022, 3, 16), dt.date(1999, 1, 1)}


@pytest.mark.parametrize(
    "content", [b"", b"\x00", b"\xff\xfe", b"a,b\n1,2\n", b'date\n"x', b"date,date\n1,2\n", b"date"]
)
def test_a_file_without_readable_dates_has_none(content: bytes) -> None:
    assert read_snapshot_dates(content) == set()


@settings(max_examples=300)
@given(st.one_of(st.sampled_from(VARIANTS).flatmap(mutate), st.binary(max_size=60)))
def test_the_fast_path_for_dates_equals_full_parsing(content: bytes) -> None:
    fast = read_snapshot_dates(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot_dates, "_find_single_date", lambda document: None)
        assert read_snapshot_dates(content) == fast
