"""Incremental equals full: files in any order give the tables of one rebuild from all files."""

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import Phase, event, given, settings, strategies as st

from cryptoliq_assets.core.calendar import first_day, months_between
from cryptoliq_assets.modeling.views_table import update_views
from cryptoliq_assets.orchestration.runner import Runner
from cryptoliq_assets.schemas.tables import DERIVED_TABLES, TRAINING_TABLES
from cryptoliq_assets_tests.support.markets import COINS, Home, assert_same_tables, file_name, quick_folder, snapshot

FIRST = dt.date(2021, 12, 20)
# More than five months: longer than the 90 days of history and the 3 days that a filled cell adds.
SPAN_DAYS = 170
EDGES = st.sampled_from(months_between("2022-01", "2022-06"))
UNREADABLE = b"coin;symbol;price\nBitcoin;BTC;1\n"


@dataclass(frozen=True)
class Drop:
    """A file dropped into the folder: `content` determines the numbers of its rows; None is a rejected file."""

    name: str
    dates: frozenset[dt.date]
    content: int | None

    @property
    def raw(self) -> bytes:
        return UNREADABLE if self.content is None else snapshot(self.dates, seed=self.content, coins=COINS[:4])


@dataclass
class Expected:
    """Return the accepted files by the rules of the drop folder: by name the newest valid content, in order of arrival."""

    newest: dict[str, bytes] = field(default_factory=dict)
    good: dict[str, bytes] = field(default_factory=dict)

    def arrive(self, batch: list[Drop]) -> None:
        # A name dropped twice between two registrations is seen once, with its last content.
        seen = {drop.name: drop for drop in batch}
        for drop in sorted(seen.values(), key=lambda drop: max(i for i, other in enumerate(batch) if other is drop)):
            content = drop.raw
            if self.newest.get(drop.name) == content and content != UNREADABLE:
                continue
            self.newest[drop.name] = content
            if content != UNREADABLE:
                self.good.pop(drop.name, None)
                self.good[drop.name] = content


def market_days() -> st.SearchStrategy[list[dt.date]]:
    """Days in clusters, so that windows, fills and targets interact; often across the boundary of a month."""
    at_an_edge = st.builds(lambda month, before: first_day(month) - dt.timedelta(days=before), EDGES, st.integers(1, 3))
    anywhere = st.integers(0, SPAN_DAYS).map(lambda step: FIRST + dt.timedelta(days=step))
    cluster = st.builds(
        lambda start, length: [start + dt.timedelta(days=step) for step in range(length)],
        at_an_edge | anywhere,
        st.integers(2, 5),
    )
    clusters = st.lists(cluster, min_size=2, max_size=4)
    return clusters.map(lambda found: sorted({day for days in found for day in days}))


@st.composite
def arrivals(draw: st.DrawFn) -> list[list[Drop]]:
    """Batches of drops: days in any order, late, repeated, corrected, several days per file, some files rejected."""
    days = draw(market_days())
    # Few names, so that most files are corrected, often to other days.
    names = [file_name(day) for day in draw(st.permutations(days))[:3]]
    one = st.builds(
        Drop,
        name=st.sampled_from(names),
        dates=st.frozensets(st.sampled_from(days), min_size=1, max_size=5),
        content=st.sampled_from([0, 0, 0, 1, 2, None]),
    )
    return draw(st.lists(st.lists(one, min_size=1, max_size=3), min_size=2, max_size=4))


def put(home: Home, batch: list[Drop]) -> None:
    for drop in batch:
        (home.settings.raw_dir / drop.name).unlink(missing_ok=True)
        home.drop(drop.name, drop.raw)


def rebuilt(folder: Path, expected: Expected, **options: object) -> Home:
    """Run one refresh from all existing files, in order of arrival."""
    home = Home.at(folder, **options)
    for name, content in expected.good.items():
        home.drop(name, content)
    home.bring_up_to_date()
    return home


