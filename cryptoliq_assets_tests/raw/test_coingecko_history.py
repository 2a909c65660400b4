"""History: midnights from charts, a file a day, nothing asked twice, no live snapshot replaced."""

import csv
import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cryptoliq_assets.raw.coingecko_charts import daily_points, rows_of
from cryptoliq_assets.raw.coingecko_errors import BudgetSpent, FetchError
from cryptoliq_assets.raw.coingecko_history import History, Progress
from cryptoliq_assets.raw.coingecko_snapshot import fetch_snapshot
from cryptoliq_assets.raw.folder import examine
from cryptoliq_assets_tests import coingecko as gecko
from cryptoliq_assets_tests.coingecko import DAY_MS, Fault, Service, Waited, coin, fetching, serving
from cryptoliq_assets_tests.markets import Home, snapshot

DAY = dt.date(2025, 3, 5)


@pytest.fixture
def service() -> Iterator[Service]:
    with serving(Service(coins=[coin(place) for place in range(1, 5)])) as service:
        yield service


def rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["coin"]: row for row in csv.DictReader(file)}


def history(home: Path, service: Service, waited: Waited, *, days: int = 10, top: int = 3, **said: object) -> History:
    return History(fetching(home, service, **said), days, top, clock=waited.clock)


def test_a_history_is_a_file_a_day_with_changes_made_from_prices(tmp_path, service) -> None:
    said: list[str] = []
    shown: list[Progress] = []
    asked = history(tmp_path, service, Waited())
    asked.say, asked.show = said.append, shown.append
    made = asked.fetch()
    names = [f"coin_gecko_{DAY - dt.timedelta(days=back)}.csv" for back in range(9, -1, -1)]
    assert [path.name for path in made.files] == names
    assert service.charts() == ["coin-1", "coin-2", "coin-3"]
    first, last = rows(made.files[0]), rows(made.files[-1])
    # Prices of coin-1: 92 on the first day, a dollar more each day, 101 at today's midnight; 9999 is "now".
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
        "name": "Coin, the 1.",
    }
    assert [first["coin-1"][name] for name in ("price", "24h", "7d", "price_change_24h")] == ["92.0", "", "", ""]
    report = examine(made.files[-1], asked.settings, today=DAY).report
    assert (report["unit"], report["unit_certain"], report["rows_kept"]) == ("percent", True, 3)
    assert said[0].startswith("3 of 3 charts to ask for, 1000 requests a minute")
    assert [(reached.done, reached.wanted) for reached in shown] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert not asked.folder.exists()


def test_a_point_belongs_to_the_nearest_midnight_the_nearest_counts_and_now_is_dropped() -> None:
    day = 20_000 * DAY_MS
    prices = [[day - 50, 1.0], [day + 20, 2.0], [day + DAY_MS - 3_600_000, 3.0], [day + DAY_MS + 100, 4.0]]
    chart = {"prices": [*prices, [day + DAY_MS + 200, 5.0]], "market_caps": [[day, None]], "total_volumes": []}
    assert daily_points(chart) == {"2024-10-04": {"price": 2.0}, "2024-10-05": {"price": 4.0}}


def test_changes_need_the_very_day_before_and_a_price_above_zero() -> None:
    days = {"2025-03-01": {"price": 0.0}, "2025-03-02": {"price": 2.0}, "2025-03-04": {"price": 3.0}, "2025-03-05": {}}
    made = rows_of(days, first=dt.date(2025, 3, 2), last=dt.date(2025, 3, 5))
    assert {day.day: (row["24h"], row["7d"]) for day, row in made.items()} == {2: ("", ""), 4: ("", "")}


def test_a_history_that_stopped_goes_on_and_asks_for_nothing_twice(tmp_path, service) -> None:
    waited = Waited()
    service.faults = [("coin-2/market_chart", Fault(401, b'{"error":"gone wrong"}'))]
    with pytest.raises(FetchError, match="gone wrong"):
        history(tmp_path, service, waited).fetch()
    assert not list((tmp_path / "data").glob("raw/*"))
    # The next day, with one more midnight: the list and the charts that are there still serve.
    waited.at += 86_400
    made = history(tmp_path, service, waited).fetch()
    assert (service.pages(), service.charts()) == ([1], ["coin-1", "coin-2", "coin-2", "coin-3"])
    assert made.files[-1].name == "coin_gecko_2025-03-05.csv"
    assert len(rows(made.files[-1])) == 3


