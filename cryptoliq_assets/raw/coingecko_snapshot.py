"""Today's snapshot from /coins/markets: whole or absent.

Pages that came are kept in `data/fetch/snapshot-YYYY-MM-DD/`, so that the next try asks for the others alone; a page older
than an hour is asked for anew, for a snapshot is of one moment.
"""

import datetime as dt
import json
import math
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptoliq_assets.io.files import write_json
from cryptoliq_assets.raw.coingecko_client import CoinGecko
from cryptoliq_assets.raw.coingecko_errors import CoinGone, FetchError, PartFailed
from cryptoliq_assets.raw.coingecko_files import (
    SNAPSHOT_COLUMNS,
    alone,
    cell,
    is_known,
    live_name,
    to_csv,
    words,
    write_checked,
    writing,
)
from cryptoliq_assets.raw.coingecko_limits import Clock
from cryptoliq_assets.schemas.raw import UNIT_COLUMN
from cryptoliq_assets.settings import Settings

PAGE_COINS = 250
_FRESH_SECONDS = 3600.0
_LISTED = 10
# Column of the contract → key of a coin in an answer.
_NUMBERS = {
    "price": "current_price",
    "1h": "price_change_percentage_1h_in_currency",
    "24h": "price_change_percentage_24h_in_currency",
    "7d": "price_change_percentage_7d_in_currency",
    "24h_volume": "total_volume",
    "mkt_cap": "market_cap",
    "price_change_24h": "price_change_24h",
    "high_24h": "high_24h",
    "low_24h": "low_24h",
    "circulating_supply": "circulating_supply",
    "market_cap_rank": "market_cap_rank",
}


@dataclass(frozen=True)
class Fetched:
    """What a fetch made: the files written, and what a person should know of it."""

    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def fetch_snapshot(
    settings: Settings,
    *,
    again: bool = False,
    clock: Clock | None = None,
    say: Callable[[str], None] = lambda message: None,
) -> Fetched:
    """Write today's contract file into the drop folder; does nothing where it is known already, unless `again`.

    Raises FetchError where it cannot be had whole now; pages that came are kept for the next try.
    """
    with alone(settings, "snapshot"):
        return _fetch(settings, again=again, clock=clock or Clock(), say=say)


def _fetch(settings: Settings, *, again: bool, clock: Clock, say: Callable[[str], None]) -> Fetched:
    day, name = clock.today(), live_name(clock.today())
    if not again and is_known(name, settings):
        return Fetched(notes=[f"{name} was fetched already; --again fetches and replaces it"])
    scratch = settings.fetch_dir / f"snapshot-{day}"
    with CoinGecko(settings, clock.now() + settings.fetch_seconds, clock, say) as service:
        pages = _pages(service, scratch, wanted=math.ceil(settings.coingecko_coins / PAGE_COINS), clock=clock, say=say)
    coins, notes = merge_pages(pages, top=settings.coingecko_coins)
    if not coins:
        raise FetchError("the market that came has no coin: nothing is written")
    with writing(settings):
        written = write_checked(
            name, to_csv([_row(coin, day) for coin in coins], SNAPSHOT_COLUMNS), settings, today=day
        )
    for folder in settings.fetch_dir.glob("snapshot-*"):
        shutil.rmtree(folder)
    return Fetched([settings.raw_dir / name] if written else [], notes)


def _pages(
    service: CoinGecko, scratch: Path, *, wanted: int, clock: Clock, say: Callable[[str], None]
) -> list[list[dict[str, Any]]]:
    """All pages, kept ones unasked; FetchError, naming them, where some did not come."""
    pages, failed = [], []
    for number in range(1, wanted + 1):
        path = scratch / f"page-{number}.json"
        coins = _kept(path, now=clock.now())
        if coins is None:
            try:
                coins = service.markets(number)
            except (PartFailed, CoinGone) as error:
                failed.append((number, str(error)))
                continue
            write_json(path, {"fetched_at": clock.now(), "coins": coins})
            say(f"page {number} of {wanted}: {len(coins)} coins")
        else:
            say(f"page {number} of {wanted}: kept from the try before")
        pages.append(coins)
        if len(coins) == 0:
            # Beyond the end of the market.
            break
    if failed:
        told = "; ".join(reason for _, reason in failed)
        raise FetchError(
            f"{len(failed)} of {wanted} pages did not come, and no snapshot is written: {told}. "
            "The pages that came are kept for an hour: the next `cryptoliq fetch snapshot` asks for the others alone"
        )
    return pages


def _kept(path: Path, *, now: float) -> list[dict[str, Any]] | None:
    with suppress(FileNotFoundError):
        kept = json.loads(path.read_text(encoding="utf-8"))
        if 0 <= now - kept["fetched_at"] <= _FRESH_SECONDS:
            return kept["coins"]
    return None


def merge_pages(pages: list[list[dict[str, Any]]], *, top: int) -> tuple[list[dict[str, Any]], list[str]]:
    """The coins of all pages, each once, at most `top`; and sentences on coins that came twice or slipped through.

    The market is sorted anew between two requests: a coin that falls comes twice, one that climbs not at all. Of a coin that
    came twice the later state counts.
    """
    found: dict[str, dict[str, Any]] = {}
    seen_on: dict[str, int] = {}
    notes = []
    for number, page in enumerate(pages, start=1):
        for coin in page:
            name = words(coin["id"])
            if name in found:
                newer = words(coin.get("last_updated")) >= words(found[name].get("last_updated"))
                kept = number if newer else seen_on[name]
                notes.append(f"{name} came twice, on pages {seen_on[name]} and {number}: that of page {kept} is kept")
                if not newer:
                    continue
            found[name], seen_on[name] = coin, number
    notes += [
        f"page {number} has {len(page)} coins instead of {PAGE_COINS}, though another follows it"
        for number, page in enumerate(pages[:-1], start=1)
        if len(page) < PAGE_COINS and pages[number]
    ]
    coins = list(found.values())[:top]
    if len(coins) < top:
        notes.append(f"{len(coins)} coins came of {top} asked for{_slipped(coins)}")
    return coins, notes


def _slipped(coins: list[dict[str, Any]]) -> str:
    """The ranks that nobody has, in words: coins that vanished between two pages left them."""
    ranks = {coin.get("market_cap_rank") for coin in coins}
    whole = {rank for rank in ranks if isinstance(rank, int) and not isinstance(rank, bool)}
    absent = sorted(set(range(1, min(max(whole, default=0), len(coins) * 2) + 1)) - whole)
    if not absent:
        return ""
    shown = ", ".join(map(str, absent[:_LISTED])) + (", …" if len(absent) > _LISTED else "")
    return f"; no coin has rank {shown}: it vanished from the list, or moved to a page that had come already"


def _row(coin: dict[str, Any], day: dt.date) -> dict[str, str]:
    return {
        "coin": words(coin["id"]),
        "symbol": words(coin.get("symbol")).upper(),
        "name": words(coin.get("name")),
        "last_updated": words(coin.get("last_updated")),
        "date": day.isoformat(),
        UNIT_COLUMN: "percent",
        **{column: cell(coin.get(key)) for column, key in _NUMBERS.items()},
    }
