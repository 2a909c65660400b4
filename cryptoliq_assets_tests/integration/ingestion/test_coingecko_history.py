"""History: values at midnight, one file per day, nothing requested twice, no live snapshot replaced."""

import csv
import datetime as dt
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryptoliq_assets.ingestion.coingecko.csv_export import write_if_changed
from cryptoliq_assets.ingestion.coingecko.errors import BudgetExhaustedError, FetchError
from cryptoliq_assets.ingestion.coingecko.history import HistoryFetcher, HistoryProgress, writer
from cryptoliq_assets.ingestion.coingecko.history.charts import extract_daily_points, make_daily_rows
from cryptoliq_assets.ingestion.coingecko.history.provenance import find_known_days, record_written
from cryptoliq_assets.ingestion.coingecko.snapshot import fetch_snapshot
from cryptoliq_assets.ingestion.landing.drop_folder import dry_run_file
from cryptoliq_assets_tests.support import coingecko_api as gecko
from cryptoliq_assets_tests.support.coingecko_api import DAY_MS, NOW, Fault, Service, Waited, coin, fetching, serving
from cryptoliq_assets_tests.support.markets import Home, snapshot

DAY = dt.date(2025, 3, 5)


@pytest.fixture
def service() -> Iterator[Service]:
    with serving(Service(coins=[coin(place) for place in range(1, 5)])) as service:
        yield service


def rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["coin"]: row for row in csv.DictReader(file)}


def history(
    home: Path, service: Service, waited: Waited, *, days: int = 10, top: int = 3, **said: object
) -> HistoryFetcher:
    """A history by a clock that the service goes by as well."""
    service.now = lambda: waited.at
    return HistoryFetcher(fetching(home, service, **said), days, top, clock=waited.clock)


def asked_days(service: Service) -> list[str]:
    return [path.split("days=")[1].split("&")[0] for path in service.asked if "market_chart" in path]


def slow(service: Service, waited: Waited, seconds: float) -> None:
    """Each request takes so long."""

    def seen(path: str) -> None:
        waited.at += seconds

    service.seen = seen


def shape(files: list[Path]) -> dict[str, tuple[int, int]]:
    """By day: rows, and rows with a change of 7d."""
    return {path.stem[-10:]: (len(rows(path)), sum(bool(row["7d"]) for row in rows(path).values())) for path in files}


def test_a_history_is_a_file_per_day_with_changes_from_prices(tmp_path, service) -> None:
    said: list[str] = []
    shown: list[HistoryProgress] = []
    asked = history(tmp_path, service, Waited())
    asked.log, asked.report_progress = said.append, shown.append
    made = asked.fetch()
    names = [f"coin_gecko_{DAY - dt.timedelta(days=back)}.csv" for back in range(9, -1, -1)]
    assert [path.name for path in made.files] == names
    assert service.charts() == ["coin-1", "coin-2", "coin-3"]
    first, last = rows(made.files[0]), rows(made.files[-1])
    # Prices of coin-1: 92 on the first day, a dollar more each day, 101 at today's midnight; 9999 is "now". Asked for are
    # eight days before the first as well.
    assert asked_days(service) == ["18"] * 3
    assert last["coin-1"] == {
        "coin": "coin-1",
        "symbol": "C1",
        "price": "101.0",
        "1h": "",
        "24h": repr((101 / 100 - 1) * 100),
        "7d": repr((101 / 94 - 1) * 100),
        "24h_volume": "101000.0",
        "mkt_cap": "101000000.0",
        "date": "2025-03-05",
        "price_change_24h": "1.0",
        "change_unit": "percent",
        "name": "Coin, the 1.",
    }
    changes = [repr((92 / 91 - 1) * 100), repr((92 / 85 - 1) * 100), "1.0"]
    assert [first["coin-1"][name] for name in ("price", "24h", "7d", "price_change_24h")] == ["92.0", *changes]
    report = dry_run_file(made.files[-1], asked.settings, today=DAY).report
    assert (report["unit"], report["unit_certain"], report["rows_kept"]) == ("percent", True, 3)
    assert said[0].startswith("3 of 3 charts to request, at 1000 requests per minute")
    assert [(reached.done, reached.wanted) for reached in shown] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert not asked.folder.exists()


