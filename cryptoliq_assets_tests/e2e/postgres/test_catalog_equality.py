"""The catalog does the same on Postgres as on SQLite."""

import datetime as dt
import tempfile
import threading
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from cryptoliq_assets.core.database import Database, DatabaseUnavailableError, Market
from cryptoliq_assets.ingestion.landing.catalog import Catalog, DiscoveredFile
from cryptoliq_assets_tests.support.postgres import Postgres

NOW = dt.datetime(2022, 3, 20, 9, 30, 15, tzinfo=dt.UTC)
DAYS = [dt.date(2022, 2, 28), dt.date(2022, 3, 1), dt.date(2022, 4, 2)]
numbers = st.integers(1, 6)
dates = st.frozensets(st.sampled_from(DAYS), max_size=2)
texts = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=5)
versions = st.builds(
    DiscoveredFile,
    name=st.sampled_from(["a.csv", "b.csv", "ä 'b\".csv"]),
    sha256=st.sampled_from(["1", "2"]),
    size=st.integers(0, 2**40),
    mtime_ns=st.integers(0, 2**62),
    dates=dates,
    ctime_ns=st.integers(0, 2**62),
)
steps = st.one_of(
    st.tuples(st.just("register"), st.lists(versions, max_size=3)),
    st.tuples(
        st.just("accepted"), st.lists(st.tuples(numbers, texts.map(lambda t: t.replace("\0", "")), dates), max_size=2)
    ),
    st.tuples(st.just("rejected"), st.lists(st.tuples(numbers, texts), max_size=2)),
    st.tuples(st.just("seen"), st.lists(st.tuples(numbers, numbers, numbers, numbers), max_size=2)),
)


def make_market(database: Database, *, pending: bool = False) -> Market:
    market = Market(database, uuid.uuid4().hex, uuid.uuid4().hex)
    with database.transaction() as session:
        session.execute(
            "INSERT INTO cryptoliq_markets (id, location, import_pending) VALUES (:id, :location, :pending)",
            [{"id": market.id, "location": market.location, "pending": pending}],
        )
    return market


def apply(catalog: Catalog, step: tuple) -> int | None:
    kind, values = step
    if kind == "register":
        return catalog.register(values, now=NOW)
    if kind == "seen":
        return catalog.update_mtime(values)
    return catalog.set_status(**{kind: values})


def contents(catalog: Catalog) -> tuple:
    files = [{**vars(file), "received_by": ""} for file in catalog.files()]
    since = [NOW - dt.timedelta(days=1), NOW + dt.timedelta(days=1)]
    spans = [catalog.date_span(rejected_since=at) for at in since]
    return files, spans, len(catalog.files(states=["waiting", "refused"])), sorted(catalog.newest_by_name())


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> Database:
    return Database(postgres.database())


def test_the_same_calls_give_the_same_catalog(database: Database) -> None:
    @hypothesis_settings(max_examples=12)
    @given(st.lists(steps, max_size=6))
    def compare(calls: list[tuple]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            local = Catalog(Path(folder) / "catalogue.sqlite")
            shared = Catalog(Path(folder) / "unused", market=make_market(database), home_id="a")
            for call in calls:
                assert apply(local, call) == apply(shared, call)
                assert contents(local) == contents(shared)
            copy = Catalog(Path(folder) / "copy", market=make_market(database), home_id="a")
            copy.insert(local.files())
            assert contents(copy) == contents(local)

    compare()


def test_two_homes_never_get_the_same_number(database: Database) -> None:
    market, start = make_market(database), threading.Barrier(2)

    def register(home: str) -> None:
        catalog = Catalog(Path(home), market=market, home_id=home)
        start.wait()
        for number in range(10):
            catalog.register([DiscoveredFile(f"{home}{number}.csv", "1", 1, 1, frozenset(DAYS[:1]))], now=NOW)

    threads = [threading.Thread(target=register, args=(home,)) for home in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    files = Catalog(Path(), market=market).all_files()
    assert [file.arrival for file in files] == list(range(1, 21))
    assert sum(file.received_by == "a" for file in files) == 10


def test_first_connections_at_once_migrate_once(postgres: Postgres) -> None:
    url, start, errors = postgres.database(), threading.Barrier(3), []

    def connect() -> None:
        start.wait()
        try:
            with Database(url).transaction() as session:
                assert session.fetch("SELECT count(*) FROM cryptoliq_files") == [(0,)]
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=connect) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []


def test_the_schema_of_a_later_version_is_rejected(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(postgres.database())
    with database.transaction() as session:
        session.execute("UPDATE cryptoliq_schema SET version_num = :revision", [{"revision": "9999"}])
    monkeypatch.setattr("cryptoliq_assets.core.database.schema._current", set())
    with pytest.raises(DatabaseUnavailableError, match="schema 9999 of a later version"), database.transaction():
        pass
