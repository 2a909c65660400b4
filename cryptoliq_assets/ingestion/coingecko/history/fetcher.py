"""Fetch the past from /coins/{id}/market_chart, with a checkpoint on disk.

Fetched data is stored (`checkpoint.py`), so an interrupted run requests nothing twice. Files are written by `writer.py`, once
all charts are fetched. Today's market belongs in `coingecko/snapshot.py`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cryptoliq_assets.core import Settings, write_json
from cryptoliq_assets.ingestion.coingecko.client import CoinGeckoClient
from cryptoliq_assets.ingestion.coingecko.coins import (
    TEXT_KEYS,
    ValidatedPage,
    check_error_fraction,
    join_names,
    make_cleaned_notes,
    make_omitted_notes,
    validate_page,
)
from cryptoliq_assets.ingestion.coingecko.csv_export import (
    FetchResult,
    exclusive_fetch_lock,
)
from cryptoliq_assets.ingestion.coingecko.errors import (
    CoinNotFoundError,
    FetchError,
    OutputRejectedError,
    RequestRejectedError,
    RetriesExhaustedError,
)
from cryptoliq_assets.ingestion.coingecko.history.charts import (
    extract_daily_points,
    list_days,
    list_some,
    validate_chart,
)
from cryptoliq_assets.ingestion.coingecko.history.checkpoint import HistoryCheckpoint, read_if_exists, utc_date
from cryptoliq_assets.ingestion.coingecko.history.provenance import has_live_snapshots, select_writable_days
from cryptoliq_assets.ingestion.coingecko.history.writer import write_days
from cryptoliq_assets.ingestion.coingecko.market_pages import (
    PAGE_COINS,
    check_market_end,
    merge_pages,
    min_page_coins,
)
from cryptoliq_assets.ingestion.coingecko.rate_limit import Clock

# Days requested in addition to those written: seven for the 7d change, one for a midnight that passes before the response.
_EXTRA_DAYS = 8
# Maximum days of history by plan.
_PLAN_DAYS = {"keyless": 365, "demo": 365}
# If so many coins in a row fail, the service fails and not the coin.
_MAX_FAILURES = 3
_STORED_KEYS = ("id", *TEXT_KEYS, "market_cap_rank")


@dataclass(frozen=True)
class HistoryProgress:
    """Progress of a history.

    Attributes:
        done: Charts fetched.
        wanted: Charts in total.
        seconds_left: Minimum time that the remaining requests take.
    """

    done: int
    wanted: int
    seconds_left: float


@dataclass
class HistoryFetcher:
    """Fetch the last days of the largest coins.

    Attributes:
        settings: Settings of the data directory.
        days: Number of days.
        top: Number of coins.
        leave_out_failed: Whether to write the files although some charts failed.
        refetch: Whether to replace days that history wrote before.
        clock: Time and waiting.
        log: Receives messages.
        report_progress: Called before each chart and at the end.
    """

    settings: Settings
    days: int
    top: int
    leave_out_failed: bool = False
    refetch: bool = False
    clock: Clock = field(default_factory=Clock)
    log: Callable[[str], None] = lambda message: None
    report_progress: Callable[[HistoryProgress], None] = lambda progress: None

    @property
    def folder(self) -> Path:
        """Folder of the checkpoint."""
        return self.settings.fetch_dir / f"history-{self.days}"

    def fetch(self) -> FetchResult:
        """Request the data that is not stored yet, then write the files.

        Returns:
            The files written, and notes.

        Raises:
            FetchError: Not everything could be fetched; fetched data is kept.
        """
        with exclusive_fetch_lock(self.settings, "history"):
            return self._fetch()

    def _fetch(self) -> FetchResult:
        checkpoint = HistoryCheckpoint.find(self.folder, days=self.days, now=self.clock.now())
        writable, taken = select_writable_days(
            list_days(checkpoint.first, checkpoint.last), self.settings, refetch=self.refetch
        )
        if not writable:
            checkpoint.discard()
            return FetchResult(notes=[*taken, "no day is left to write: nothing was requested"])
        if checkpoint.start():
            began, last = utc_date(checkpoint.began), checkpoint.last
            self.log(f"resuming the history started on {began}, for the days up to {last}")
        elif checkpoint.last < self.clock.today():
            today, last = self.clock.today(), checkpoint.last
            self.log(f"the midnight of {today} is available from 00:35 UTC: the last day is {last}")
        self._compare_with_live()
        deadline = self.clock.now() + self.settings.coingecko.history_timeout_seconds
        with CoinGeckoClient(self.settings, deadline, self.clock, self.log) as client:
            coins, notes = self._load_or_fetch_coins(client, checkpoint)
            gone, failed = self._fetch_charts(client, checkpoint, [coin["id"] for coin in coins])
        if failed and not self.leave_out_failed:
            raise FetchError(
                f"{len(failed)} of {len(coins)} charts failed ({list_some(failed)}), and no file is written; the next "
                "`cryptoliq fetch history` requests only these, --leave-out-failed writes the files without them"
            )
        notes += self._chart_errors(checkpoint, [coin["id"] for coin in coins])
        if gone:
            notes.append(f"{len(gone)} coins no longer exist and are left out: {list_some(gone)}")
        if failed:
            notes.append(f"{len(failed)} coins are left out, their charts failed: {list_some(failed)}")
        return write_days(checkpoint, coins, self.settings, notes=notes, refetch=self.refetch, today=self.clock.today())

    def _compare_with_live(self) -> None:
        live = self.settings.coingecko.top_n
        if self.top < live and has_live_snapshots(self.settings):
            self.log(
                f"live snapshots of this data directory have {live} coins, this history {self.top}: a gap filled with "
                f"fewer coins may fail the check rows_against_median; --top {live} requests the same number"
            )

    def _load_or_fetch_coins(
        self, client: CoinGeckoClient, checkpoint: HistoryCheckpoint
    ) -> tuple[list[dict[str, Any]], list[str]]:
        """Return the coins, from the checkpoint if it has enough of them, and notes about the list."""
        stored = read_if_exists(checkpoint.list_path)
        if stored is not None and (len(stored["coins"]) >= self.top or stored["top"] >= self.top):
            return stored["coins"][: self.top], stored["notes"]
        pages = self._fetch_pages(client, checkpoint)
        coins, notes = merge_pages(
            [page.coins for page in pages], top=self.top, received=[page.received for page in pages]
        )
        errors = [error for page in pages for error in page.errors]
        try:
            check_error_fraction(errors, coins=len(coins) + len(errors))
        except OutputRejectedError:
            # Stored pages would make the next run fail for the same reason.
            checkpoint.discard()
            raise
        notes += make_omitted_notes(errors, coins=len(coins) + len(errors))
        notes += make_cleaned_notes([change for page in pages for change in page.cleaned])
        write_json(checkpoint.list_path, {"top": self.top, "coins": coins, "notes": notes})
        return coins, notes

    def _fetch_pages(self, client: CoinGeckoClient, checkpoint: HistoryCheckpoint) -> list[ValidatedPage]:
        """Return the pages of the market list, stored ones without a request."""
        pages: list[ValidatedPage] = []
        for number in range(1, math.ceil(self.top / PAGE_COINS) + 1):
            path, min_coins = checkpoint.page_path(number, top=self.top), min_page_coins(number, top=self.top)
            if (stored := read_if_exists(path)) is not None:
                pages.append(ValidatedPage(**stored))
                continue
            try:
                page = _without_numbers(validate_page(client.markets(number, min_coins=min_coins), number=number))
                pages.append(page)
                if page.received < min_coins:
                    # The end of the market, which may change: not stored.
                    check_market_end(client, number, pages)
                    break
            except RetriesExhaustedError as error:
                raise FetchError(f"the list of coins could not be fetched: {error}; run it again later") from error
            write_json(path, vars(page))
        return pages

    def _fetch_charts(
        self, client: CoinGeckoClient, checkpoint: HistoryCheckpoint, names: list[str]
    ) -> tuple[list[str], list[str]]:
        """Fetch the charts that are not stored; return the coins that no longer exist and those that failed."""
        missing = [name for name in names if not checkpoint.chart_path(name).exists()]
        self._announce(client, len(missing), len(names))
        failed: list[str] = []
        consecutive = 0
        for place, name in enumerate(missing):
            self._report(client, len(names), len(missing) - place)
            days = self._days_to_request(checkpoint)
            points: dict[str, Any] | None = None
            error: str | None = None
            try:
                chart = validate_chart(client.chart(name, days=days))
                points = extract_daily_points(chart.series, now=self.clock.now()) if chart.usable else {}
                error = chart.error
                consecutive = 0
            except CoinNotFoundError:
                consecutive = 0
            except RequestRejectedError as rejection:
                consecutive += 1
                if consecutive >= _MAX_FAILURES:
                    raise
                points, error = {}, f"{rejection}: left out"
            except RetriesExhaustedError as failure:
                self.log(str(failure))
                failed.append(name)
                consecutive += 1
                if consecutive >= _MAX_FAILURES:
                    raise FetchError(
                        f"{consecutive} charts in a row failed, the last: {failure}; fetched charts are kept, try again later"
                    ) from failure
                continue
            checkpoint.save_chart(name, points, days=days, fetched_at=self.clock.now(), error=error)
            if error:
                self.log(f"{name}: {error}")
        self._report(client, len(names), len(failed))
        fetched = [name for name in names if name not in failed]
        return [name for name in fetched if read_if_exists(checkpoint.chart_path(name))["days"] is None], failed

    def _chart_errors(self, checkpoint: HistoryCheckpoint, names: list[str]) -> list[str]:
        """Return a note about charts with an error; raise OutputRejectedError if they are too many."""
        charts = {name: read_if_exists(checkpoint.chart_path(name)) or {} for name in names}
        errors = {name: f"{name}: {chart['error']}" for name, chart in charts.items() if chart.get("error")}
        try:
            check_error_fraction(list(errors.values()), coins=len(names))
        except OutputRejectedError:
            for name in errors:
                # The next run requests these again.
                checkpoint.chart_path(name).unlink()
            raise
        if not errors:
            return []
        return [f"{len(errors)} of {len(names)} charts have an error: {join_names(list(errors.values()))}"]

    def _days_to_request(self, checkpoint: HistoryCheckpoint) -> int:
        """Return the days to request: the service counts back from the time of the request."""
        wanted = (self.clock.today() - checkpoint.first).days + 1 + _EXTRA_DAYS
        maximum = _PLAN_DAYS.get(self.settings.coingecko.plan, wanted)
        return max(min(wanted, maximum), self.days)

    def _announce(self, client: CoinGeckoClient, requests: int, coins: int) -> None:
        limiter = client.limiter
        minutes = limiter.seconds_for(requests) / 60
        self.log(
            f"{requests} of {coins} charts to request, at {limiter.per_minute} requests per minute: about {minutes:.0f} minutes"
        )
        remaining = limiter.remaining()
        if remaining is not None and remaining < requests:
            self.log(f"only {remaining} requests are left this month; the rest must wait, and fetched charts are kept")

    def _report(self, client: CoinGeckoClient, wanted: int, missing: int) -> None:
        self.report_progress(HistoryProgress(wanted - missing, wanted, client.limiter.seconds_for(missing)))


def _without_numbers(page: ValidatedPage) -> ValidatedPage:
    """Keep only the keys of a coin that a history stores."""
    return replace(page, coins=[{name: coin[name] for name in _STORED_KEYS} for coin in page.coins])
