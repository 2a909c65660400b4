"""Fetch today's snapshot from /coins/markets, complete or not at all.

Fetched pages are stored in `data/fetch/snapshot-pages/`, so that the next attempt requests only the others. A page older than
an hour, or of another day, is requested again, because a snapshot is a single point in time. The date of a snapshot is the
UTC day on which its pages were fetched. Past days belong in `history.py`.
"""

import datetime as dt
import math
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
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
    validate_page,
)
from cryptoliq_assets.ingestion.coingecko.csv_export import (
    SNAPSHOT_COLUMNS,
    FetchResult,
    exclusive_fetch_lock,
    format_cell,
    is_known_file,
    snapshot_file_name,
    validate_export,
    write_if_changed,
    write_lock,
)
from cryptoliq_assets.ingestion.coingecko.errors import FetchError, OutputRejectedError, RetriesExhaustedError
from cryptoliq_assets.ingestion.coingecko.market_pages import PAGE_COINS, check_market_end, merge_pages, min_page_coins
from cryptoliq_assets.ingestion.coingecko.rate_limit import Clock
from cryptoliq_assets.schemas import UNIT_COLUMN

_SCRATCH = "snapshot-pages"
_FRESH_SECONDS = 3600.0
# From this hour (UTC) a note states that the snapshot is far from the midnight at the start of its day.
_LATE_HOURS = 3


def fetch_snapshot(
    settings: Settings,
    *,
    refetch: bool = False,
    clock: Clock | None = None,
    log: Callable[[str], None] = lambda message: None,
) -> FetchResult:
    """Fetch today's snapshot and write it into the drop folder.

    Args:
        settings: Settings of the data directory.
        refetch: Whether to replace a snapshot of today that already exists; otherwise nothing is requested.
        clock: Time and waiting; by default the real clock.
        log: Receives progress messages.

    Returns:
        The file, if it is new, and notes.

    Raises:
        FetchError: The snapshot cannot be fetched completely now; fetched pages are kept for the next attempt.
    """
    with exclusive_fetch_lock(settings, "snapshot"):
        return _fetch(settings, refetch=refetch, clock=clock or Clock(), log=log)


def _fetch(settings: Settings, *, refetch: bool, clock: Clock, log: Callable[[str], None]) -> FetchResult:
    name = snapshot_file_name(clock.today())
    if not refetch and is_known_file(name, settings):
        return FetchResult(notes=[f"{name} was already fetched; --again fetches it again and replaces it"])
    top = settings.coingecko.top_n
    with CoinGeckoClient(settings, clock.now() + settings.coingecko.snapshot_timeout_seconds, clock, log) as client:
        pages, ending = _fetch_pages(client, settings.fetch_dir / _SCRATCH, top=top, clock=clock, log=log)
    moment = _fetch_time(pages)
    name = snapshot_file_name(moment.date())
    try:
        written, notes = _write(name, pages, settings, top=top, day=moment.date())
    except OutputRejectedError:
        # Stored pages would make the next attempt fail for the same reason.
        _discard_pages(settings)
        raise
    _discard_pages(settings)
    notes = [*ending, *notes, *_lateness_notes(moment)]
    if not written:
        notes.append(f"{name} in {settings.raw_dir} already has this content: nothing is written")
    return FetchResult([settings.raw_dir / name] if written else [], notes)


def _write(name: str, pages: list["_Page"], settings: Settings, *, top: int, day: dt.date) -> tuple[bool, list[str]]:
    """Write the file of all pages; return whether it is new, and notes about its coins."""
    for number, page in enumerate(pages, start=1):
        check_page_columns(page.coins, number=number)
    coins, notes = merge_pages([page.coins for page in pages], top=top, received=[page.received for page in pages])
    check_market_columns(coins)
    errors = [error for page in pages for error in page.errors]
    rows = [make_row(coin, day) for coin in coins]
    with write_lock(settings):
        content, rejected = validate_export(name, rows, SNAPSHOT_COLUMNS, settings, today=day, errors=errors)
        written = write_if_changed(name, content, settings)
    notes += make_omitted_notes([*errors, *rejected], coins=len(rows) + len(errors))
    notes += make_cleaned_notes([change for page in pages for change in page.cleaned])
    return written, notes


