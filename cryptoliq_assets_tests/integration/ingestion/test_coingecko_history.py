"""CoinGecko history: one file per day, nothing requested twice, failed or removed coins reported."""

import datetime as dt
import json

import pytest

from cryptoliq_assets.ingestion.coingecko.errors import BudgetExhaustedError, FetchError
from cryptoliq_assets.ingestion.coingecko.history import HistoryProgress
from cryptoliq_assets.ingestion.coingecko.snapshot import fetch_snapshot
from cryptoliq_assets.ingestion.landing.drop_folder import dry_run_file
from cryptoliq_assets_tests.support import coingecko_api as gecko
from cryptoliq_assets_tests.support.coingecko_api import FakeClock, Fault, coin, make_fetch_settings
from cryptoliq_assets_tests.support.coingecko_runs import DAY, count_rows, make_history, requested_days, rows_by_coin

COINS = 4


def test_a_history_is_a_file_per_day_with_changes_from_prices(tmp_path, service) -> None:
    messages: list[str] = []
    progress: list[HistoryProgress] = []
    fetcher = make_history(tmp_path, service, FakeClock())
    fetcher.log, fetcher.report_progress = messages.append, progress.append
    result = fetcher.fetch()
    names = [f"coin_gecko_{DAY - dt.timedelta(days=back)}.csv" for back in range(9, -1, -1)]
    assert [path.name for path in result.files] == names
    assert service.charts() == ["coin-1", "coin-2", "coin-3"]
    first, last = rows_by_coin(result.files[0]), rows_by_coin(result.files[-1])
    # Prices of coin-1: 92 on the first day, a dollar more each day, 101 at today's midnight; 9999 is "now". Eight days
    # before the first are requested as well.
    assert requested_days(service) == ["18"] * 3
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
    report = dry_run_file(result.files[-1], fetcher.settings, today=DAY).report
    assert (report["unit"], report["unit_certain"], report["rows_kept"]) == ("percent", True, 3)
    assert messages[0].startswith("3 of 3 charts to request, at 1000 requests per minute")
    assert [(step.done, step.wanted) for step in progress] == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert not fetcher.folder.exists()


def test_a_resumed_history_requests_nothing_twice(tmp_path, service) -> None:
    clock = FakeClock()
    service.faults = [("coin-2/market_chart", Fault(401, b'{"error":"gone wrong"}'))]
    with pytest.raises(FetchError, match="gone wrong"):
        make_history(tmp_path, service, clock).fetch()
    assert not list((tmp_path / "data").glob("raw/*"))
    # The next day: the stored list and charts are reused, and the days are those of the first attempt.
    clock.at += 86_400
    result = make_history(tmp_path, service, clock).fetch()
    assert (service.pages(), service.charts()) == ([1], ["coin-1", "coin-2", "coin-2", "coin-3"])
    assert result.files[-1].name == "coin_gecko_2025-03-05.csv"
    assert len(rows_by_coin(result.files[-1])) == 3


def test_more_coins_request_only_the_missing_charts(tmp_path, service) -> None:
    service.faults = [("coin-2/market_chart", Fault(401))]
    with pytest.raises(FetchError):
        make_history(tmp_path, service, FakeClock(), top=2).fetch()
    make_history(tmp_path, service, FakeClock(), top=4).fetch()
    assert sorted(service.charts()) == ["coin-1", "coin-2", "coin-2", "coin-3", "coin-4"]


def test_an_unfinished_history_over_a_week_old_is_restarted(tmp_path, service) -> None:
    clock = FakeClock()
    service.faults = [("coin-2/market_chart", Fault(401))]
    with pytest.raises(FetchError):
        make_history(tmp_path, service, clock).fetch()
    clock.at += 8 * 86_400
    result = make_history(tmp_path, service, clock).fetch()
    assert result.files[-1].name == "coin_gecko_2025-03-13.csv"
    assert service.charts().count("coin-1") == 2


@pytest.mark.parametrize(("later", "last"), [(60, "2025-03-05"), (30 * 86_400, "2025-04-04")])
def test_an_empty_market_is_retried_and_not_stored(tmp_path, service, later: int, last: str) -> None:
    clock = FakeClock()
    service.faults = [("coins/markets", Fault(200, b"[]"))] * 6
    with pytest.raises(
        FetchError, match="the list of coins could not be fetched: page 1 of the market: 0 coins received"
    ):
        make_history(tmp_path, service, clock).fetch()
    clock.at += later
    service.requests.clear()
    result = make_history(tmp_path, service, clock).fetch()
    assert (service.pages(), result.files[-1].name, len(result.files)) == ([1], f"coin_gecko_{last}.csv", 10)


