"""CoinGecko history replaces only its own files: no live snapshot, no foreign or modified file."""

import datetime as dt
import hashlib
import json
import os
from pathlib import Path

import pytest

from cryptoliq_assets.ingestion.coingecko.csv_export import write_if_changed
from cryptoliq_assets.ingestion.coingecko.errors import FetchError
from cryptoliq_assets.ingestion.coingecko.history import writer
from cryptoliq_assets.ingestion.coingecko.history.provenance import find_known_days, record_written
from cryptoliq_assets.ingestion.coingecko.snapshot import fetch_snapshot
from cryptoliq_assets_tests.support.coingecko_api import FakeClock, make_fetch_settings
from cryptoliq_assets_tests.support.coingecko_runs import DAY, count_rows, make_history
from cryptoliq_assets_tests.support.markets import Home, snapshot

COINS = 4


def test_a_live_snapshot_of_a_day_is_neither_replaced_nor_hidden(tmp_path, service) -> None:
    settings, clock = make_fetch_settings(tmp_path, service, coingecko__top_n=2), FakeClock()
    live = fetch_snapshot(settings, clock=clock).files[0]
    content = live.read_bytes()
    home = Home.at(tmp_path, storage__first_month="2025-01")
    home.now, home.today = dt.datetime(2025, 3, 5, 1, tzinfo=dt.UTC), DAY
    home.drop("coingecko_20250302.csv", snapshot([dt.date(2025, 3, 2)], missing=0))
    home.bring_up_to_date()
    (settings.raw_dir / "coingecko_20250302.csv").unlink()
    before = home.store.read("raw_snapshots")
    result = make_history(tmp_path, service, clock).fetch()
    # One day in the drop folder, one that only the catalog knows.
    assert result.notes == ["2 days are left out, another file covers them: 2025-03-02, 2025-03-05"]
    assert {path.name[-14:-4] for path in result.files}.isdisjoint({"2025-03-02", "2025-03-05"})
    assert (len(result.files), live.read_bytes()) == (8, content)
    home.look()
    home.bring_up_to_date()
    after = home.store.read("raw_snapshots")
    assert after["date"].nunique() == 10
    known = after[after["date"].isin(before["date"])].reset_index(drop=True)
    assert known[["price", "24h", "high_24h"]].equals(before[["price", "24h", "high_24h"]])


def test_a_later_live_snapshot_overrides_history(tmp_path, service) -> None:
    home = Home.at(tmp_path, storage__first_month="2025-01")
    home.now, home.today = dt.datetime(2025, 3, 5, 1, tzinfo=dt.UTC), DAY
    make_history(tmp_path, service, FakeClock()).fetch()
    home.look()
    home.bring_up_to_date()
    fetch_snapshot(make_fetch_settings(tmp_path, service, coingecko__top_n=2), clock=FakeClock())
    home.look()
    home.bring_up_to_date()
    raw = home.store.read("raw_snapshots", ["2025-03"])
    today = raw[raw["date"] == "2025-03-05"].set_index("coin")["price"]
    assert today.to_dict() == {"coin-1": 1000.0, "coin-2": 500.0, "coin-3": 103.0}


def make_home(tmp_path: Path) -> Home:
    home = Home.at(tmp_path, storage__first_month="2025-01")
    home.now, home.today = dt.datetime(2025, 3, 5, 1, tzinfo=dt.UTC), DAY
    return home


def test_history_never_replaces_a_foreign_file(tmp_path, service) -> None:
    home, names = make_home(tmp_path), [f"coin-{rank}" for rank in range(1, 51)]
    ingested, waiting = dt.date(2025, 3, 2), dt.date(2025, 3, 3)
    home.drop(f"coin_gecko_{ingested}.csv", snapshot([ingested], coins=names, missing=0))
    home.bring_up_to_date()
    # Unknown to the catalog: one file only in the drop folder, and one with two days under the name of another day.
    own = home.drop(f"coin_gecko_{waiting}.csv", snapshot([waiting], coins=names, missing=0))
    home.drop("coingecko_20250227.csv", snapshot([dt.date(2025, 2, 27), dt.date(2025, 2, 28)], missing=0))
    os.symlink(own, own.with_name("coin_gecko_2025-03-04.csv"))
    content = own.read_bytes()
    result = make_history(tmp_path, service, FakeClock()).fetch()
    foreign_days = "2025-02-27, 2025-02-28, 2025-03-02, 2025-03-03, 2025-03-04"
    assert result.notes == [f"5 days are left out, another file covers them: {foreign_days}"]
    assert (len(result.files), own.read_bytes()) == (5, content)
    assert own.with_name("coin_gecko_2025-03-04.csv").is_symlink()
    home.bring_up_to_date()
    raw = home.store.read("raw_snapshots", ["2025-03"])
    assert raw.groupby(raw["date"].astype(str)).size().to_dict() == {
        "2025-03-01": 3,
        "2025-03-02": 50,
        "2025-03-03": 50,
        "2025-03-05": 3,
    }


