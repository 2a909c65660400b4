"""Today's snapshot: complete or absent, each coin once, and only failed pages requested again."""

import csv
import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from cryptoliq_assets.ingestion.coingecko.csv_export import exclusive_fetch_lock, snapshot_file_name
from cryptoliq_assets.ingestion.coingecko.errors import DeadlineExceededError, FetchError
from cryptoliq_assets.ingestion.coingecko.market_pages import merge_pages
from cryptoliq_assets.ingestion.coingecko.snapshot import fetch_snapshot
from cryptoliq_assets.ingestion.landing.drop_folder import dry_run_file
from cryptoliq_assets_tests.support import coingecko_api as gecko
from cryptoliq_assets_tests.support.coingecko_api import Fault, Service, Waited, coin, fetching, serving
from cryptoliq_assets_tests.support.markets import Home

DAY = dt.date(2025, 3, 5)
NAME = "coingecko_20250305.csv"


@pytest.fixture
def service() -> Iterator[Service]:
    with serving(Service()) as service:
        yield service


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_largest_coins_become_todays_file_in_percent(tmp_path, service) -> None:
    settings = fetching(tmp_path, service, coingecko__top_n=270)
    made = fetch_snapshot(settings, clock=Waited().clock)
    assert made.files == [settings.raw_dir / NAME]
    assert (made.notes, service.pages()) == ([], [1, 2])
    assert "per_page=250" in service.asked[0]
    assert "price_change_percentage=1h%2C24h%2C7d" in service.asked[0]
    found = rows(made.files[0])
    assert (len(found), found[269]["coin"]) == (270, "coin-270")
    assert found[0] == {
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
    report = dry_run_file(made.files[0], settings, today=DAY).report
    assert (report["unit"], report["unit_certain"], report["unread_cells"], report["rows_kept"]) == (
        "percent",
        True,
        {},
        270,
    )
    assert [path.name for path in settings.fetch_dir.iterdir() if path.is_dir()] == []


def test_a_calm_market_is_percent_as_its_unit_is_declared(tmp_path, service) -> None:
    still = {f"price_change_percentage_{name}_in_currency": 0.002 for name in ("1h", "24h", "7d")}
    service.coins = [coin(place, price_change_24h=None, **still) for place in range(1, 51)]
    settings = fetching(tmp_path, service, coingecko__top_n=50)
    made = fetch_snapshot(settings, clock=Waited().clock)
    parsed = dry_run_file(made.files[0], settings, today=DAY)
    assert (parsed.report["unit"], parsed.rows["24h"][0].as_py()) == ("percent", 0.002)
    assert parsed.report["unit_found_by"] == "the file's column change_unit is percent"


def test_a_fetched_snapshot_is_ingested_like_every_file(tmp_path, service) -> None:
    home = Home.at(tmp_path, storage__first_month="2025-01")
    home.now, home.today = dt.datetime(2025, 3, 5, 1, tzinfo=dt.UTC), DAY
    fetch_snapshot(fetching(tmp_path, service, coingecko__top_n=30), clock=Waited().clock)
    home.look()
    home.bring_up_to_date()
    raw = home.store.read("raw_snapshots", coin="coin-7")
    assert raw[["high_24h", "market_cap_rank", "7d"]].to_numpy().tolist() == [[1000 / 7 * 1.1, 7.0, -7.5]]
    assert raw["last_updated"].tolist() == [pd.Timestamp("2025-03-05 00:39:07.120")]
    assert raw["name"].tolist() == ["Coin, the 7."]


def test_a_retry_requests_only_the_missing_page(tmp_path, service) -> None:
    settings, waited = fetching(tmp_path, service, coingecko__top_n=300), Waited()
    service.faults = [("&page=1", Fault(500))] * 6
    with pytest.raises(FetchError, match="1 of 2 pages failed, and no snapshot is written: page 1 of the market"):
        fetch_snapshot(settings, clock=waited.clock)
    assert not settings.raw_dir.exists()
    assert service.pages() == [1] * 6 + [2]
    service.asked.clear()
    fetch_snapshot(settings, clock=waited.clock)
    assert service.pages() == [1]
    assert len(rows(settings.raw_dir / NAME)) == 300


def test_pages_older_than_an_hour_are_requested_again(tmp_path, service) -> None:
    settings, waited = fetching(tmp_path, service, coingecko__top_n=300), Waited()
    service.faults = [("&page=2", Fault(500))] * 6
    with pytest.raises(FetchError):
        fetch_snapshot(settings, clock=waited.clock)
    waited.at += 3601
    service.asked.clear()
    fetch_snapshot(settings, clock=waited.clock)
    assert service.pages() == [1, 2]


def test_all_pages_share_one_deadline(tmp_path, service) -> None:
    settings, waited = (
        fetching(tmp_path, service, coingecko__top_n=1000, coingecko__snapshot_timeout_seconds=100),
        Waited(),
    )
    service.faults = [("&page=1", gecko.THROTTLED), ("&page=2", gecko.THROTTLED)]
    with pytest.raises(DeadlineExceededError):
        fetch_snapshot(settings, clock=waited.clock)
    assert waited.waits == [60.0]
    assert not settings.raw_dir.exists()


def test_a_coin_on_two_pages_is_written_once(tmp_path, service) -> None:
    fallen = coin(250, id="coin-250", current_price=3.5, last_updated="2025-03-05T00:41:00Z")
    service.coins.insert(250, fallen)
    made = fetch_snapshot(fetching(tmp_path, service, coingecko__top_n=301), clock=Waited().clock)
    assert made.notes[0] == "coin-250 is listed twice, on pages 1 and 2: the entry of page 2 is used"
    written = [row for row in rows(made.files[0]) if row["coin"] == "coin-250"]
    assert [row["price"] for row in written] == ["3.5"]


def test_coins_lost_between_pages_are_named_by_rank() -> None:
    pages = [[coin(place) for place in range(1, 250)], [coin(place) for place in range(252, 300)]]
    coins, notes = merge_pages(pages, top=300)
    assert len(coins) == 297
    assert notes == [
        "page 1 has 249 coins instead of 250, although another page follows",
        "297 coins received of 300 requested; no coin has rank 250, 251: it disappeared from the list, or moved to a page that "
        "was fetched before",
    ]


def test_a_small_market_is_written_after_two_short_pages(tmp_path, service) -> None:
    made = fetch_snapshot(fetching(tmp_path, service, coingecko__top_n=900), clock=Waited().clock)
    assert made.notes == [
        "the market ends on page 2, which returned 50 coins twice",
        "300 coins received of 900 requested",
    ]
    assert (len(rows(made.files[0])), service.pages()) == (300, [1, 2, 2, 3])


@pytest.mark.parametrize("page", [1, 2])
@pytest.mark.parametrize("coins", [0, 3])
def test_an_empty_or_short_page_is_requested_again(tmp_path, service, page, coins) -> None:
    service.coins = [coin(place) for place in range(1, 601)]
    part = json.dumps([coin(place) for place in range(1, coins + 1)]).encode()
    service.faults = [(f"&page={page}", Fault(200, part))]
    made = fetch_snapshot(fetching(tmp_path, service), clock=Waited().clock)
    assert (len(rows(made.files[0])), made.notes) == (500, [])
    assert service.pages() == ([1, 1, 2] if page == 1 else [1, 2, 2])


def test_a_page_that_stays_empty_fails_and_is_not_cached(tmp_path, service) -> None:
    service.coins = [coin(place) for place in range(1, 251)]
    settings = fetching(tmp_path, service)
    for asked in ([1] + [2] * 6, [2] * 6):
        with pytest.raises(
            FetchError, match=r"1 of 2 pages failed.*page 2 of the market: 0 coins received, at least 245"
        ):
            fetch_snapshot(settings, clock=Waited().clock)
        assert service.pages() == asked
        service.asked.clear()
    assert not settings.raw_dir.exists()


def test_a_short_page_with_others_after_it_is_an_error(tmp_path, service) -> None:
    service.coins = [coin(place) for place in range(1, 601)]
    service.faults = [("&page=1", Fault(200, json.dumps([coin(1), coin(2)]).encode()))] * 2
    settings = fetching(tmp_path, service)
    with pytest.raises(
        FetchError, match="page 1 of the market returned 2 of 250 coins twice, although another page follows"
    ):
        fetch_snapshot(settings, clock=Waited().clock)
    assert not settings.raw_dir.exists()


def test_a_short_last_page_is_checked_against_the_next_page(tmp_path, service) -> None:
    service.coins = [coin(place) for place in range(1, 701)]
    service.faults = [("&page=2", Fault(200, json.dumps(service.coins[250:350]).encode()))] * 2
    with pytest.raises(FetchError, match="page 2 of the market returned 100 of 250 coins twice, although another page"):
        fetch_snapshot(fetching(tmp_path, service, coingecko__top_n=500), clock=Waited().clock)


def test_a_failed_check_after_a_short_page_is_a_failed_page(tmp_path, service) -> None:
    service.faults = [("&page=3", Fault(500))] * 6
    with pytest.raises(FetchError, match=r"1 of 4 pages failed.*page 3 of the market: the service failed"):
        fetch_snapshot(fetching(tmp_path, service, coingecko__top_n=900), clock=Waited().clock)


def test_a_cached_page_is_not_used_for_a_larger_page_size(tmp_path, service) -> None:
    service.faults = [("&page=1", Fault(500))] * 6
    with pytest.raises(FetchError):
        fetch_snapshot(fetching(tmp_path, service, coingecko__top_n=300), clock=Waited().clock)
    service.coins = [coin(place) for place in range(1, 601)]
    made = fetch_snapshot(fetching(tmp_path, service), clock=Waited().clock)
    assert (len(rows(made.files[0])), made.notes) == (500, [])


def test_an_empty_market_writes_nothing(tmp_path, service) -> None:
    service.coins = []
    with pytest.raises(FetchError, match="2 of 2 pages failed"):
        fetch_snapshot(fetching(tmp_path, service), clock=Waited().clock)


def at(hour: int, minute: int = 0, second: int = 0) -> Waited:
    """A clock of 5 March 2025, UTC."""
    return Waited(dt.datetime(2025, 3, 5, hour, minute, second, tzinfo=dt.UTC).timestamp())


def test_a_snapshot_is_dated_by_its_pages(tmp_path, service) -> None:
    service.faults = [("&page=1", gecko.THROTTLED)]
    made = fetch_snapshot(fetching(tmp_path, service, coingecko__top_n=300), clock=at(23, 59, 30).clock)
    assert [path.name for path in made.files] == ["coingecko_20250306.csv"]
    assert {row["date"] for row in rows(made.files[0])} == {"2025-03-06"}


def test_midnight_between_two_pages_writes_nothing(tmp_path, service) -> None:
    settings, waited = fetching(tmp_path, service, coingecko__top_n=300), at(23, 59, 30)
    service.faults = [("&page=2", gecko.THROTTLED)]
    with pytest.raises(FetchError, match=r"midnight \(UTC\) passed between the pages \(23:59 to 00:00\)"):
        fetch_snapshot(settings, clock=waited.clock)
    assert not settings.raw_dir.exists()
    service.asked.clear()
    made = fetch_snapshot(settings, clock=waited.clock)
    assert (made.files[0].name, service.pages()) == ("coingecko_20250306.csv", [1])


@pytest.mark.parametrize(("hour", "notes"), [(0, 0), (2, 0), (14, 1)])
def test_a_late_snapshot_has_a_note(tmp_path, service, hour, notes) -> None:
    made = fetch_snapshot(fetching(tmp_path, service, coingecko__top_n=30), clock=at(hour, 40).clock)
    assert made.files[0].name == NAME
    assert [note for note in made.notes if "14 hours after midnight of 2025-03-05" in note] == (
        made.notes if notes else []
    )
    assert len(made.notes) == notes


def test_null_values_are_empty_cells_and_reject_no_row(tmp_path, service) -> None:
    nothing = dict.fromkeys(coin(2), None) | {"id": "bare"}
    third = coin(3, total_volume=float("nan"), name='Quo"te,\nline')
    service.coins = [coin(1), nothing, third, coin(4)]
    settings = fetching(tmp_path, service, coingecko__top_n=4)
    made = fetch_snapshot(settings, clock=Waited().clock)
    _, bare, third, _ = rows(made.files[0])
    assert {name for name, value in bare.items() if value} == {"coin", "date", "change_unit"}
    assert (third["24h_volume"], third["name"], made.notes) == ("", 'Quo"te, line', [])
    report = dry_run_file(made.files[0], settings, today=DAY).report
    assert (report["rows_kept"], report["rows_refused"]) == (4, {})


def test_a_second_fetch_of_a_day_requests_nothing(tmp_path, service) -> None:
    settings, waited = fetching(tmp_path, service, coingecko__top_n=5), Waited()
    fetch_snapshot(settings, clock=waited.clock)
    made = fetch_snapshot(settings, clock=waited.clock)
    assert (made.files, len(service.asked)) == ([], 1)
    assert made.notes == [f"{NAME} was already fetched; --again fetches it again and replaces it"]
    made = fetch_snapshot(settings, refetch=True, clock=waited.clock)
    assert (made.files, len(service.asked)) == ([], 2)
    assert made.notes == [f"{NAME} in {settings.raw_dir} already has this content: nothing is written"]
    service.coins[0]["current_price"] = 77
    assert fetch_snapshot(settings, refetch=True, clock=waited.clock).files
    assert rows(settings.raw_dir / NAME)[0]["price"] == "77"


def test_two_concurrent_fetches_make_one_set_of_requests(tmp_path, service) -> None:
    settings = fetching(tmp_path, service)
    with (
        exclusive_fetch_lock(settings, "snapshot"),
        pytest.raises(FetchError, match="another `cryptoliq fetch snapshot` is running on"),
    ):
        fetch_snapshot(settings, clock=Waited().clock)
    assert service.asked == []


@pytest.mark.realdata
def test_the_recorded_page_becomes_an_accepted_file(tmp_path, service, real_data) -> None:
    body = (real_data / "coingecko_api" / "coins_markets.json").read_bytes()
    service.bodies["/api/v3/coins/markets"] = body
    settings = fetching(tmp_path, service, coingecko__top_n=250)
    made = fetch_snapshot(settings, clock=Waited().clock)
    found = rows(made.files[0])
    assert [row["coin"] for row in found] == [result["id"] for result in json.loads(body)]
    assert (found[0]["coin"], found[0]["price"], found[0]["24h"]) == ("bitcoin", "47837", "5.905567659134266")
    report = dry_run_file(made.files[0], settings, today=DAY).report
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
    waited = Waited()
    made = fetch_snapshot(fetching(tmp_path, service, coingecko__top_n=10), clock=waited.clock)
    assert (len(made.files), waited.waits) == (1, waits)
