"""Small raw files, their ingestion, and the resulting prices and files."""

import datetime as dt
from pathlib import Path

from cryptoliq_assets.ingestion.landing.intake import Intake, IntakeResult
from cryptoliq_assets_tests.support.markets import HEADER, Home

MARCH, APRIL, MAY = dt.date(2022, 3, 16), dt.date(2022, 4, 2), dt.date(2022, 5, 3)
NAME, OTHER, THIRD = "coingecko_20220316.csv", "coingecko_20220317.csv", "coin_gecko_2022-03-16.csv"


def rows(*cells: tuple[str, float, dt.date]) -> str:
    """Return the content of a raw file with rows of coin, price and date."""
    lines = [f"{coin},{coin[:3].upper()},{price},-0.5,-2.5,-4,1e6,1e9,{date}" for coin, price, date in cells]
    return "\n".join([HEADER, *lines, ""])


def take_in(home: Home, *months: str) -> IntakeResult:
    """Register new files and write the raw rows of these months, as the first step of a refresh does."""
    home.look()
    store = home.store
    result = Intake(home.settings, store).ingest(months)
    store.write("raw_snapshots", result.frame, months, sources=result.sources)
    return result


def prices(home: Home) -> dict[tuple[str, str], float]:
    """Return the stored prices by coin and date."""
    frame = home.store.read("raw_snapshots")
    return {(row.coin, str(row.date.date())): row.price for row in frame.itertuples()}


def files_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def states(home: Home) -> list[str]:
    """Return the states of the files in the catalog, by arrival."""
    return [file.state for file in home.catalog.files()]
