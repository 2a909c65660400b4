"""Optional columns: cells are parsed or left empty, and months of earlier versions remain readable."""

import datetime as dt

import pandas as pd
import pyarrow.parquet as pq
import pytest

from cryptoliq_assets.ingestion.parsing import ParsedSnapshot, parse_snapshot
from cryptoliq_assets.schemas.raw import OPTIONAL_COLUMNS
from cryptoliq_assets.storage.stamps.fingerprint import FileFingerprint
from cryptoliq_assets_tests.support.markets import HEADER, Home, snapshot

DAY = dt.date(2022, 3, 16)
NAME = "coingecko_20220316.csv"
WIDE = f"{HEADER},name,high_24h,low_24h,circulating_supply,market_cap_rank,last_updated"


def parse(*rows: str, header: str = WIDE) -> ParsedSnapshot:
    content = "\n".join([header, *rows, ""]).encode()
    return parse_snapshot(content, name=NAME, today=DAY, first_date=dt.date(2013, 1, 1))


def row(coin: str, optional: str) -> str:
    return f"{coin},X,1,-2,-3,-4,1e6,1e9,{DAY},{optional}"


def test_the_six_optional_columns_are_typed() -> None:
    parsed = parse(row("bitcoin", "Bitcoin,2.5,0.5,1.9e7,1,2022-03-16T01:30:00.120+01:00"))
    first = parsed.rows.to_pandas().iloc[0]
    assert [first[name] for name in OPTIONAL_COLUMNS] == [
        "Bitcoin",
        2.5,
        0.5,
        1.9e7,
        1.0,
        pd.Timestamp("2022-03-16 00:30:00.120"),
    ]
    assert (parsed.report["ignored_columns"], parsed.report["unread_cells"]) == ([], {})


@pytest.mark.parametrize(
    ("cells", "unread"),
    [
        (",,,,,", {}),
        (",high,,,,", {"high_24h": 1}),
        (",,-1,,,", {"low_24h": 1}),
        (",,,inf,,", {"circulating_supply": 1}),
        (",1e-19,1e19,5e-324,,", {"high_24h": 1, "low_24h": 1, "circulating_supply": 1}),
        (",,,,0,", {"market_cap_rank": 1}),
        (",,,,,yesterday", {"last_updated": 1}),
        (",,,,,9999-01-01T00:00:00", {"last_updated": 1}),
    ],
)
def test_an_unreadable_optional_cell_is_empty_and_counted(cells: str, unread: dict[str, int]) -> None:
    parsed = parse(row("bitcoin", "B,1,1,1,1,2022-03-16"), row("ether", cells))
    assert parsed.report["rows_kept"] == 2
    assert parsed.report["unread_cells"] == unread
    assert parsed.rows.to_pandas().loc[1, list(OPTIONAL_COLUMNS)].isna().all()


def test_missing_or_duplicate_optional_columns_are_empty() -> None:
    plain = parse(f"bitcoin,X,1,-2,-3,-4,1e6,1e9,{DAY}", header=HEADER)
    assert plain.rows.select(list(OPTIONAL_COLUMNS)).to_pandas().isna().all(axis=None)
    twice = parse(f"bitcoin,X,1,-2,-3,-4,1e6,1e9,{DAY},a,b", header=f"{HEADER},name,name")
    assert twice.report["ignored_columns"] == ["name", "name"]
    assert twice.rows["name"].to_pylist() == [None]


def test_rejected_rows_do_not_shift_optional_cells() -> None:
    parsed = parse(row("bitcoin", "Bitcoin,1,1,1,1,"), row("", "Nameless,x,1,1,1,"), row("ether", "Ether,2,1,1,2,"))
    assert parsed.rows["name"].to_pylist() == ["Bitcoin", "Ether"]
    assert parsed.rows["high_24h"].to_pylist() == [1.0, 2.0]
    assert parsed.report["unread_cells"] == {}


def test_a_month_may_mix_rows_with_and_without_them(tmp_path) -> None:
    home = Home.at(tmp_path)
    home.drop("coingecko_20220315.csv", snapshot([dt.date(2022, 3, 15)], missing=0))
    home.drop(NAME, "\n".join([WIDE, row("Bitcoin", "Bitcoin,2,1,3,1,2022-03-16T00:40:00Z"), ""]).encode())
    home.bring_up_to_date()
    raw = home.store.read("raw_snapshots", coin="Bitcoin").set_index("date")
    assert raw["high_24h"].dropna().to_dict() == {pd.Timestamp(DAY): 2.0}
    assert raw["name"].astype(object).dropna().tolist() == ["Bitcoin"]
    assert raw["last_updated"].dropna().tolist() == [pd.Timestamp("2022-03-16 00:40:00")]


def test_a_month_of_an_earlier_version_is_rebuilt(
    tmp_path,
) -> None:
    home = Home.at(tmp_path)
    home.drop(NAME, "\n".join([WIDE, row("Bitcoin", "Bitcoin,2,1,3,1,"), ""]).encode())
    home.bring_up_to_date()
    path = home.store.path("raw_snapshots", "2022-03")
    table = pq.read_table(path)
    stamp = FileFingerprint.read(table.schema.metadata)
    earlier = FileFingerprint(
        schema="earlier", days=stamp.days, counts=stamp.counts, inputs="earlier", sources=stamp.sources
    )
    pq.write_table(table.drop_columns(list(OPTIONAL_COLUMNS)).replace_schema_metadata(earlier.written()), path)
    assert home.store.read("raw_snapshots")["high_24h"].isna().all()
    home.bring_up_to_date()
    assert home.store.read("raw_snapshots")["high_24h"].tolist() == [2.0]
