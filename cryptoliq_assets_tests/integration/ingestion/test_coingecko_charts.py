"""Days of CoinGecko charts: values at midnight, and only days that all charts cover."""

import datetime as dt
import json

import pytest

from cryptoliq_assets.ingestion.coingecko.errors import FetchError
from cryptoliq_assets.ingestion.coingecko.history.charts import extract_daily_points, make_daily_rows
from cryptoliq_assets_tests.support.coingecko_api import DAY_MS, NOW, FakeClock, Fault
from cryptoliq_assets_tests.support.coingecko_runs import DAY, count_rows, delay_requests, make_history, requested_days

COINS = 4


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
    result = make_daily_rows(days, first=dt.date(2025, 3, 2), last=dt.date(2025, 3, 5))
    assert {day.day: (row["24h"], row["7d"]) for day, row in result.items()} == {2: ("", ""), 4: ("", "")}


def test_charts_without_a_day_are_requested_again(tmp_path, service) -> None:
    empty = Fault(200, b'{"prices":[],"market_caps":[],"total_volumes":[]}')
    service.faults = [("market_chart", empty)] * 3
    with pytest.raises(FetchError, match="the next run requests all of them again"):
        make_history(tmp_path, service, FakeClock()).fetch()
    # One such coin does not affect the days of the others.
    service.faults = [("coin-2/market_chart", empty)]
    result = make_history(tmp_path, service, FakeClock()).fetch()
    assert result.notes == ["1 coins are left out, their charts contain no day: coin-2"]
    assert count_rows(result.files) == {str(DAY - dt.timedelta(days=back)): (2, 2) for back in range(9, -1, -1)}


def test_midnight_during_a_fetch_gives_no_partial_day(tmp_path, service) -> None:
    clock = FakeClock(at=NOW - 2400 - 600)
    delay_requests(service, clock, 300)
    result = make_history(tmp_path, service, clock, top=4).fetch()
    assert clock.at > NOW - 2400
    # Started on 4 March at 23:50.
    assert count_rows(result.files) == {str(DAY - dt.timedelta(days=back)): (4, 4) for back in range(10, 0, -1)}


@pytest.mark.parametrize(("minutes", "last"), [(-20, "2025-03-04"), (-1, "2025-03-04"), (0, "2025-03-05")])
def test_a_day_is_written_once_it_is_certainly_served(tmp_path, service, minutes: int, last: str) -> None:
    # NOW is 00:40; a chart every 5 minutes, so some are fetched after 00:35.
    clock, messages = FakeClock(at=NOW + 60 * minutes), []
    delay_requests(service, clock, 300)
    fetcher = make_history(tmp_path, service, clock, top=4)
    fetcher.log = messages.append
    result = count_rows(fetcher.fetch().files)
    assert (max(result), len(result), set(result.values())) == (last, 10, {(4, 4)})
    assert ("the midnight of 2025-03-05 is available from 00:35 UTC: the last day is 2025-03-04" in messages) == (
        minutes < 0
    )


def test_a_history_resumed_later_has_all_coins_on_all_days(tmp_path, service) -> None:
    clock = FakeClock()
    service.faults = [("coin-3/market_chart", Fault(401))]
    with pytest.raises(FetchError):
        make_history(tmp_path, service, clock, top=4).fetch()
    clock.at += 3 * 86_400
    result = make_history(tmp_path, service, clock, top=4).fetch()
    assert requested_days(service) == ["18", "18", "18", "21", "21"]
    assert count_rows(result.files) == {str(DAY - dt.timedelta(days=back)): (4, 4) for back in range(9, -1, -1)}


def test_days_beyond_later_charts_are_left_out_and_named(tmp_path, service) -> None:
    service.chart_price, clock = 1000.0, FakeClock()
    service.faults = [("coin-3/market_chart", Fault(401))]
    with pytest.raises(FetchError):
        make_history(tmp_path, service, clock, days=365, top=4).fetch()
    clock.at += 3 * 86_400
    result = make_history(tmp_path, service, clock, days=365, top=4).fetch()
    assert set(requested_days(service)) == {"365"}
    assert result.notes == [
        "3 days are left out, some charts were fetched too late to cover them: 2024-03-06 to 2024-03-08"
    ]
    result = count_rows(result.files)
    assert (min(result), max(result), len(result)) == ("2024-03-09", "2025-03-05", 362)
    # Charts do not have earlier days: the first week is without 7d for every coin.
    assert (result["2024-03-09"], result["2024-03-15"], result["2024-03-16"]) == ((4, 0), (4, 0), (4, 4))


def test_a_day_that_ingest_would_reject_is_left_out(tmp_path, service) -> None:
    # Prices below 0 on all but the newest days.
    service.chart_price, clock = 0.5, FakeClock()
    result = make_history(tmp_path, service, clock, top=1).fetch()
    assert [path.name for path in result.files] == ["coin_gecko_2025-03-04.csv", "coin_gecko_2025-03-05.csv"]
    rejected = "8 days are left out, the first: coin_gecko_2025-02-24.csv is not written, ingest would"
    assert result.notes[0].startswith(rejected)
    assert result.notes[1].startswith(f"the charts are kept in {tmp_path / 'data/fetch/history-10'}: ")
    # The same day again: nothing is requested, and the reason for missing days is reported.
    service.requests.clear()
    result = make_history(tmp_path, service, clock, top=1).fetch()
    assert (result.files, service.requests) == ([], [])
    assert (
        result.notes[0]
        == "2 days already have history and are left unchanged; --again replaces it: 2025-03-04 to 2025-03-05"
    )
    assert result.notes[1].startswith(rejected)
    # A new day is requested.
    clock.at += 86_400
    result = make_history(tmp_path, service, clock, top=1).fetch()
    assert ([path.name for path in result.files], service.charts()) == (["coin_gecko_2025-03-06.csv"], ["coin-1"])


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
    # The two differ by at most one hour.
    assert max(abs(close[day]["price"] / days[day]["price"] - 1) for day in shared) < 0.03