def test_the_point_nearest_to_midnight_is_used() -> None:
    day = 20_000 * DAY_MS
    prices = [[day - 50, 1.0], [day + 20, 2.0], [day + DAY_MS - 3_600_000, 3.0], [day + DAY_MS + 100, 4.0]]
    chart = {"prices": [*prices, [day + DAY_MS + 200, 5.0]], "market_caps": [[day, None]], "total_volumes": []}
    now = (day + DAY_MS + 200) / 1000
    assert extract_daily_points(chart, now=now) == {"2024-10-04": {"price": 2.0}, "2024-10-05": {"price": 4.0}}


@pytest.mark.parametrize("moment", [1e299, -1e299, 0, 10**400, 20_003 * DAY_MS, True, None, "x"])
def test_points_with_an_impossible_time_are_ignored(moment) -> None:
    day = 20_000 * DAY_MS
    chart = {"prices": [[moment, 3.0], [day, 1.0], [day + 3_600_000, 2.0]], "market_caps": [], "total_volumes": []}
    assert extract_daily_points(chart, now=day / 1000 + 3600) == {"2024-10-04": {"price": 1.0}}


def test_changes_need_the_previous_day_and_a_positive_price() -> None:
    days = {"2025-03-01": {"price": 0.0}, "2025-03-02": {"price": 2.0}, "2025-03-04": {"price": 3.0}, "2025-03-05": {}}
    made = make_daily_rows(days, first=dt.date(2025, 3, 2), last=dt.date(2025, 3, 5))
    assert {day.day: (row["24h"], row["7d"]) for day, row in made.items()} == {2: ("", ""), 4: ("", "")}


def test_a_resumed_history_requests_nothing_twice(tmp_path, service) -> None:
    waited = Waited()
    service.faults = [("coin-2/market_chart", Fault(401, b'{"error":"gone wrong"}'))]
    with pytest.raises(FetchError, match="gone wrong"):
        history(tmp_path, service, waited).fetch()
    assert not list((tmp_path / "data").glob("raw/*"))
    # The next day: the list and the charts that are there still serve, and the days are those of the first try.
    waited.at += 86_400
    made = history(tmp_path, service, waited).fetch()
    assert (service.pages(), service.charts()) == ([1], ["coin-1", "coin-2", "coin-2", "coin-3"])
    assert made.files[-1].name == "coin_gecko_2025-03-05.csv"
    assert len(rows(made.files[-1])) == 3


def test_more_coins_request_only_the_missing_charts(tmp_path, service) -> None:
    service.faults = [("coin-2/market_chart", Fault(401))]
    with pytest.raises(FetchError):
        history(tmp_path, service, Waited(), top=2).fetch()
    history(tmp_path, service, Waited(), top=4).fetch()
    assert sorted(service.charts()) == ["coin-1", "coin-2", "coin-2", "coin-3", "coin-4"]


def test_an_unfinished_history_over_a_week_old_is_restarted(tmp_path, service) -> None:
    waited = Waited()
    service.faults = [("coin-2/market_chart", Fault(401))]
    with pytest.raises(FetchError):
        history(tmp_path, service, waited).fetch()
    waited.at += 8 * 86_400
    made = history(tmp_path, service, waited).fetch()
    assert made.files[-1].name == "coin_gecko_2025-03-13.csv"
    assert service.charts().count("coin-1") == 2


def test_a_live_snapshot_of_a_day_is_neither_replaced_nor_hidden(tmp_path, service) -> None:
    settings, waited = fetching(tmp_path, service, coingecko__top_n=2), Waited()
    live = fetch_snapshot(settings, clock=waited.clock).files[0]
    content = live.read_bytes()
    home = Home.at(tmp_path, storage__first_month="2025-01")
    home.now, home.today = dt.datetime(2025, 3, 5, 1, tzinfo=dt.UTC), DAY
    home.drop("coingecko_20250302.csv", snapshot([dt.date(2025, 3, 2)], missing=0))
    home.bring_up_to_date()
    (settings.raw_dir / "coingecko_20250302.csv").unlink()
    before = home.store.read("raw_snapshots")
    made = history(tmp_path, service, waited).fetch()
    # One day in the drop folder, one that only the catalog knows.
    assert made.notes == ["2 days are left out, another file covers them: 2025-03-02, 2025-03-05"]
    assert {path.name[-14:-4] for path in made.files}.isdisjoint({"2025-03-02", "2025-03-05"})
    assert (len(made.files), live.read_bytes()) == (8, content)
    home.look()
    home.bring_up_to_date()
    after = home.store.read("raw_snapshots")
    assert after["date"].nunique() == 10
    known = after[after["date"].isin(before["date"])].reset_index(drop=True)
    assert known[["price", "24h", "high_24h"]].equals(before[["price", "24h", "high_24h"]])