def check_incremental_equals_full(batches: list[list[Drop]], *, horizon: int, months_per_run: int) -> None:
    with quick_folder() as folder:
        options = {"horizon_days": horizon, "storage__first_month": "2021-11"}
        home = Home.at(folder / "incremental", backfill__max_months_per_run=months_per_run, **options)
        expected = Expected()
        for batch in batches:
            put(home, batch)
            expected.arrive(batch)
            plan = home.bring_up_to_date()
            left = home.plan()
            assert (left.months, left.waiting, left.unfinished) == ([], [], []), (plan.ranges, left)
            # Trainings between the arrivals compute the months that changed since.
            update_views(home.settings, home.store)
        states = {file.state for file in home.catalog.files()}
        event(f"states: {', '.join(sorted(states))}; {len(batches)} batches; {len(home.refreshed)} runs")
        full = rebuilt(folder / "full", expected, backfill__max_months_per_run=240, **options)
        update_views(full.settings, full.store)
        assert_same_tables(home.store, full.store, (*DERIVED_TABLES, *TRAINING_TABLES))


def examples(count: int) -> settings:
    # A failing example is reported as found: shrinking it takes minutes.
    phases = (Phase.explicit, Phase.reuse, Phase.generate)
    return settings(max_examples=count, phases=phases)


@examples(22)
@given(arrivals(), st.sampled_from([1, 1, 3, 28]))
def test_files_in_any_order_give_the_tables_of_one_rebuild(batches: list[list[Drop]], horizon: int) -> None:
    check_incremental_equals_full(batches, horizon=horizon, months_per_run=24)


@examples(8)
@given(arrivals(), st.sampled_from([1, 3]))
def test_chunked_ranges_give_the_tables_of_one_rebuild(batches: list[list[Drop]], horizon: int) -> None:
    check_incremental_equals_full(batches, horizon=horizon, months_per_run=2)


def run_full(home: Home) -> None:
    """Register files and run the refreshes that are due, as `cryptoliq materialize` does."""
    runner = Runner(home.settings)
    runner.register_files()
    runner.refresh(runner.plan().ranges)
    assert runner.plan().months == []


def test_dagster_runs_of_late_files_give_the_tables_of_a_rebuild() -> None:
    newyear, first, second = dt.date(2022, 1, 1), dt.date(2022, 2, 28), dt.date(2022, 3, 1)
    january = {dt.date(2022, 1, 31), dt.date(2022, 2, 1)}
    batches = [
        [Drop(file_name(second), frozenset({second, second + dt.timedelta(days=1)}), 0)],
        # Two months late; and a correction that removes a day.
        [
            Drop(file_name(newyear), frozenset({newyear - dt.timedelta(days=1), newyear, first, *january}), 0),
            Drop(file_name(second), frozenset({second}), 1),
            Drop(file_name(first), frozenset({first}), None),
        ],
        # Corrected to days of another month, and a file that was rejected before.
        [
            Drop(file_name(newyear), frozenset({newyear, second, *january}), 2),
            Drop(file_name(first), frozenset({first, second}), 0),
            Drop(file_name(second), frozenset({second}), 1),
        ],
    ]
    with quick_folder() as folder:
        home = Home.at(folder / "incremental", backfill__max_months_per_run=2, storage__first_month="2021-11")
        expected = Expected()
        for batch in batches:
            put(home, batch)
            expected.arrive(batch)
            run_full(home)
        states = [file.state for file in home.catalog.files()]
        assert (states.count("superseded"), states.count("refused"), states.count("accepted")) == (2, 1, 3)
        full = Home.at(folder / "full", storage__first_month="2021-11")
        for name, content in expected.good.items():
            full.drop(name, content)
        run_full(full)
        assert_same_tables(home.store, full.store)
        # The driver of the property test above gives the same tables as Dagster runs.
        assert_same_tables(home.store, rebuilt(folder / "driver", expected, storage__first_month="2021-11").store)
