"""Snapshot differences: new, missing and renamed coins compared with the previous snapshot, from files and months."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest

from cryptoliq_assets.ingestion.quality.snapshot_diff import SnapshotComparer
from cryptoliq_assets_tests.support.markets import HEADER, Home

DAYS = [dt.date(2022, 3, 30), dt.date(2022, 3, 31), dt.date(2022, 4, 1), dt.date(2022, 4, 20)]


def rows(day: dt.date, *coins: str, price: float = 1.0) -> pa.Table:
    """Make rows of one day; the symbol of a coin is its first letter."""
    return pa.table(
        {
            "coin": list(coins),
            "symbol": [coin[0] for coin in coins],
            "date": pa.array([dt.datetime.combine(day, dt.time())] * len(coins), pa.timestamp("ns")),
            "price": [price] * len(coins),
            **{name: pa.array([None] * len(coins), pa.float64()) for name in ("mkt_cap", "24h_volume", "24h")},
        }
    )


def file(table: pa.Table, *dates: str) -> tuple[str, pa.Table, list[str]]:
    """Name a file after its last date."""
    return f"{dates[-1]}.csv", table, list(dates)


@pytest.fixture
def comparer(tmp_path: Path) -> SnapshotComparer:
    return SnapshotComparer(Home.at(tmp_path).store)


def test_each_file_is_compared_with_the_day_before(comparer: SnapshotComparer) -> None:
    files = [file(rows(DAYS[0], "Ada", "Bob"), "2022-03-30"), file(rows(DAYS[1], "Bob", "Ann", "Cid"), "2022-03-31")]
    first, second = comparer.compare(files)
    assert first == {
        "previous_snapshot": None,
        "coins_new": None,
        "coins_gone": None,
        "likely_renames": [],
        "reused_names": [],
        "scale_changes": [],
        "outliers": {"count": 0, "cells": []},
    }
    assert second["previous_snapshot"] == "2022-03-30"
    assert second["coins_new"] == {"count": 2, "coins": ["Ann", "Cid"]}
    assert second["coins_gone"] == {"count": 1, "coins": ["Ada"]}
    assert second["likely_renames"] == [{"old": "Ada", "new": "Ann"}]


def test_one_call_for_all_files_equals_one_call_per_file(tmp_path: Path) -> None:
    files = [
        file(rows(DAYS[0], "Ada", "Bob"), "2022-03-30"),
        file(rows(DAYS[2], "Cid", "Bob"), "2022-04-01"),
        file(rows(DAYS[1], "Bob", "Cid", "Dan"), "2022-03-31"),
        file(rows(DAYS[3], "Bob"), "2022-04-20"),
    ]
    store = Home.at(tmp_path).store
    batch, sequential = SnapshotComparer(store), SnapshotComparer(store)
    assert batch.compare(files) == [sequential.compare([single])[0] for single in files]
    assert batch.compare([]) == []


def test_the_last_day_of_a_file_counts(comparer: SnapshotComparer) -> None:
    both = pa.concat_tables([rows(DAYS[1], "Bob", "Cid"), rows(DAYS[0], "Ada", "Bob")])
    files = [file(both, "2022-03-30", "2022-03-31"), file(rows(DAYS[2], "Bob"), "2022-04-01")]
    assert comparer.compare(files)[1]["coins_gone"] == {"count": 1, "coins": ["Cid"]}


def test_stored_snapshots_count_up_to_seven_days_back(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    lines = [f"{coin},{coin[0]},1.0,-0.5,-2.5,-4,1e6,,{DAYS[1]}" for coin in ("Ada", "Bob")]
    home.drop("coingecko_20220331.csv", "\n".join([HEADER, *lines, ""]))
    home.look()
    result = home.intake.ingest(["2022-03"])
    home.store.write("raw_snapshots", result.frame, ["2022-03"], sources=result.sources)
    comparer = SnapshotComparer(home.store)
    near, far = comparer.compare(
        [file(rows(DAYS[2], "Bob", "Ann"), "2022-04-01"), file(rows(DAYS[3], "Bob"), "2022-04-20")]
    )
    assert (near["previous_snapshot"], far["previous_snapshot"]) == ("2022-03-31", None)
    assert near["likely_renames"] == [{"old": "Ada", "new": "Ann"}]


# Independent of the files in one run


def text(day: dt.date, *coins: str) -> str:
    lines = [f"{coin},{coin[0]},1.0,-0.5,-2.5,-4,1e6,,{day}" for coin in coins]
    return "\n".join([HEADER, *lines, ""])


def last_report(home: Home, files: list[tuple[str, str]], *, together: bool) -> dict:
    """Return the report of the last of these files, ingested in one run or in one run each."""
    months = ["2022-03", "2022-04"]
    for position, (name, content) in enumerate(files):
        home.drop(name, content)
        if together and position < len(files) - 1:
            continue
        home.look()
        result = home.intake.ingest(months)
        home.store.write("raw_snapshots", result.frame, months, sources=result.sources)
    report = result.reports[-1]
    return {key: report[key] for key in ("previous_snapshot", "coins_new", "coins_gone", "likely_renames")}


NEXT = ("coingecko_20220401.csv", text(DAYS[2], "Ada", "Bob", "Cid", "Dan"))
FULL = ("coingecko_20220331.csv", text(DAYS[1], "Ada", "Bob", "Cid"))


@pytest.mark.parametrize("together", [True, False])
def test_a_second_file_of_a_day_adds_to_its_coins(tmp_path: Path, together: bool) -> None:
    partial = ("coin_gecko_2022-03-31.csv", text(DAYS[1], "Bob"))
    report = last_report(Home.at(tmp_path), [FULL, partial, NEXT], together=together)
    assert report["coins_new"] == {"count": 1, "coins": ["Dan"]}
    assert report["coins_gone"] == {"count": 0, "coins": []}


@pytest.mark.parametrize("together", [True, False])
def test_all_days_of_a_file_count_for_later_files(tmp_path: Path, together: bool) -> None:
    late = "\n".join([FULL[1].strip(), *text(DAYS[3], "Bob").splitlines()[1:], ""])
    report = last_report(Home.at(tmp_path), [("coingecko_20220420.csv", late), NEXT], together=together)
    assert (report["previous_snapshot"], report["coins_new"]["coins"]) == ("2022-03-31", ["Dan"])


def test_a_correction_replaces_the_stored_version(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    last_report(home, [FULL], together=True)
    report = last_report(home, [(FULL[0], text(DAYS[1], "Ada")), NEXT], together=True)
    assert report["coins_new"]["coins"] == ["Bob", "Cid", "Dan"]


def test_a_damaged_month_is_skipped_and_blocks_no_file(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    last_report(home, [FULL], together=True)
    home.store.path("raw_snapshots", "2022-03").write_bytes(b"damaged")
    home.drop(*NEXT)
    home.look()
    assert home.intake.ingest(["2022-04"]).reports[0]["previous_snapshot"] is None
