"""Memory of a run depends on its months, not on history: the months that real runs read are counted."""

import datetime as dt
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

from cryptoliq_assets.core.calendar import months_between
from cryptoliq_assets.orchestration.runner import Runner
from cryptoliq_assets.schemas.tables import DERIVED_TABLES, Table
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.markets import Home, file_name, quick_folder, snapshot

LAST = dt.date(2022, 6, 10)


def home_with_history(folder: Path, *, months: int, **options: object) -> Home:
    """A home with two refreshed days in each of so many months before LAST, and a pending file of LAST."""
    home = Home.at(folder, storage__first_month="2013-01", **options)
    number = LAST.year * 12 + LAST.month - 1
    for back in range(months, 0, -1):
        year, month = divmod(number - back, 12)
        day = dt.date(year, month + 1, 10)
        home.drop(file_name(day), snapshot([day, day + dt.timedelta(days=1)]), moment=1_000_000 + day.toordinal())
    home.bring_up_to_date()
    home.drop(file_name(LAST), snapshot([LAST]))
    return home


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[list[tuple[str, str]]]:
    """Record (table, month) of each month file read into memory, separately for each frame and each check."""
    calls: list[list[tuple[str, str]]] = []
    read_month = TableStore._read_month

    def count_calls(name: str) -> None:
        read = getattr(TableStore, name)

        def counted(store: TableStore, *args: object, **options: object) -> object:
            calls.append([])
            return read(store, *args, **options)

        monkeypatch.setattr(TableStore, name, counted)

    def record_month(store: TableStore, spec: Table, month: str, *args: object, **options: object) -> pa.Table:
        calls[-1].append((spec.name, month))
        return read_month(store, spec, month, *args, **options)

    count_calls("read")
    count_calls("verify")
    monkeypatch.setattr(TableStore, "_read_month", record_month)
    return calls


def refresh(home: Home, reads: list[list[tuple[str, str]]]) -> list[list[tuple[str, str]]]:
    """Run the planned refreshes through Dagster; return the months that they read."""
    runner = Runner(home.settings)
    runner.register_files()
    ranges = runner.plan().ranges
    reads.clear()
    runner.refresh(ranges)
    assert not runner.plan().months
    return [list(call) for call in reads]


def test_a_new_day_reads_as_many_months_after_two_years(
    reads: list[list[tuple[str, str]]],
) -> None:
    with quick_folder() as folder:
        short = refresh(home_with_history(folder / "short", months=6), reads)
        long = refresh(home_with_history(folder / "long", months=24), reads)
    assert Counter(month for call in short for month in call) == Counter(month for call in long for month in call)
    # The month of the run, and the three months that its windows reach back.
    assert {month for call in long for _, month in call} <= set(months_between("2022-03", "2022-06"))
    assert {table for call in long for table, _ in call} >= set(DERIVED_TABLES)


@pytest.mark.parametrize("most", [4, 6])
def test_a_rebuild_reads_at_most_the_months_of_one_run(reads: list[list[tuple[str, str]]], most: int) -> None:
    with quick_folder() as folder:
        home = home_with_history(folder / "home", months=11, backfill__max_months_per_run=most)
        for table in DERIVED_TABLES:
            for month in home.store.months(table):
                home.store.path(table, month).unlink()
        calls = refresh(home, reads)
    assert len({month for call in calls for table, month in call if table == "cleaned_snapshots"}) == 12
    # 90 days of history are in the three previous months.
    assert max(map(len, calls)) == most + 3
