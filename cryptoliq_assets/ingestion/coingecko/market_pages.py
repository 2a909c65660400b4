"""Pages of the market list: their expected size, where the list ends, and merging them into one list of coins.

Shared by the live snapshot and by history; what concerns single entries of a page belongs in `coins.py`.
"""

from collections.abc import Sequence
from typing import Any

from cryptoliq_assets.ingestion.coingecko.client import CoinGeckoClient
from cryptoliq_assets.ingestion.coingecko.coins import ValidatedPage, parse_coin_id, parse_number
from cryptoliq_assets.ingestion.coingecko.errors import FetchError

PAGE_COINS = 250
# A coin or two may disappear from a page while it is created; more are reported as missing.
_MAX_MISSING_COINS = 5
_MAX_LISTED = 10


def min_page_coins(page: int, *, top: int) -> int:
    """Return the minimum number of coins of a page, if the market is large enough.

    Args:
        page: Number of the page, from 1.
        top: Requested number of coins.

    Example:
        >>> min_page_coins(1, top=500), min_page_coins(3, top=600), min_page_coins(1, top=2)
        (245, 95, 1)
    """
    return max(1, min(PAGE_COINS, top - (page - 1) * PAGE_COINS) - _MAX_MISSING_COINS)


def check_market_end(client: CoinGeckoClient, number: int, pages: Sequence[ValidatedPage]) -> None:
    """Check that the market ends on a short page: if the page is truncated, other coins follow on the next one.

    Args:
        client: Connection to the service.
        number: Number of the short page, from 1.
        pages: All pages so far, the short one last.

    Raises:
        FetchError: The next page has other coins, or cannot be fetched.
        RetriesExhaustedError: Every attempt to fetch the next page failed.
    """
    listed = {coin["id"] for page in pages for coin in page.coins}
    if {parse_coin_id(entry) for entry in client.markets(number + 1)} - {None} <= listed:
        return
    raise FetchError(
        f"page {number} of the market returned {pages[-1].received} of {PAGE_COINS} coins twice, although another page "
        "follows: nothing is written; run it again later"
    )


def merge_pages(
    pages: list[list[dict[str, Any]]], *, top: int, received: list[int] | None = None
) -> tuple[list[dict[str, Any]], list[str]]:
    """Merge pages into one list of coins.

    The market is sorted again between two requests: a coin that falls appears twice, and one that climbs not at all. Of a coin
    that appears twice, the entry with the later `last_updated` is used.

    Args:
        pages: Usable coins of each page.
        top: Maximum number of coins.
        received: Number of entries of each page, invalid ones included; by default the number of its coins.

    Returns:
        Each coin once, and notes on coins that appear twice or are missing.
    """
    merged: dict[str, dict[str, Any]] = {}
    seen_on: dict[str, int] = {}
    notes = []
    for number, page in enumerate(pages, start=1):
        for coin in page:
            name = coin["id"]
            if name in merged:
                newer = coin["last_updated"] >= merged[name]["last_updated"]
                used = number if newer else seen_on[name]
                notes.append(
                    f"{name} is listed twice, on pages {seen_on[name]} and {number}: the entry of page {used} is used"
                )
                if not newer:
                    continue
            merged[name], seen_on[name] = coin, number
    counts = received or [len(page) for page in pages]
    notes += [
        f"page {number} has {count} coins instead of {PAGE_COINS}, although another page follows"
        for number, count in enumerate(counts[:-1], start=1)
        if count < PAGE_COINS and counts[number]
    ]
    coins = list(merged.values())[:top]
    left_out = sum(counts) - sum(map(len, pages))
    if len(coins) + left_out < top:
        notes.append(
            f"{len(coins) + left_out} coins received of {top} requested{'' if left_out else _describe_missing_ranks(coins)}"
        )
    return coins, notes


def _describe_missing_ranks(coins: list[dict[str, Any]]) -> str:
    """Name the ranks without a coin, which coins left that disappeared between two pages."""
    ranks = {rank for coin in coins if (rank := parse_number(coin["market_cap_rank"])) is not None}
    integers = {int(each) for each in ranks if each == each and abs(each) < 1e9 and each == int(each)}
    missing = sorted(set(range(1, min(max(integers, default=0), len(coins) * 2) + 1)) - integers)
    if not missing:
        return ""
    shown = ", ".join(map(str, missing[:_MAX_LISTED])) + (", …" if len(missing) > _MAX_LISTED else "")
    return f"; no coin has rank {shown}: it disappeared from the list, or moved to a page that was fetched before"
