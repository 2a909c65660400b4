"""Rows read are accepted or rejected, and accepted rows are written: asserted where they could be lost."""

import datetime as dt
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cryptoliq_assets.ingestion.csv.optional_columns import OPTIONAL_SCHEMA
from cryptoliq_assets.ingestion.landing import month_rows as month_rows_module
from cryptoliq_assets.ingestion.landing.month_rows import assert_no_rows_lost, merge_arrivals
from cryptoliq_assets.ingestion.parsing import ParsedSnapshot, RawFile, bulk, parse_snapshots
from cryptoliq_assets.ingestion.reports.file_report import make_blank_report
from cryptoliq_assets_tests.support.markets import HEADER, Home

MARCH, MAY = dt.date(2022, 3, 16), dt.date(2022, 5, 3)
NAME = "coingecko_20220316.csv"


def content(*, coins: int = 9, day: dt.date = MARCH) -> bytes:
    lines = [f"Coin {n},C,1,1,-2,3,4,5,{day}" for n in range(coins)]
    return "\n".join([HEADER, *lines, ""]).encode()


def test_a_row_missing_from_bulk_parsing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    select_all = bulk.select_accepted_rows

    def careless(validated, starts):
        """Return all rows except the last."""
        accepted = select_all(validated, starts)
        return replace(accepted, days=accepted.days[:-1])

    monkeypatch.setattr(bulk, "select_accepted_rows", careless)
    files = [RawFile(NAME, content(), dt.date(2026, 1, 1)) for _ in range(3)]
    with pytest.raises(AssertionError, match="26 accepted rows of files that have 27"):
        parse_snapshots(files, first_date=dt.date(2013, 1, 1))


@pytest.mark.parametrize(
    "result", [{"rows_read": 3}, {"rows_kept": 1}, {"rows_refused": {"negative_value": 1}}, {"rows_kept": 3}]
)
def test_a_report_inconsistent_with_its_rows_is_an_error(result: dict) -> None:
    report = make_blank_report(NAME, b"") | {"rows_read": 2, "rows_kept": 2}
    rows = pa.table({"coin": ["A", "B"]})
    ParsedSnapshot.from_accepted(rows, [], report)
    with pytest.raises(AssertionError, match="a bug in cryptoliq"):
        ParsedSnapshot.from_accepted(rows, [], report | result)


def accepted_rows(day: dt.date, *coins: str, arrival: int) -> pa.Table:
    moment = dt.datetime.combine(day, dt.time())
    return pa.table(
        {
            "coin": list(coins),
            "symbol": pa.array([None] * len(coins), pa.string()),
            "date": pa.array([moment] * len(coins), pa.timestamp("ns")),
            **{
                name: pa.array([1.0] * len(coins))
                for name in ["price", "1h", "24h", "7d", "24h_volume", "mkt_cap", "liquidity_ratio", "price_change_24h"]
            },
            **{field.name: pa.nulls(len(coins), field.type) for field in OPTIONAL_SCHEMA},
            "source_file": pa.array(["f"] * len(coins)).dictionary_encode(),
            "arrival": pa.array([arrival] * len(coins)),
        }
    )


@pytest.fixture
def parts() -> dict[int, pa.Table]:
    return {
        1: accepted_rows(MARCH, "A", "B", arrival=1),
        2: accepted_rows(MARCH, "B", "C", arrival=2),
        3: accepted_rows(MAY, "Z", arrival=3),
    }


@pytest.fixture
def frame(parts: dict[int, pa.Table], tmp_path: Path) -> pd.DataFrame:
    return merge_arrivals(Home.at(tmp_path).store.read("raw_snapshots", []), [parts[1], parts[2]])


def test_rows_hidden_by_a_later_arrival_are_not_lost(frame, parts) -> None:
    assert_no_rows_lost(frame, parts, months=["2022-03"])
    assert_no_rows_lost(frame.iloc[:0], {}, months=["2022-03"])


@pytest.mark.parametrize("row", [0, 1, 2])
def test_a_missing_row_is_an_error(frame, parts, row: int) -> None:
    with pytest.raises(AssertionError, match="1 accepted rows are not among" if row != 1 else "2 accepted rows"):
        assert_no_rows_lost(frame.drop(index=row).reset_index(drop=True), parts, months=["2022-03"])
    with pytest.raises(AssertionError, match=r"5 accepted rows .*arrivals 1, 2, 3"):
        assert_no_rows_lost(frame.iloc[:0], parts, months=["2022-03", "2022-05"])


def test_a_row_replaced_by_an_earlier_arrival_is_an_error(frame, parts) -> None:
    earlier = frame.assign(arrival=1)
    with pytest.raises(AssertionError, match=r"2 accepted rows .*\(arrivals 2\)"):
        assert_no_rows_lost(earlier, parts, months=["2022-03"])


def test_two_rows_of_one_coin_and_date_are_an_error(frame, parts) -> None:
    twice = frame.iloc[np.array([0, 1, 1, 2])].reset_index(drop=True)
    with pytest.raises(AssertionError, match="two rows of one date"):
        assert_no_rows_lost(twice, parts, months=["2022-03"])


def test_an_ingestion_that_loses_rows_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home.at(tmp_path)
    home.drop(NAME, content())
    home.look()
    monkeypatch.setattr(month_rows_module, "_of_months", lambda rows, file, months: rows.slice(1))
    with pytest.raises(AssertionError, match="1 accepted rows are not among those to be written"):
        home.intake.ingest(["2022-03"])
