"""Today's snapshot from /coins/markets: whole or absent.

Pages that came are kept in `data/fetch/snapshot-pages/`, so that the next try asks for the others alone; a page older than an
hour, or of another day, is asked for anew, for a snapshot is of one moment. Its date is the day (UTC) in which its pages came.
"""

import datetime as dt
import math
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptoliq_assets.core import Settings, read_json_object, write_json
from cryptoliq_assets.ingestion.coingecko.client import CoinGeckoClient
from cryptoliq_assets.ingestion.coingecko.coins import (
    NUMBER_KEYS,
    ValidatedPage,
    check_market_columns,
    check_page_columns,
    make_cleaned_notes,
    make_omitted_notes,
    parse_coin_id,
    parse_number,
    validate_page,
)
from cryptoliq_assets.ingestion.coingecko.csv_export import (
    SNAPSHOT_COLUMNS,
    exclusive_fetch_lock,
    format_cell,
    is_known_file,
    snapshot_file_name,
    validate_export,
    write_if_changed,
    write_lock,
)
from cryptoliq_assets.ingestion.coingecko.errors import FetchError, OutputRejectedError, RetriesExhaustedError
from cryptoliq_assets.ingestion.coingecko.rate_limit import Clock
from cryptoliq_assets.schemas import UNIT_COLUMN

PAGE_COINS = 250
_SCRATCH = "snapshot-pages"
_FRESH_SECONDS = 3600.0
# A coin or two vanish from a page while it is made; of more it is said that they are missing.
_MISSING_COINS = 5
# From this hour (UTC) on it is said that a snapshot is far from the midnight that began its day.
_LATE_HOURS = 3
_LISTED = 10


@dataclass(frozen=True)
class FetchResult:
    """What a fetch made: the files written, and what a person should know of it."""

    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def fetch_snapshot(
    settings: Settings,
    *,
    refetch: bool = False,
    clock: Clock | None = None,
    log: Callable[[str], None] = lambda message: None,
) -> FetchResult:
    """Write today's contract file into the drop folder; does nothing where it is known already, unless `again`.

    Raises FetchError where it cannot be had whole now; pages that came are kept for the next try.
    """
    with exclusive_fetch_lock(settings, "snapshot"):
        return _fetch(settings, refetch=refetch, clock=clock or Clock(), log=log)


def _fetch(settings: Settings, *, refetch: bool, clock: Clock, log: Callable[[str], None]) -> FetchResult:
    name = snapshot_file_name(clock.today())
    if not refetch and is_known_file(name, settings):
        return FetchResult(notes=[f"{name} was fetched already; --again fetches and replaces it"])
    top = settings.coingecko.top_n
    with CoinGeckoClient(settings, clock.now() + settings.coingecko.snapshot_timeout_seconds, clock, log) as service:
        pages, ending = _pages(service, settings.fetch_dir / _SCRATCH, top=top, clock=clock, log=log)
    moment = _moment(pages)
    name = snapshot_file_name(moment.date())
    try:
        written, notes = _write(name, pages, settings, top=top, day=moment.date())
    except OutputRejectedError:
        # Kept pages would make the next try fail for the same reason.
        _discard_pages(settings)
        raise
    _discard_pages(settings)
    notes = [*ending, *notes, *_lateness(moment)]
    if not written:
        notes.append(f"{name} lies in {settings.raw_dir} with the same content: nothing is written")
    return FetchResult([settings.raw_dir / name] if written else [], notes)


def _write(name: str, pages: list["_Page"], settings: Settings, *, top: int, day: dt.date) -> tuple[bool, list[str]]:
    """Write the file of all pages; whether it is new, and what a person should know of its coins."""
    for number, page in enumerate(pages, start=1):
        check_page_columns(page.coins, number=number)
    coins, notes = merge_pages([page.coins for page in pages], top=top, received=[page.received for page in pages])
    check_market_columns(coins)
    errors = [error for page in pages for error in page.errors]
    rows = [make_row(coin, day) for coin in coins]
    with write_lock(settings):
        content, refused = validate_export(name, rows, SNAPSHOT_COLUMNS, settings, today=day, errors=errors)
        written = write_if_changed(name, content, settings)
    notes += make_omitted_notes([*errors, *refused], coins=len(rows) + len(errors))
    notes += make_cleaned_notes([what for page in pages for what in page.cleaned])
    return written, notes


def _discard_pages(settings: Settings) -> None:
    for folder in settings.fetch_dir.glob("snapshot-*"):
        shutil.rmtree(folder)


@dataclass(frozen=True)
class _Page(ValidatedPage):
    """A page of the market, and when it came (seconds since 1970)."""

    came_at: float


def min_page_coins(page: int, *, top: int) -> int:
    """The fewest coins that a page (from 1) of the `top` largest has, the market being no smaller."""
    return max(1, min(PAGE_COINS, top - (page - 1) * PAGE_COINS) - _MISSING_COINS)


