"""Fetches from the fake CoinGecko API, and the rows of the files that they write."""

import csv
import datetime as dt
from pathlib import Path

from cryptoliq_assets.ingestion.coingecko.client import CoinGeckoClient
from cryptoliq_assets.ingestion.coingecko.history import HistoryFetcher
from cryptoliq_assets_tests.support.coingecko_api import NOW, FakeClock, Service, make_fetch_settings

# The date of NOW.
DAY = dt.date(2025, 3, 5)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def rows_by_coin(path: Path) -> dict[str, dict[str, str]]:
    return {row["coin"]: row for row in read_csv(path)}


def count_rows(files: list[Path]) -> dict[str, tuple[int, int]]:
    """Return by day: the number of rows, and of rows with a 7d change."""
    tables = {path.stem[-10:]: read_csv(path) for path in files}
    return {day: (len(rows), sum(bool(row["7d"]) for row in rows)) for day, rows in tables.items()}


def make_client(
    home: Path, service: Service, clock: FakeClock, *, seconds: float = 1800.0, **options: object
) -> CoinGeckoClient:
    """Make a client whose deadline is so many seconds after NOW."""
    return CoinGeckoClient(make_fetch_settings(home, service, **options), NOW + seconds, clock)


def make_history(
    home: Path, service: Service, clock: FakeClock, *, days: int = 10, top: int = 3, **options: object
) -> HistoryFetcher:
    """Make a fetcher of history that has the same clock as the service."""
    service.now = clock.now
    return HistoryFetcher(make_fetch_settings(home, service, **options), days, top, clock=clock)


def requested_days(service: Service) -> list[str]:
    """Return the parameter `days` of each requested chart, in order."""
    return [path.split("days=")[1].split("&")[0] for path in service.requests if "market_chart" in path]


def delay_requests(service: Service, clock: FakeClock, seconds: float) -> None:
    """Let each request take so many seconds."""

    def delay(path: str) -> None:
        clock.at += seconds

    service.on_request = delay