def test_a_later_live_snapshot_overrides_history(tmp_path, service) -> None:
    home = Home.at(tmp_path, storage__first_month="2025-01")
    home.now, home.today = dt.datetime(2025, 3, 5, 1, tzinfo=dt.UTC), DAY
    history(tmp_path, service, Waited()).fetch()
    home.look()
    home.bring_up_to_date()
    fetch_snapshot(fetching(tmp_path, service, coingecko__top_n=2), clock=Waited().clock)
    home.look()
    home.bring_up_to_date()
    raw = home.store.read("raw_snapshots", ["2025-03"])
    today = raw[raw["date"] == "2025-03-05"].set_index("coin")["price"]
    assert today.to_dict() == {"coin-1": 1000.0, "coin-2": 500.0, "coin-3": 103.0}


def home_of(tmp_path: Path) -> Home:
    home = Home.at(tmp_path, storage__first_month="2025-01")
    home.now, home.today = dt.datetime(2025, 3, 5, 1, tzinfo=dt.UTC), DAY
    return home


def test_history_never_replaces_a_foreign_file(tmp_path, service) -> None:
    home, names = home_of(tmp_path), [f"coin-{place}" for place in range(1, 51)]
    ingested, waiting = dt.date(2025, 3, 2), dt.date(2025, 3, 3)
    home.drop(f"coin_gecko_{ingested}.csv", snapshot([ingested], coins=names, missing=0))
    home.bring_up_to_date()
    # Known to nobody: only the drop folder has it; and one of several days under another day's name.
    own = home.drop(f"coin_gecko_{waiting}.csv", snapshot([waiting], coins=names, missing=0))
    home.drop("coingecko_20250227.csv", snapshot([dt.date(2025, 2, 27), dt.date(2025, 2, 28)], missing=0))
    os.symlink(own, own.with_name("coin_gecko_2025-03-04.csv"))
    content = own.read_bytes()
    made = history(tmp_path, service, Waited()).fetch()
    taken = "2025-02-27, 2025-02-28, 2025-03-02, 2025-03-03, 2025-03-04"
    assert made.notes == [f"5 days are left out, another file covers them: {taken}"]
    assert (len(made.files), own.read_bytes()) == (5, content)
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
    home, waited = home_of(tmp_path), Waited()
    changed = history(tmp_path, service, waited).fetch().files[3]
    if ingested:
        home.bring_up_to_date()
    changed.write_bytes(changed.read_bytes() + b"\n")
    if ingested:
        home.bring_up_to_date()
        changed.unlink()
    again = history(tmp_path, service, waited, top=2)
    again.refetch = True
    made = again.fetch()
    assert (len(made.files), changed.name in {path.name for path in made.files}) == (9, False)
    assert made.notes == ["1 days are left out, another file covers them: 2025-02-27"]


def test_history_replaces_nothing_without_provenance(tmp_path, service) -> None:
    history(tmp_path, service, Waited()).fetch()
    record = tmp_path / "data" / "fetch" / "written.json"
    assert sorted(json.loads(record.read_text())) == [
        f"coin_gecko_{DAY - dt.timedelta(days=n)}.csv" for n in range(9, -1, -1)
    ]
    service.asked.clear()
    again = history(tmp_path, service, Waited(), top=2)
    again.refetch = True
    record.write_text("[1]")
    with pytest.raises(FetchError, match=r"written.json is damaged .*; remove it"):
        again.fetch()
    record.unlink()
    made = again.fetch()
    assert made.files == []
    assert made.notes[0].startswith("10 days are left out, another file covers them: 2025-02-24, ")
    assert service.asked == []


def test_files_of_a_crashed_history_are_not_foreign(tmp_path, service, monkeypatch) -> None:
    waited, raw = Waited(), tmp_path / "data" / "raw"
    dying = history(tmp_path, service, waited)

    def write_or_die(*words: object) -> bool:
        if len(list(raw.glob("*.csv"))) == 3:
            raise KeyboardInterrupt
        return write_if_changed(*words)

    with monkeypatch.context() as patch:
        patch.setattr(writer, "write_if_changed", write_or_die)
        with pytest.raises(KeyboardInterrupt):
            dying.fetch()
    assert sorted(find_known_days(dying.settings).own) == [dt.date(2025, 2, day) for day in (24, 25, 26)]
    service.asked.clear()
    made = history(tmp_path, service, waited).fetch()
    assert (len(made.files), service.asked) == (7, [])
    assert made.notes == [
        "3 days already have history and are left unchanged; --again replaces it: 2025-02-24 to 2025-02-26"
    ]