def _pages(
    service: CoinGeckoClient, scratch: Path, *, top: int, clock: Clock, log: Callable[[str], None]
) -> tuple[list[_Page], list[str]]:
    """All pages, kept ones unasked, and a sentence where the market ended before the last; FetchError, naming them, where
    some did not come."""
    pages: list[_Page] = []
    failed: list[str] = []
    ending: list[str] = []
    wanted = math.ceil(top / PAGE_COINS)
    for number in range(1, wanted + 1):
        path, least = scratch / f"page-{number}.json", min_page_coins(number, top=top)
        page = _kept(path, least=least, now=clock.now())
        if page is not None:
            pages.append(page)
            log(f"page {number} of {wanted}: kept from the try before")
            continue
        try:
            screened = validate_page(service.markets(number, least=least), number=number)
            page = _Page(**vars(screened), came_at=clock.now())
            pages.append(page)
            log(f"page {number} of {wanted}: {page.received} coins")
            if page.received >= least:
                write_json(path, vars(page))
                continue
            ending.append(f"the market ends on page {number}, which came with {page.received} coins twice")
            check_market_end(service, number, pages)
        except RetriesExhaustedError as error:
            failed.append(str(error))
        if ending:
            break
    if failed:
        raise FetchError(
            f"{len(failed)} of {wanted} pages did not come, and no snapshot is written: {'; '.join(failed)}. "
            "The pages that came are kept for an hour: the next `cryptoliq fetch snapshot` asks for the others alone"
        )
    return pages, ending


def check_market_end(service: CoinGeckoClient, number: int, pages: Sequence[ValidatedPage]) -> None:
    """FetchError unless the market ends on this short page, the last: one that came in part has other coins behind it."""
    known = {coin["id"] for page in pages for coin in page.coins}
    if {parse_coin_id(entry) for entry in service.markets(number + 1)} - {None} <= known:
        return
    raise FetchError(
        f"page {number} of the market came with {pages[-1].received} coins of {PAGE_COINS} twice, though another page "
        "follows it: nothing is written; run it again later"
    )


def _kept(path: Path, *, least: int, now: float) -> _Page | None:
    """A page of an earlier try: of this day (UTC), no older than an hour, and with as many coins as are wanted now."""
    # One that is damaged, or of an earlier version, is requested again.
    with suppress(OSError, TypeError):
        page = _Page(**read_json_object(path))
        fresh = 0 <= now - page.came_at <= _FRESH_SECONDS and _utc(page.came_at).date() == _utc(now).date()
        return page if fresh and page.received >= least else None
    return None


def _moment(pages: list[_Page]) -> dt.datetime:
    """When the last page came: its day is that of the snapshot. FetchError where the day ended between the pages."""
    moments = [_utc(page.came_at) for page in pages]
    first, last = min(moments), max(moments)
    if first.date() != last.date():
        raise FetchError(
            f"midnight (UTC) fell between the pages ({first:%H:%M} to {last:%H:%M}), and a snapshot is of one day: none is "
            "written; the next `cryptoliq fetch snapshot` asks anew for the pages from before midnight"
        )
    return last


def _utc(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def _lateness(moment: dt.datetime) -> list[str]:
    """A sentence where a snapshot was taken far from the midnight that it stands for, that which began its day."""
    if moment.hour < _LATE_HOURS:
        return []
    return [
        f"taken at {moment:%H:%M} UTC, {moment.hour} hours after the midnight that {moment:%Y-%m-%d} stands for: its 24 hours "
        "are others than those of the days beside it"
    ]


def merge_pages(
    pages: list[list[dict[str, Any]]], *, top: int, received: list[int] | None = None
) -> tuple[list[dict[str, Any]], list[str]]:
    """The coins of all pages, each once, at most `top`; and sentences on coins that came twice or slipped through.

    `received`: entries of each page, those that were left out among them; default: its coins.
    The market is sorted anew between two requests: a coin that falls comes twice, one that climbs not at all. Of a coin that
    came twice the later state counts.
    """
    found: dict[str, dict[str, Any]] = {}
    seen_on: dict[str, int] = {}
    notes = []
    for number, page in enumerate(pages, start=1):
        for coin in page:
            name = coin["id"]
            if name in found:
                newer = coin["last_updated"] >= found[name]["last_updated"]
                kept = number if newer else seen_on[name]
                notes.append(f"{name} came twice, on pages {seen_on[name]} and {number}: that of page {kept} is kept")
                if not newer:
                    continue
            found[name], seen_on[name] = coin, number
    counts = received or [len(page) for page in pages]
    notes += [
        f"page {number} has {count} coins instead of {PAGE_COINS}, though another follows it"
        for number, count in enumerate(counts[:-1], start=1)
        if count < PAGE_COINS and counts[number]
    ]
    coins = list(found.values())[:top]
    left_out = sum(counts) - sum(map(len, pages))
    if len(coins) + left_out < top:
        notes.append(f"{len(coins) + left_out} coins came of {top} asked for{'' if left_out else _slipped(coins)}")
    return coins, notes


def _slipped(coins: list[dict[str, Any]]) -> str:
    """The ranks that nobody has, in words: coins that vanished between two pages left them."""
    ranks = {parse_number(coin["market_cap_rank"]) for coin in coins} - {None}
    whole = {int(rank) for rank in ranks if rank == rank and abs(rank) < 1e9 and rank == int(rank)}
    absent = sorted(set(range(1, min(max(whole, default=0), len(coins) * 2) + 1)) - whole)
    if not absent:
        return ""
    shown = ", ".join(map(str, absent[:_LISTED])) + (", …" if len(absent) > _LISTED else "")
    return f"; no coin has rank {shown}: it vanished from the list, or moved to a page that had come already"


def make_row(coin: dict[str, Any], day: dt.date) -> dict[str, str]:
    """The cells of a coin as `coingecko_coins.screen_page` gives it."""
    return {
        "coin": coin["id"],
        "symbol": coin["symbol"].upper(),
        "name": coin["name"],
        "last_updated": coin["last_updated"],
        "date": day.isoformat(),
        UNIT_COLUMN: "percent",
        **{column: format_cell(coin[key]) for column, key in NUMBER_KEYS.items()},
    }
