"""Pages of the CoinGecko market: failed and short ones are requested again, and each coin is written once."""

import json

import pytest

from cryptoliq_assets.ingestion.coingecko.csv_export import snapshot_file_name
from cryptoliq_assets.ingestion.coingecko.errors import DeadlineExceededError, FetchError
from cryptoliq_assets.ingestion.coingecko.market_pages import merge_pages
from cryptoliq_assets.ingestion.coingecko.snapshot import fetch_snapshot
from cryptoliq_assets_tests.support import coingecko_api as gecko
from cryptoliq_assets_tests.support.coingecko_api import FakeClock, Fault, coin, make_fetch_settings
from cryptoliq_assets_tests.support.coingecko_runs import DAY, read_csv


def test_a_retry_requests_only_the_missing_page(tmp_path, service) -> None:
    settings, clock = make_fetch_settings(tmp_path, service, coingecko__top_n=300), FakeClock()
    service.faults = [("&page=1", Fault(500))] * 6
    with pytest.raises(FetchError, match="1 of 2 pages failed, and no snapshot is written: page 1 of the market"):
        fetch_snapshot(settings, clock=clock)
    assert not settings.raw_dir.exists()
    assert service.pages() == [1] * 6 + [2]
    service.requests.clear()
    fetch_snapshot(settings, clock=clock)
    assert service.pages() == [1]
    assert len(read_csv(settings.raw_dir / snapshot_file_name(DAY))) == 300


def test_pages_older_than_an_hour_are_requested_again(tmp_path, service) -> None:
    settings, clock = make_fetch_settings(tmp_path, service, coingecko__top_n=300), FakeClock()
    service.faults = [("&page=2", Fault(500))] * 6
    with pytest.raises(FetchError):
        fetch_snapshot(settings, clock=clock)
    clock.at += 3601
    service.requests.clear()
    fetch_snapshot(settings, clock=clock)
    assert service.pages() == [1, 2]


def test_all_pages_share_one_deadline(tmp_path, service) -> None:
    settings, clock = (
        make_fetch_settings(tmp_path, service, coingecko__top_n=1000, coingecko__snapshot_timeout_seconds=100),
        FakeClock(),
    )
    service.faults = [("&page=1", gecko.THROTTLED), ("&page=2", gecko.THROTTLED)]
    with pytest.raises(DeadlineExceededError):
        fetch_snapshot(settings, clock=clock)
    assert clock.waits == [60.0]
    assert not settings.raw_dir.exists()


def test_a_coin_on_two_pages_is_written_once(tmp_path, service) -> None:
    fallen = coin(250, id="coin-250", current_price=3.5, last_updated="2025-03-05T00:41:00Z")
    service.coins.insert(250, fallen)
    result = fetch_snapshot(make_fetch_settings(tmp_path, service, coingecko__top_n=301), clock=FakeClock())
    assert result.notes[0] == "coin-250 is listed twice, on pages 1 and 2: the entry of page 2 is used"
    written = [row for row in read_csv(result.files[0]) if row["coin"] == "coin-250"]
    assert [row["price"] for row in written] == ["3.5"]


def test_coins_lost_between_pages_are_named_by_rank() -> None:
    pages = [[coin(rank) for rank in range(1, 250)], [coin(rank) for rank in range(252, 300)]]
    coins, notes = merge_pages(pages, top=300)
    assert len(coins) == 297
    assert notes == [
        "page 1 has 249 coins instead of 250, although another page follows",
        "297 coins received of 300 requested; no coin has rank 250, 251: it disappeared from the list, or moved to a page that "
        "was fetched before",
    ]


def test_a_small_market_is_written_after_two_short_pages(tmp_path, service) -> None:
    result = fetch_snapshot(make_fetch_settings(tmp_path, service, coingecko__top_n=900), clock=FakeClock())
    assert result.notes == [
        "the market ends on page 2, which returned 50 coins twice",
        "300 coins received of 900 requested",
    ]
    assert (len(read_csv(result.files[0])), service.pages()) == (300, [1, 2, 2, 3])


@pytest.mark.parametrize("page", [1, 2])
@pytest.mark.parametrize("coins", [0, 3])
def test_an_empty_or_short_page_is_requested_again(tmp_path, service, page, coins) -> None:
    service.coins = [coin(rank) for rank in range(1, 601)]
    part = json.dumps([coin(rank) for rank in range(1, coins + 1)]).encode()
    service.faults = [(f"&page={page}", Fault(200, part))]
    result = fetch_snapshot(make_fetch_settings(tmp_path, service), clock=FakeClock())
    assert (len(read_csv(result.files[0])), result.notes) == (500, [])
    assert service.pages() == ([1, 1, 2] if page == 1 else [1, 2, 2])


def test_a_page_that_stays_empty_fails_and_is_not_cached(tmp_path, service) -> None:
    service.coins = [coin(rank) for rank in range(1, 251)]
    settings = make_fetch_settings(tmp_path, service)
    for pages in ([1] + [2] * 6, [2] * 6):
        with pytest.raises(
            FetchError, match=r"1 of 2 pages failed.*page 2 of the market: 0 coins received, at least 245"
        ):
            fetch_snapshot(settings, clock=FakeClock())
        assert service.pages() == pages
        service.requests.clear()
    assert not settings.raw_dir.exists()


def test_a_short_page_with_others_after_it_is_an_error(tmp_path, service) -> None:
    service.coins = [coin(rank) for rank in range(1, 601)]
    service.faults = [("&page=1", Fault(200, json.dumps([coin(1), coin(2)]).encode()))] * 2
    settings = make_fetch_settings(tmp_path, service)
    with pytest.raises(
        FetchError, match="page 1 of the market returned 2 of 250 coins twice, although another page follows"
    ):
        fetch_snapshot(settings, clock=FakeClock())
    assert not settings.raw_dir.exists()


def test_a_short_last_page_is_checked_against_the_next_page(tmp_path, service) -> None:
    service.coins = [coin(rank) for rank in range(1, 701)]
    service.faults = [("&page=2", Fault(200, json.dumps(service.coins[250:350]).encode()))] * 2
    with pytest.raises(FetchError, match="page 2 of the market returned 100 of 250 coins twice, although another page"):
        fetch_snapshot(make_fetch_settings(tmp_path, service, coingecko__top_n=500), clock=FakeClock())


def test_a_failed_check_after_a_short_page_is_a_failed_page(tmp_path, service) -> None:
    service.faults = [("&page=3", Fault(500))] * 6
    with pytest.raises(FetchError, match=r"1 of 4 pages failed.*page 3 of the market: the service failed"):
        fetch_snapshot(make_fetch_settings(tmp_path, service, coingecko__top_n=900), clock=FakeClock())


def test_a_cached_page_is_not_used_for_a_larger_page_size(tmp_path, service) -> None:
    service.faults = [("&page=1", Fault(500))] * 6
    with pytest.raises(FetchError):
        fetch_snapshot(make_fetch_settings(tmp_path, service, coingecko__top_n=300), clock=FakeClock())
    service.coins = [coin(rank) for rank in range(1, 601)]
    result = fetch_snapshot(make_fetch_settings(tmp_path, service), clock=FakeClock())
    assert (len(read_csv(result.files[0])), result.notes) == (500, [])


def test_an_empty_market_writes_nothing(tmp_path, service) -> None:
    service.coins = []
    with pytest.raises(FetchError, match="2 of 2 pages failed"):
        fetch_snapshot(make_fetch_settings(tmp_path, service), clock=FakeClock())