def test_provenance_stores_few_versions_of_a_name(tmp_path, service) -> None:
    settings = fetching(tmp_path, service)
    for version in range(20):
        record_written({"coin_gecko_2025-03-05.csv": b"%d" % version}, settings)
    kept = json.loads((settings.fetch_dir / "written.json").read_text())["coin_gecko_2025-03-05.csv"]
    assert kept == [hashlib.sha256(b"%d" % version).hexdigest() for version in range(12, 20)]


def test_a_shorter_history_does_not_replace_a_longer_one(tmp_path, service) -> None:
    home, waited = home_of(tmp_path), Waited()
    history(tmp_path, service, waited, days=10, top=4).fetch()
    home.bring_up_to_date()
    service.asked.clear()
    made = history(tmp_path, service, waited, days=5, top=2).fetch()
    left = "5 days already have history and are left unchanged; --again replaces it: 2025-03-01 to 2025-03-05"
    assert (made.files, made.notes) == ([], [left, "no day is left to write: nothing was requested"])
    assert service.asked == []
    # The next day one is to be had.
    waited.at += 86_400
    made = history(tmp_path, service, waited, days=5, top=2).fetch()
    assert shape(made.files) == {"2025-03-06": (2, 2)}
    again = history(tmp_path, service, waited, days=5, top=2)
    again.refetch = True
    assert shape(again.fetch().files) == {f"2025-03-0{day}": (2, 2) for day in (2, 3, 4, 5)}
    home.now, home.today = dt.datetime(2025, 3, 6, 1, tzinfo=dt.UTC), dt.date(2025, 3, 6)
    home.bring_up_to_date()
    raw = home.store.read("raw_snapshots", ["2025-03"])
    assert raw.groupby(raw["date"].dt.day).size().to_dict() == {1: 4, 2: 2, 3: 2, 4: 2, 5: 2, 6: 2}


@pytest.mark.parametrize(("later", "last"), [(60, "2025-03-05"), (30 * 86_400, "2025-04-04")])
def test_an_empty_market_is_retried_and_not_stored(tmp_path, service, later: int, last: str) -> None:
    waited = Waited()
    service.faults = [("coins/markets", Fault(200, b"[]"))] * 6
    with pytest.raises(
        FetchError, match="the list of coins could not be fetched: page 1 of the market: 0 coins received"
    ):
        history(tmp_path, service, waited).fetch()
    waited.at += later
    service.asked.clear()
    made = history(tmp_path, service, waited).fetch()
    assert (service.pages(), made.files[-1].name, len(made.files)) == ([1], f"coin_gecko_{last}.csv", 10)


def test_a_truncated_list_of_coins_is_not_stored(tmp_path, service) -> None:
    service.coins = [coin(place) for place in range(1, 261)]
    part = Fault(200, json.dumps(service.coins[:100]).encode())
    service.faults = [("&page=1", part)] * 2
    with pytest.raises(
        FetchError, match="page 1 of the market returned 100 of 250 coins twice, although another page follows"
    ):
        history(tmp_path, service, Waited(), top=260).fetch()
    service.coins = service.coins[:4]
    service.asked.clear()
    made = history(tmp_path, service, Waited(), top=260).fetch()
    assert made.notes == ["4 coins received of 260 requested"]
    assert (service.pages(), shape(made.files[-1:])) == ([1, 1, 2], {"2025-03-05": (4, 4)})


def test_an_interrupted_list_is_not_resumed_on_another_day(tmp_path, service) -> None:
    service.coins = [coin(place) for place in range(1, 261)]
    waited = Waited()
    for days, pages in ((0, [1, 2]), (0, [2]), (1, [1, 2])):
        service.asked.clear()
        waited.at += days * 86_400
        service.faults = [("&page=2", Fault(401))]
        with pytest.raises(FetchError):
            history(tmp_path, service, waited, top=260).fetch()
        assert service.pages() == pages


def test_charts_without_a_day_are_requested_again(tmp_path, service) -> None:
    empty = Fault(200, b'{"prices":[],"market_caps":[],"total_volumes":[]}')
    service.faults = [("market_chart", empty)] * 3
    with pytest.raises(FetchError, match="the next run requests all of them again"):
        history(tmp_path, service, Waited()).fetch()
    # One such coin keeps the others' days from nobody.
    service.faults = [("coin-2/market_chart", empty)]
    made = history(tmp_path, service, Waited()).fetch()
    assert made.notes == ["1 coins are left out, their charts contain no day: coin-2"]
    assert shape(made.files) == {str(DAY - dt.timedelta(days=back)): (2, 2) for back in range(9, -1, -1)}