def _discard_pages(settings: Settings) -> None:
    for folder in settings.fetch_dir.glob("snapshot-*"):
        shutil.rmtree(folder)


@dataclass(frozen=True)
class _Page(ValidatedPage):
    """A page of the market, and when it was fetched (seconds since 1970)."""

    came_at: float


def _fetch_pages(
    client: CoinGeckoClient, scratch: Path, *, top: int, clock: Clock, log: Callable[[str], None]
) -> tuple[list[_Page], list[str]]:
    """Return all pages, stored ones without a request, and a note if the market ends early.

    Raises FetchError, naming the pages, if some failed.
    """
    pages: list[_Page] = []
    failed: list[str] = []
    ending: list[str] = []
    n_pages = math.ceil(top / PAGE_COINS)
    for number in range(1, n_pages + 1):
        path, min_coins = scratch / f"page-{number}.json", min_page_coins(number, top=top)
        page = _load_page(path, min_coins=min_coins, now=clock.now())
        if page is not None:
            pages.append(page)
            log(f"page {number} of {n_pages}: reused from the previous attempt")
            continue
        try:
            validated = validate_page(client.markets(number, min_coins=min_coins), number=number)
            page = _Page(**vars(validated), came_at=clock.now())
            pages.append(page)
            log(f"page {number} of {n_pages}: {page.received} coins")
            if page.received >= min_coins:
                write_json(path, vars(page))
                continue
            ending.append(f"the market ends on page {number}, which returned {page.received} coins twice")
            check_market_end(client, number, pages)
        except RetriesExhaustedError as error:
            failed.append(str(error))
        if ending:
            break
    if failed:
        raise FetchError(
            f"{len(failed)} of {n_pages} pages failed, and no snapshot is written: {'; '.join(failed)}. "
            "Fetched pages are kept for an hour: the next `cryptoliq fetch snapshot` requests only the others"
        )
    return pages, ending


def _load_page(path: Path, *, min_coins: int, now: float) -> _Page | None:
    """Return a page of an earlier attempt if it is of today (UTC), no older than an hour, and large enough."""
    # A page that is damaged, or in an earlier format, is requested again.
    with suppress(OSError, TypeError):
        page = _Page(**read_json_object(path))
        fresh = 0 <= now - page.came_at <= _FRESH_SECONDS and _utc(page.came_at).date() == _utc(now).date()
        return page if fresh and page.received >= min_coins else None
    return None


def _fetch_time(pages: list[_Page]) -> dt.datetime:
    """Return when the last page was fetched, which dates the snapshot; raise FetchError if midnight passed in between."""
    moments = [_utc(page.came_at) for page in pages]
    first, last = min(moments), max(moments)
    if first.date() != last.date():
        raise FetchError(
            f"midnight (UTC) passed between the pages ({first:%H:%M} to {last:%H:%M}), and a snapshot covers one day: none is "
            "written; the next `cryptoliq fetch snapshot` requests the pages from before midnight again"
        )
    return last


def _utc(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def _lateness_notes(moment: dt.datetime) -> list[str]:
    """Return a sentence if a snapshot was taken long after the midnight at the start of its day."""
    if moment.hour < _LATE_HOURS:
        return []
    return [
        f"taken at {moment:%H:%M} UTC, {moment.hour} hours after midnight of {moment:%Y-%m-%d}: its 24 hours overlap those of "
        "the next day"
    ]


def make_row(coin: dict[str, Any], day: dt.date) -> dict[str, str]:
    """Make the contract cells of a coin.

    Args:
        coin: Coin as `validate_page` returns it.
        day: Date of the snapshot.

    Returns:
        Cells by column.
    """
    return {
        "coin": coin["id"],
        "symbol": coin["symbol"].upper(),
        "name": coin["name"],
        "last_updated": coin["last_updated"],
        "date": day.isoformat(),
        UNIT_COLUMN: "percent",
        **{column: format_cell(coin[key]) for column, key in NUMBER_KEYS.items()},
    }
