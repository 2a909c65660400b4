"""Today's CoinGecko snapshot: complete or absent, dated by its pages, and fetched once."""

import datetime as dt
import json

import pandas as pd
import pytest

from cryptoliq_assets.ingestion.coingecko.csv_export import exclusive_fetch_lock, snapshot_file_name
from cryptoliq_assets.ingestion.coingecko.errors import FetchError
from cryptoliq_assets.ingestion.coingecko.snapshot import fetch_snapshot
from cryptoliq_assets.ingestion.landing.drop_folder import dry_run_file
from cryptoliq_assets_tests.support import coingecko_api as gecko
from cryptoliq_assets_tests.support.coingecko_api import FakeClock, Fault, coin, make_fetch_settings
from cryptoliq_assets_tests.support.coingecko_runs import DAY, read_csv
from cryptoliq_assets_tests.support.markets import Home

NAME = "coingecko_20250305.csv"


def test_the_largest_coins_become_todays_file_in_percent(tmp_path, service) -> None:
    settings = make_fetch_settings(tmp_path, service, coingecko__top_n=270)
    result = fetch_snapshot(settings, clock=FakeClock())
    assert result.files == [settings.raw_dir / NAME]
    assert (result.notes, service.pages()) == ([], [1, 2])
    assert "per_page=250" in service.requests[0]
    assert "price_change_percentage=1h%2C24h%2C7d" in service.requests[0]
    rows = read_csv(result.files[0])
    assert (len(rows), rows[269]["coin"]) == (270, "coin-270")
    assert rows[0] == {
        "coin": "coin-1",
        "symbol": "C1",
        "price": "1000.0",
        "1h": "0.25",
        "24h": "-2.5",
        "7d": "-7.5",
        "24h_volume": "1000000000",
        "mkt_cap": "1000000000000",
        "date": "2025-03-05",
        "change_unit": "percent",
        "price_change_24h": repr(1000.0 - 1000.0 / 0.975),
        "name": "Coin, the 1.",
        "high_24h": "1100.0",
        "low_24h": "900.0",
        "circulating_supply": "1000000000.0",
        "market_cap_rank": "1",
        "last_updated": "2025-03-05T00:39:01.120Z",
    }
    report = dry_run_file(result.files[0], settings, today=DAY).report
    assert (report["unit"], report["unit_certain"], report["unread_cells"], report["rows_kept"]) == (
        "percent",
        True,
        {},
        270,
    )
    assert [path.name for path in settings.fetch_dir.iterdir() if path.is_dir()] == []


def test_a_calm_market_is_percent_as_its_unit_is_declared(tmp_path, service) -> None:
    changes = {f"price_change_percentage_{name}_in_currency": 0.002 for name in ("1h", "24h", "7d")}
    service.coins = [coin(rank, price_change_24h=None, **changes) for rank in range(1, 51)]
    settings = make_fetch_settings(tmp_path, service, coingecko__top_n=50)
    result = fetch_snapshot(settings, clock=FakeClock())
    parsed = dry_run_file(result.files[0], settings, today=DAY)
    assert (parsed.report["unit"], parsed.rows["24h"][0].as_py()) == ("percent", 0.002)
    assert parsed.report["unit_found_by"] == "the file's column change_unit is percent"


def test_a_fetched_snapshot_is_ingested_like_every_file(tmp_path, service) -> None:
    home = Home.at(tmp_path, storage__first_month="2025-01")
    home.now, home.today = dt.datetime(2025, 3, 5, 1, tzinfo=dt.UTC), DAY
    fetch_snapshot(make_fetch_settings(tmp_path, service, coingecko__top_n=30), clock=FakeClock())
    home.look()
    home.bring_up_to_date()
    raw = home.store.read("raw_snapshots", coin="coin-7")
    assert raw[["high_24h", "market_cap_rank", "7d"]].to_numpy().tolist() == [[1000 / 7 * 1.1, 7.0, -7.5]]
    assert raw["last_updated"].tolist() == [pd.Timestamp("2025-03-05 00:39:07.120")]
    assert raw["name"].tolist() == ["Coin, the 7."]


def at(hour: int, minute: int = 0, second: int = 0) -> FakeClock:
    """Return a clock of 5 March 2025, UTC."""
    return FakeClock(dt.datetime(2025, 3, 5, hour, minute, second, tzinfo=dt.UTC).timestamp())


def test_a_snapshot_is_dated_by_its_pages(tmp_path, service) -> None:
    service.faults = [("&page=1", gecko.THROTTLED)]
    result = fetch_snapshot(make_fetch_settings(tmp_path, service, coingecko__top_n=300), clock=at(23, 59, 30))
    assert [path.name for path in result.files] == ["coingecko_20250306.csv"]
    assert {row["date"] for row in read_csv(result.files[0])} == {"2025-03-06"}