def test_midnight_during_a_fetch_gives_no_partial_day(tmp_path, service) -> None:
    waited = Waited(at=NOW - 2400 - 600)
    slow(service, waited, 300)
    made = history(tmp_path, service, waited, top=4).fetch()
    assert waited.at > NOW - 2400
    # Begun on 4 March at 23:50.
    assert shape(made.files) == {str(DAY - dt.timedelta(days=back)): (4, 4) for back in range(10, 0, -1)}


@pytest.mark.parametrize(("minutes", "last"), [(-20, "2025-03-04"), (-1, "2025-03-04"), (0, "2025-03-05")])
def test_a_day_is_written_once_it_is_certainly_served(tmp_path, service, minutes: int, last: str) -> None:
    # NOW is 00:40; a chart every 5 minutes, so some come after 00:35.
    waited, said = Waited(at=NOW + 60 * minutes), []
    slow(service, waited, 300)
    asked = history(tmp_path, service, waited, top=4)
    asked.log = said.append
    made = shape(asked.fetch().files)
    assert (max(made), len(made), set(made.values())) == (last, 10, {(4, 4)})
    assert ("the midnight of 2025-03-05 is available from 00:35 UTC: the last day is 2025-03-04" in said) == (
        minutes < 0
    )


def test_a_history_resumed_later_has_all_coins_on_all_days(tmp_path, service) -> None:
    waited = Waited()
    service.faults = [("coin-3/market_chart", Fault(401))]
    with pytest.raises(FetchError):
        history(tmp_path, service, waited, top=4).fetch()
    waited.at += 3 * 86_400
    made = history(tmp_path, service, waited, top=4).fetch()
    assert asked_days(service) == ["18", "18", "18", "21", "21"]
    assert shape(made.files) == {str(DAY - dt.timedelta(days=back)): (4, 4) for back in range(9, -1, -1)}


def test_days_beyond_later_charts_are_left_out_and_named(tmp_path, service) -> None:
    service.chart_price, waited = 1000.0, Waited()
    service.faults = [("coin-3/market_chart", Fault(401))]
    with pytest.raises(FetchError):
        history(tmp_path, service, waited, days=365, top=4).fetch()
    waited.at += 3 * 86_400
    made = history(tmp_path, service, waited, days=365, top=4).fetch()
    assert set(asked_days(service)) == {"365"}
    assert made.notes == [
        "3 days are left out, some charts were fetched too late to cover them: 2024-03-06 to 2024-03-08"
    ]
    made = shape(made.files)
    assert (min(made), max(made), len(made)) == ("2024-03-09", "2025-03-05", 362)
    # No chart may have the days before: the first week is without 7d, for every coin.
    assert (made["2024-03-09"], made["2024-03-15"], made["2024-03-16"]) == ((4, 0), (4, 0), (4, 4))


def test_fewer_coins_than_in_live_snapshots_are_reported(tmp_path, service) -> None:
    said: list[str] = []
    waited = Waited()
    fetch_snapshot(fetching(tmp_path, service), clock=waited.clock)
    for top, result in ((4, True), (500, False)):
        said.clear()
        asked = history(tmp_path, service, waited, top=top, days=9 + result)
        asked.log, asked.refetch = said.append, True
        asked.fetch()
        assert any("500 coins, this history 4:" in line and "--top 500" in line for line in said) is result


def test_a_removed_coin_is_left_out_and_reported(tmp_path, service) -> None:
    service.faults = [("coin-2/market_chart", Fault(404, b'{"error":"coin not found"}'))]
    made = history(tmp_path, service, Waited()).fetch()
    assert made.notes == ["1 coins no longer exist and are left out: coin-2"]
    assert sorted(rows(made.files[-1])) == ["coin-1", "coin-3"]


def test_a_failed_chart_blocks_the_files_unless_left_out(tmp_path, service) -> None:
    service.faults = [("coin-2/market_chart", Fault(500))] * 6
    with pytest.raises(FetchError, match=r"1 of 3 charts failed \(coin-2\), and no file is written"):
        history(tmp_path, service, Waited()).fetch()
    service.asked.clear()
    service.faults = [("coin-2/market_chart", Fault(500))] * 6
    asked = history(tmp_path, service, Waited())
    asked.leave_out_failed = True
    made = asked.fetch()
    assert set(service.charts()) == {"coin-2"}
    assert made.notes == ["1 coins are left out, their charts failed: coin-2"]
    assert len(made.files) == 10