def test_more_coins_of_an_unfinished_history_ask_for_the_further_charts_alone(tmp_path, service) -> None:
    service.faults = [("coin-2/market_chart", Fault(401))]
    with pytest.raises(FetchError):
        history(tmp_path, service, Waited(), top=2).fetch()
    history(tmp_path, service, Waited(), top=4).fetch()
    assert sorted(service.charts()) == ["coin-1", "coin-2", "coin-2", "coin-3", "coin-4"]


def test_an_unfinished_history_older_than_a_week_is_begun_anew(tmp_path, service) -> None:
    waited = Waited()
    service.faults = [("coin-2/market_chart", Fault(401))]
    with pytest.raises(FetchError):
        history(tmp_path, service, waited).fetch()
    waited.at += 8 * 86_400
    service.now = lambda: waited.at
    made = history(tmp_path, service, waited).fetch()
    assert made.files[-1].name == "coin_gecko_2025-03-13.csv"
    assert service.charts().count("coin-1") == 2


def test_a_live_snapshot_of_a_day_is_neither_replaced_nor_hidden(tmp_path, service) -> None:
    settings, waited = fetching(tmp_path, service, coingecko_coins=2), Waited()
    live = fetch_snapshot(settings, clock=waited.clock).files[0]
    content = live.read_bytes()
    home = Home.at(tmp_path, first_month="2025-01")
    home.now, home.today = dt.datetime(2025, 3, 5, 1, tzinfo=dt.UTC), DAY
    home.drop("coingecko_20250302.csv", snapshot([dt.date(2025, 3, 2)], missing=0))
    home.bring_up_to_date()
    (settings.raw_dir / "coingecko_20250302.csv").unlink()
    before = home.store.read("raw_snapshots")
    made = history(tmp_path, service, waited).fetch()
    # One day in the drop folder, one that only the catalogue knows.
    assert made.notes == ["2 days are left out, another file has them: 2025-03-02, 2025-03-05"]
    assert {path.name[-14:-4] for path in made.files}.isdisjoint({"2025-03-02", "2025-03-05"})
    assert (len(made.files), live.read_bytes()) == (8, content)
    home.look()
    home.bring_up_to_date()
    after = home.store.read("raw_snapshots")
    assert after["date"].nunique() == 10
    known = after[after["date"].isin(before["date"])].reset_index(drop=True)
    assert known[["price", "24h", "high_24h"]].equals(before[["price", "24h", "high_24h"]])


def test_a_live_snapshot_that_comes_after_the_history_of_its_day_wins(tmp_path, service) -> None:
    home = Home.at(tmp_path, first_month="2025-01")
    home.now, home.today = dt.datetime(2025, 3, 5, 1, tzinfo=dt.UTC), DAY
    history(tmp_path, service, Waited()).fetch()
    home.look()
    home.bring_up_to_date()
    fetch_snapshot(fetching(tmp_path, service, coingecko_coins=2), clock=Waited().clock)
    home.look()
    home.bring_up_to_date()
    raw = home.store.read("raw_snapshots", ["2025-03"])
    today = raw[raw["date"] == "2025-03-05"].set_index("coin")["price"]
    assert today.to_dict() == {"coin-1": 1000.0, "coin-2": 500.0, "coin-3": 103.0}


def test_a_coin_that_is_gone_is_left_out_and_said(tmp_path, service) -> None:
    service.faults = [("coin-2/market_chart", Fault(404, b'{"error":"coin not found"}'))]
    made = history(tmp_path, service, Waited()).fetch()
    assert made.notes == ["1 coins are gone since the list came, and left out: coin-2"]
    assert sorted(rows(made.files[-1])) == ["coin-1", "coin-3"]