def test_a_truncated_list_of_coins_is_not_stored(tmp_path, service) -> None:
    service.coins = [coin(rank) for rank in range(1, 261)]
    part = Fault(200, json.dumps(service.coins[:100]).encode())
    service.faults = [("&page=1", part)] * 2
    with pytest.raises(
        FetchError, match="page 1 of the market returned 100 of 250 coins twice, although another page follows"
    ):
        make_history(tmp_path, service, FakeClock(), top=260).fetch()
    service.coins = service.coins[:4]
    service.requests.clear()
    result = make_history(tmp_path, service, FakeClock(), top=260).fetch()
    assert result.notes == ["4 coins received of 260 requested"]
    assert (service.pages(), count_rows(result.files[-1:])) == ([1, 1, 2], {"2025-03-05": (4, 4)})


def test_an_interrupted_list_is_not_resumed_on_another_day(tmp_path, service) -> None:
    service.coins = [coin(rank) for rank in range(1, 261)]
    clock = FakeClock()
    for days, pages in ((0, [1, 2]), (0, [2]), (1, [1, 2])):
        service.requests.clear()
        clock.at += days * 86_400
        service.faults = [("&page=2", Fault(401))]
        with pytest.raises(FetchError):
            make_history(tmp_path, service, clock, top=260).fetch()
        assert service.pages() == pages


def test_fewer_coins_than_in_live_snapshots_are_reported(tmp_path, service) -> None:
    messages: list[str] = []
    clock = FakeClock()
    fetch_snapshot(make_fetch_settings(tmp_path, service), clock=clock)
    for top, reported in ((4, True), (500, False)):
        messages.clear()
        fetcher = make_history(tmp_path, service, clock, top=top, days=9 + reported)
        fetcher.log, fetcher.refetch = messages.append, True
        fetcher.fetch()
        assert any("500 coins, this history 4:" in line and "--top 500" in line for line in messages) is reported


def test_a_removed_coin_is_left_out_and_reported(tmp_path, service) -> None:
    service.faults = [("coin-2/market_chart", Fault(404, b'{"error":"coin not found"}'))]
    result = make_history(tmp_path, service, FakeClock()).fetch()
    assert result.notes == ["1 coins no longer exist and are left out: coin-2"]
    assert sorted(rows_by_coin(result.files[-1])) == ["coin-1", "coin-3"]


def test_a_failed_chart_blocks_the_files_unless_left_out(tmp_path, service) -> None:
    service.faults = [("coin-2/market_chart", Fault(500))] * 6
    with pytest.raises(FetchError, match=r"1 of 3 charts failed \(coin-2\), and no file is written"):
        make_history(tmp_path, service, FakeClock()).fetch()
    service.requests.clear()
    service.faults = [("coin-2/market_chart", Fault(500))] * 6
    fetcher = make_history(tmp_path, service, FakeClock())
    fetcher.leave_out_failed = True
    result = fetcher.fetch()
    assert set(service.charts()) == {"coin-2"}
    assert result.notes == ["1 coins are left out, their charts failed: coin-2"]
    assert len(result.files) == 10


def test_three_failed_coins_in_a_row_end_the_fetch(tmp_path, service) -> None:
    service.faults = [("market_chart", Fault(502))] * 50
    with pytest.raises(FetchError, match="3 charts in a row failed"):
        make_history(tmp_path, service, FakeClock(), top=4).fetch()
    assert len(service.charts()) == 18


def test_history_beyond_the_plan_is_reported(tmp_path, service) -> None:
    service.faults = [("market_chart", gecko.BEYOND_PLAN)]
    with pytest.raises(
        FetchError, match="the chart of coin-1: your plan does not include this history; the key is valid"
    ):
        make_history(tmp_path, service, FakeClock(), days=400).fetch()
    assert len(service.charts()) == 1


def test_a_small_budget_is_reported_and_used_up(tmp_path, service) -> None:
    clock, messages = FakeClock(), []
    settings = {"coingecko__requests_per_month": 3}
    fetcher = make_history(tmp_path, service, clock, **settings)
    fetcher.log = messages.append
    with pytest.raises(BudgetExhaustedError):
        fetcher.fetch()
    assert messages[1] == "only 2 requests are left this month; the rest must wait, and fetched charts are kept"
    assert service.charts() == ["coin-1", "coin-2"]
    # Later, with a larger budget: the missing one is requested.
    clock.at += 6 * 86_400
    make_history(tmp_path, service, clock, coingecko__requests_per_month=4).fetch()
    assert service.charts() == ["coin-1", "coin-2", "coin-3"]


def test_the_estimate_includes_the_rate_limit(tmp_path, service) -> None:
    progress: list[HistoryProgress] = []
    clock = FakeClock()
    fetcher = make_history(tmp_path, service, clock, top=4, coingecko__requests_per_minute=2)
    fetcher.report_progress = progress.append
    fetcher.fetch()
    # The list used one request of the first minute.
    assert [round(step.seconds_left) for step in progress] == [120, 120, 60, 60, 0]