def test_three_failed_coins_in_a_row_end_the_fetch(tmp_path, service) -> None:
    service.faults = [("market_chart", Fault(502))] * 50
    with pytest.raises(FetchError, match="3 charts in a row failed"):
        history(tmp_path, service, Waited(), top=4).fetch()
    assert len(service.charts()) == 18


def test_a_day_that_ingest_would_reject_is_left_out(tmp_path, service) -> None:
    # Prices below 0 on all but the newest days.
    service.chart_price, waited = 0.5, Waited()
    made = history(tmp_path, service, waited, top=1).fetch()
    assert [path.name for path in made.files] == ["coin_gecko_2025-03-04.csv", "coin_gecko_2025-03-05.csv"]
    refused = "8 days are left out, the first: coin_gecko_2025-02-24.csv is not written, ingest would"
    assert made.notes[0].startswith(refused)
    assert made.notes[1].startswith(f"the charts are kept in {tmp_path / 'data/fetch/history-10'}: ")
    # The same day again: nothing is asked for, and why days are lacking is said.
    service.asked.clear()
    made = history(tmp_path, service, waited, top=1).fetch()
    assert (made.files, service.asked) == ([], [])
    assert (
        made.notes[0]
        == "2 days already have history and are left unchanged; --again replaces it: 2025-03-04 to 2025-03-05"
    )
    assert made.notes[1].startswith(refused)
    # A new day is asked for.
    waited.at += 86_400
    made = history(tmp_path, service, waited, top=1).fetch()
    assert ([path.name for path in made.files], service.charts()) == (["coin_gecko_2025-03-06.csv"], ["coin-1"])


def test_history_beyond_the_plan_is_reported(tmp_path, service) -> None:
    service.faults = [("market_chart", gecko.BEYOND_PLAN)]
    with pytest.raises(
        FetchError, match="the chart of coin-1: your plan does not include this history; the key is valid"
    ):
        history(tmp_path, service, Waited(), days=400).fetch()
    assert len(service.charts()) == 1


def test_a_small_budget_is_reported_and_used_up(tmp_path, service) -> None:
    waited, said = Waited(), []
    settings = {"coingecko__requests_per_month": 3}
    asked = history(tmp_path, service, waited, **settings)
    asked.log = said.append
    with pytest.raises(BudgetExhaustedError):
        asked.fetch()
    assert said[1] == "only 2 requests are left this month; the rest must wait, and fetched charts are kept"
    assert service.charts() == ["coin-1", "coin-2"]
    # Later, with a larger budget: the one that is missing is asked for.
    waited.at += 6 * 86_400
    history(tmp_path, service, waited, coingecko__requests_per_month=4).fetch()
    assert service.charts() == ["coin-1", "coin-2", "coin-3"]


def test_the_estimate_includes_the_rate_limit(tmp_path, service) -> None:
    shown: list[HistoryProgress] = []
    waited = Waited()
    asked = history(tmp_path, service, waited, top=4, coingecko__requests_per_minute=2)
    asked.report_progress = shown.append
    asked.fetch()
    # The list took one request of the first minute.
    assert [round(reached.seconds_left) for reached in shown] == [120, 120, 60, 60, 0]


@pytest.mark.realdata
def test_recorded_charts_give_the_midnights_they_contain(real_data) -> None:
    chart = json.loads((real_data / "coingecko_api" / "market_chart_daily.json").read_text(encoding="utf-8"))
    now = 1_622_000_000.0
    days = extract_daily_points(chart, now=now)
    assert (len(days), min(days), max(days)) == (90, "2021-02-15", "2021-05-15")
    assert days["2021-02-15"] == {
        "price": 48607.8745224845,
        "mkt_cap": 905515462576.995,
        "24h_volume": 57738376570.131905,
    }
    hourly = json.loads((real_data / "coingecko_api" / "market_chart_hourly.json").read_text(encoding="utf-8"))
    close = extract_daily_points(hourly, now=now)
    shared = sorted(set(days) & set(close))[1:]
    assert len(shared) > 25
    # An hour at most lies between the two.
    assert max(abs(close[day]["price"] / days[day]["price"] - 1) for day in shared) < 0.03