def test_a_chart_that_fails_stops_the_files_not_the_others_and_may_be_left_out(tmp_path, service) -> None:
    service.faults = [("coin-2/market_chart", Fault(500))] * 6
    with pytest.raises(FetchError, match=r"1 of 3 charts did not come \(coin-2\), and no file is written"):
        history(tmp_path, service, Waited()).fetch()
    service.asked.clear()
    service.faults = [("coin-2/market_chart", Fault(500))] * 6
    asked = history(tmp_path, service, Waited())
    asked.leave_out_failed = True
    made = asked.fetch()
    assert set(service.charts()) == {"coin-2"}
    assert made.notes == ["1 coins are left out, their charts did not come: coin-2"]
    assert len(made.files) == 10


def test_a_service_that_fails_for_three_coins_in_a_row_is_left_alone(tmp_path, service) -> None:
    service.faults = [("market_chart", Fault(502))] * 50
    with pytest.raises(FetchError, match="3 charts in a row did not come"):
        history(tmp_path, service, Waited(), top=4).fetch()
    assert len(service.charts()) == 18


def test_a_day_that_ingest_would_refuse_is_left_out_said_and_keeps_no_other_back(tmp_path, service) -> None:
    # Prices below 0 on all but the newest days.
    service.chart_price = 0.0
    made = history(tmp_path, service, Waited(), top=1).fetch()
    assert [path.name for path in made.files] == ["coin_gecko_2025-03-04.csv", "coin_gecko_2025-03-05.csv"]
    assert made.notes[0].startswith(
        "8 days are left out, the first: coin_gecko_2025-02-24.csv is not written, ingest would"
    )


def test_history_beyond_the_plan_is_said_as_that(tmp_path, service) -> None:
    service.faults = [("market_chart", gecko.BEYOND_PLAN)]
    with pytest.raises(FetchError, match="the chart of coin-1: that history lies beyond your plan, the key is good"):
        history(tmp_path, service, Waited(), days=400).fetch()
    assert len(service.charts()) == 1


def test_a_budget_too_small_is_said_at_once_used_up_and_gone_on_with_next_month(tmp_path, service) -> None:
    waited, said = Waited(), []
    settings = {"coingecko_per_month": 3}
    asked = history(tmp_path, service, waited, **settings)
    asked.say = said.append
    with pytest.raises(BudgetSpent):
        asked.fetch()
    assert said[1] == "only 2 requests are left this month: the rest waits for the next, what came is kept"
    assert service.charts() == ["coin-1", "coin-2"]
    # Later, with a larger budget: the one that is missing is asked for.
    waited.at += 6 * 86_400
    history(tmp_path, service, waited, coingecko_per_month=4).fetch()
    assert service.charts() == ["coin-1", "coin-2", "coin-3"]


def test_the_estimate_knows_the_limit(tmp_path, service) -> None:
    shown: list[Progress] = []
    waited = Waited()
    asked = history(tmp_path, service, waited, top=4, coingecko_per_minute=2)
    asked.show = shown.append
    asked.fetch()
    # The list took one request of the first minute.
    assert [round(reached.seconds_left) for reached in shown] == [120, 120, 60, 60, 0]


@pytest.mark.realdata
def test_the_recorded_charts_give_the_midnights_that_are_in_them(real_data) -> None:
    chart = json.loads((real_data / "coingecko_api" / "market_chart_daily.json").read_text(encoding="utf-8"))
    days = daily_points(chart)
    assert (len(days), min(days), max(days)) == (90, "2021-02-15", "2021-05-15")
    assert days["2021-02-15"] == {
        "price": 48607.8745224845,
        "mkt_cap": 905515462576.995,
        "24h_volume": 57738376570.131905,
    }
    hourly = json.loads((real_data / "coingecko_api" / "market_chart_hourly.json").read_text(encoding="utf-8"))
    close = daily_points(hourly)
    shared = sorted(set(days) & set(close))[1:]
    assert len(shared) > 25
    # An hour at most lies between the two.
    assert max(abs(close[day]["price"] / days[day]["price"] - 1) for day in shared) < 0.03