@pytest.mark.parametrize("ingested", [True, False])
def test_a_modified_history_file_counts_as_foreign(tmp_path, service, ingested: bool) -> None:
    home, clock = make_home(tmp_path), FakeClock()
    changed = make_history(tmp_path, service, clock).fetch().files[3]
    if ingested:
        home.bring_up_to_date()
    changed.write_bytes(changed.read_bytes() + b"\n")
    if ingested:
        home.bring_up_to_date()
        changed.unlink()
    again = make_history(tmp_path, service, clock, top=2)
    again.refetch = True
    result = again.fetch()
    assert (len(result.files), changed.name in {path.name for path in result.files}) == (9, False)
    assert result.notes == ["1 days are left out, another file covers them: 2025-02-27"]


def test_history_replaces_nothing_without_provenance(tmp_path, service) -> None:
    make_history(tmp_path, service, FakeClock()).fetch()
    record = tmp_path / "data" / "fetch" / "written.json"
    assert sorted(json.loads(record.read_text())) == [
        f"coin_gecko_{DAY - dt.timedelta(days=n)}.csv" for n in range(9, -1, -1)
    ]
    service.requests.clear()
    again = make_history(tmp_path, service, FakeClock(), top=2)
    again.refetch = True
    record.write_text("[1]")
    with pytest.raises(FetchError, match=r"written.json is damaged .*; remove it"):
        again.fetch()
    record.unlink()
    result = again.fetch()
    assert result.files == []
    assert result.notes[0].startswith("10 days are left out, another file covers them: 2025-02-24, ")
    assert service.requests == []


def test_files_of_a_crashed_history_are_not_foreign(tmp_path, service, monkeypatch) -> None:
    clock, raw = FakeClock(), tmp_path / "data" / "raw"
    interrupted = make_history(tmp_path, service, clock)

    def write_or_fail(*arguments: object) -> bool:
        if len(list(raw.glob("*.csv"))) == 3:
            raise KeyboardInterrupt
        return write_if_changed(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(writer, "write_if_changed", write_or_fail)
        with pytest.raises(KeyboardInterrupt):
            interrupted.fetch()
    assert sorted(find_known_days(interrupted.settings).own) == [dt.date(2025, 2, day) for day in (24, 25, 26)]
    service.requests.clear()
    result = make_history(tmp_path, service, clock).fetch()
    assert (len(result.files), service.requests) == (7, [])
    assert result.notes == [
        "3 days already have history and are left unchanged; --again replaces it: 2025-02-24 to 2025-02-26"
    ]


def test_provenance_stores_few_versions_of_a_name(tmp_path, service) -> None:
    settings = make_fetch_settings(tmp_path, service)
    for version in range(20):
        record_written({"coin_gecko_2025-03-05.csv": b"%d" % version}, settings)
    digests = json.loads((settings.fetch_dir / "written.json").read_text())["coin_gecko_2025-03-05.csv"]
    assert digests == [hashlib.sha256(b"%d" % version).hexdigest() for version in range(12, 20)]


def test_a_shorter_history_does_not_replace_a_longer_one(tmp_path, service) -> None:
    home, clock = make_home(tmp_path), FakeClock()
    make_history(tmp_path, service, clock, days=10, top=4).fetch()
    home.bring_up_to_date()
    service.requests.clear()
    result = make_history(tmp_path, service, clock, days=5, top=2).fetch()
    unchanged = "5 days already have history and are left unchanged; --again replaces it: 2025-03-01 to 2025-03-05"
    assert (result.files, result.notes) == ([], [unchanged, "no day is left to write: nothing was requested"])
    assert service.requests == []
    # On the next day, one day is available.
    clock.at += 86_400
    result = make_history(tmp_path, service, clock, days=5, top=2).fetch()
    assert count_rows(result.files) == {"2025-03-06": (2, 2)}
    again = make_history(tmp_path, service, clock, days=5, top=2)
    again.refetch = True
    assert count_rows(again.fetch().files) == {f"2025-03-0{day}": (2, 2) for day in (2, 3, 4, 5)}
    home.now, home.today = dt.datetime(2025, 3, 6, 1, tzinfo=dt.UTC), dt.date(2025, 3, 6)
    home.bring_up_to_date()
    raw = home.store.read("raw_snapshots", ["2025-03"])
    assert raw.groupby(raw["date"].dt.day).size().to_dict() == {1: 4, 2: 2, 3: 2, 4: 2, 5: 2, 6: 2}