def test_midnight_between_two_pages_writes_nothing(tmp_path, service) -> None:
    settings, clock = make_fetch_settings(tmp_path, service, coingecko__top_n=300), at(23, 59, 30)
    service.faults = [("&page=2", gecko.THROTTLED)]
    with pytest.raises(FetchError, match=r"midnight \(UTC\) passed between the pages \(23:59 to 00:00\)"):
        fetch_snapshot(settings, clock=clock)
    assert not settings.raw_dir.exists()
    service.requests.clear()
    result = fetch_snapshot(settings, clock=clock)
    assert (result.files[0].name, service.pages()) == ("coingecko_20250306.csv", [1])


@pytest.mark.parametrize(("hour", "notes"), [(0, 0), (2, 0), (14, 1)])
def test_a_late_snapshot_has_a_note(tmp_path, service, hour, notes) -> None:
    result = fetch_snapshot(make_fetch_settings(tmp_path, service, coingecko__top_n=30), clock=at(hour, 40))
    assert result.files[0].name == NAME
    assert [note for note in result.notes if "14 hours after midnight of 2025-03-05" in note] == (
        result.notes if notes else []
    )
    assert len(result.notes) == notes


def test_null_values_are_empty_cells_and_reject_no_row(tmp_path, service) -> None:
    empty = dict.fromkeys(coin(2), None) | {"id": "bare"}
    third = coin(3, total_volume=float("nan"), name='Quo"te,\nline')
    service.coins = [coin(1), empty, third, coin(4)]
    settings = make_fetch_settings(tmp_path, service, coingecko__top_n=4)
    result = fetch_snapshot(settings, clock=FakeClock())
    _, bare, third, _ = read_csv(result.files[0])
    assert {name for name, value in bare.items() if value} == {"coin", "date", "change_unit"}
    assert (third["24h_volume"], third["name"], result.notes) == ("", 'Quo"te, line', [])
    report = dry_run_file(result.files[0], settings, today=DAY).report
    assert (report["rows_kept"], report["rows_refused"]) == (4, {})


def test_a_second_fetch_of_a_day_requests_nothing(tmp_path, service) -> None:
    settings, clock = make_fetch_settings(tmp_path, service, coingecko__top_n=5), FakeClock()
    fetch_snapshot(settings, clock=clock)
    result = fetch_snapshot(settings, clock=clock)
    assert (result.files, len(service.requests)) == ([], 1)
    assert result.notes == [f"{NAME} was already fetched; --again fetches it again and replaces it"]
    result = fetch_snapshot(settings, refetch=True, clock=clock)
    assert (result.files, len(service.requests)) == ([], 2)
    assert result.notes == [f"{NAME} in {settings.raw_dir} already has this content: nothing is written"]
    service.coins[0]["current_price"] = 77
    assert fetch_snapshot(settings, refetch=True, clock=clock).files
    assert read_csv(settings.raw_dir / NAME)[0]["price"] == "77"


def test_two_concurrent_fetches_make_one_set_of_requests(tmp_path, service) -> None:
    settings = make_fetch_settings(tmp_path, service)
    with (
        exclusive_fetch_lock(settings, "snapshot"),
        pytest.raises(FetchError, match="another `cryptoliq fetch snapshot` is running on"),
    ):
        fetch_snapshot(settings, clock=FakeClock())
    assert service.requests == []


@pytest.mark.realdata
def test_the_recorded_page_becomes_an_accepted_file(tmp_path, service, real_data) -> None:
    body = (real_data / "coingecko_api" / "coins_markets.json").read_bytes()
    service.bodies["/api/v3/coins/markets"] = body
    settings = make_fetch_settings(tmp_path, service, coingecko__top_n=250)
    result = fetch_snapshot(settings, clock=FakeClock())
    rows = read_csv(result.files[0])
    assert [row["coin"] for row in rows] == [entry["id"] for entry in json.loads(body)]
    assert (rows[0]["coin"], rows[0]["price"], rows[0]["24h"]) == ("bitcoin", "47837", "5.905567659134266")
    report = dry_run_file(result.files[0], settings, today=DAY).report
    assert (report["unit"], report["unit_certain"], report["rows_kept"]) == ("percent", True, 3)
    assert report["observation_time"].startswith("2024-02-09T18:42")
    assert snapshot_file_name(DAY) == NAME


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "status", "waits"),
    [
        ("error_429.json", 429, [60.0]),
        ("error_429_throttled.txt", 429, [60.0]),
        ("error_1015.txt", 429, [60.0]),
        ("error_500.json", 500, [1.0]),
    ],
)
def test_the_recorded_errors_are_retried(tmp_path, service, real_data, name, status, waits) -> None:
    service.faults = [("markets", Fault(status, (real_data / "coingecko_api" / name).read_bytes()))]
    clock = FakeClock()
    result = fetch_snapshot(make_fetch_settings(tmp_path, service, coingecko__top_n=10), clock=clock)
    assert (len(result.files), clock.waits) == (1, waits)
