"""The past from /coins/{id}/market_chart: a contract file a day, once every coin's chart is there.

What came is kept (`coingecko_job.py`), so whatever stops a run, the next asks for nothing twice. A day has either all coins
whose charts speak of it or no file: days that some chart does not reach are left out.
"""

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cryptoliq_assets.core import Settings, write_json
from cryptoliq_assets.ingestion.coingecko.charts import extract_daily_points, make_daily_rows, validate_chart
from cryptoliq_assets.ingestion.coingecko.checkpoint import HistoryCheckpoint, read_if_exists, utc_date
from cryptoliq_assets.ingestion.coingecko.client import CoinGeckoClient
from cryptoliq_assets.ingestion.coingecko.coins import (
    TEXT_KEYS,
    ValidatedPage,
    check_error_share,
    clean_text,
    join_names,
    make_cleaned_notes,
    make_omitted_notes,
    validate_page,
)
from cryptoliq_assets.ingestion.coingecko.csv_export import (
    HISTORY_COLUMNS,
    exclusive_fetch_lock,
    history_file_name,
    validate_export,
    write_if_changed,
    write_lock,
)
from cryptoliq_assets.ingestion.coingecko.errors import (
    CoinNotFoundError,
    FetchError,
    OutputRejectedError,
    RequestRejectedError,
    RetriesExhaustedError,
)
from cryptoliq_assets.ingestion.coingecko.provenance import find_known_days, has_live_snapshots, record_written
from cryptoliq_assets.ingestion.coingecko.rate_limit import Clock
from cryptoliq_assets.ingestion.coingecko.snapshot import (
    PAGE_COINS,
    FetchResult,
    check_market_end,
    merge_pages,
    min_page_coins,
)
from cryptoliq_assets.schemas import UNIT_COLUMN

# Days asked for beyond those written: seven for the change of 7d, one for a midnight that passes before the answer.
_DAYS_BEFORE = 8
# How far back these plans reach.
_PLAN_DAYS = {"keyless": 365, "demo": 365}
# Coins in a row that fail: then it is the service, not the coin.
_MOST_FAILURES = 3
_KEPT_KEYS = ("id", *TEXT_KEYS, "market_cap_rank")
_LISTED = 10


@dataclass(frozen=True)
class HistoryProgress:
    """How far a history is: charts there of those wanted, and the seconds that the rest takes at the least."""

    done: int
    wanted: int
    seconds_left: float


@dataclass
class HistoryFetcher:
    """One history: the last `days` days of the `top` largest coins.

    `leave_out_failed`: write the files although some charts did not come. `again`: also days that history wrote before.
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
        return self.settings.fetch_dir / f"history-{self.days}"

    def fetch(self) -> FetchResult:
        """Ask for what is not there yet, then write the files. FetchError where not all of it came; what came is kept."""
        with exclusive_fetch_lock(self.settings, "history"):
            return self._fetch()

    def _fetch(self) -> FetchResult:
        job = HistoryCheckpoint.find(self.folder, days=self.days, now=self.clock.now())
        writable, taken = self._writable(_days(job.first, job.last))
        if not writable:
            job.discard()
            return FetchResult(notes=[*taken, "no day is left to write: nothing was asked for"])
        if job.start():
            self.log(f"going on with the history begun on {utc_date(job.began)}, of the days up to {job.last}")
        elif job.last < self.clock.today():
            self.log(f"the midnight of {self.clock.today()} is served from 00:35 UTC on: the days end with {job.last}")
        self._compare_with_live()
        deadline = self.clock.now() + self.settings.coingecko.history_timeout_seconds
        with CoinGeckoClient(self.settings, deadline, self.clock, self.log) as service:
            coins, notes = self._list(service, job)
            gone, failed = self._charts(service, job, [coin["id"] for coin in coins])
        if failed and not self.leave_out_failed:
            raise FetchError(
                f"{len(failed)} of {len(coins)} charts did not come ({_some(failed)}), and no file is written; the next "
                "`cryptoliq fetch history` asks for these alone, --leave-out-failed writes the files without them"
            )
        notes += self._chart_errors(job, [coin["id"] for coin in coins])
        if gone:
            notes.append(f"{len(gone)} coins are gone since the list came, and left out: {_some(gone)}")
        if failed:
            notes.append(f"{len(failed)} coins are left out, their charts did not come: {_some(failed)}")
        return self._write(job, coins, notes)

    def _compare_with_live(self) -> None:
        live = self.settings.coingecko.top_n
        if self.top < live and has_live_snapshots(self.settings):
            self.log(
                f"live snapshots of this home have {live} coins, this history {self.top}: a gap filled with fewer may fail the "
                f"check rows_against_median; --top {live} asks for as many"
            )

    def _list(self, service: CoinGeckoClient, job: HistoryCheckpoint) -> tuple[list[dict[str, Any]], list[str]]:
        """The coins, as kept where there are enough, and what a person should know of the list."""
        kept = read_if_exists(job.list_path)
        if kept is not None and (len(kept["coins"]) >= self.top or kept["top"] >= self.top):
            return kept["coins"][: self.top], kept["notes"]
        pages: list[ValidatedPage] = []
        for number in range(1, math.ceil(self.top / PAGE_COINS) + 1):
            path, least = job.page_path(number, top=self.top), min_page_coins(number, top=self.top)
            if (kept := read_if_exists(path)) is not None:
                pages.append(ValidatedPage(**kept))
                continue
            try:
                page = _described(validate_page(service.markets(number, least=least), number=number))
                pages.append(page)
                if page.received < least:
                    # The end of the market, for now: not kept.
                    check_market_end(service, number, pages)
                    break
            except RetriesExhaustedError as error:
                raise FetchError(f"the list of coins did not come: {error}; run it again later") from error
            write_json(path, vars(page))
        coins, notes = merge_pages(
            [page.coins for page in pages], top=self.top, received=[page.received for page in pages]
        )
        errors = [error for page in pages for error in page.errors]
        try:
            check_error_share(errors, coins=len(coins) + len(errors))
        except OutputRejectedError:
            # Kept pages would make the next run fail for the same reason.
            job.discard()
            raise
        notes += make_omitted_notes(errors, coins=len(coins) + len(errors))
        notes += make_cleaned_notes([what for page in pages for what in page.cleaned])
        write_json(job.list_path, {"top": self.top, "coins": coins, "notes": notes})
        return coins, notes

    def _charts(
        self, service: CoinGeckoClient, job: HistoryCheckpoint, names: list[str]
    ) -> tuple[list[str], list[str]]:
        """Have the charts there that are not; returns the coins that are gone and those that failed."""
        missing = [name for name in names if not job.chart_path(name).exists()]
        self._announce(service, len(missing), len(names))
        failed: list[str] = []
        in_a_row = 0
        for place, name in enumerate(missing):
            self._progress(service, len(names), len(missing) - place)
            asked = self._days_to_ask(job)
            points: dict[str, Any] | None = None
            error: str | None = None
            try:
                chart = validate_chart(service.chart(name, days=asked))
                points = extract_daily_points(chart.series, now=self.clock.now()) if chart.usable else {}
                error = chart.error
                in_a_row = 0
            except CoinNotFoundError:
                in_a_row = 0
            except RequestRejectedError as refused:
                in_a_row += 1
                if in_a_row >= _MOST_FAILURES:
                    raise
                points, error = {}, f"{refused}: left out"
            except RetriesExhaustedError as failure:
                self.log(str(failure))
                failed.append(name)
                in_a_row += 1
                if in_a_row >= _MOST_FAILURES:
                    raise FetchError(
                        f"{in_a_row} charts in a row did not come, the last: {failure}; what came is kept, try again later"
                    ) from failure
                continue
            job.save_chart(name, points, asked=asked, came=self.clock.now(), error=error)
            if error:
                self.log(f"{name}: {error}")
        self._progress(service, len(names), len(failed))
        gone = [name for name in names if name not in failed and read_if_exists(job.chart_path(name))["days"] is None]
        return gone, failed

    def _chart_errors(self, job: HistoryCheckpoint, names: list[str]) -> list[str]:
        """A sentence that names the coins whose charts have an error; OutputRejectedError where they are too many."""
        charts = {name: read_if_exists(job.chart_path(name)) or {} for name in names}
        errors = {name: f"{name}: {chart['error']}" for name, chart in charts.items() if chart.get("error")}
        try:
            check_error_share(list(errors.values()), coins=len(names))
        except OutputRejectedError:
            for name in errors:
                # The next run requests these again.
                job.chart_path(name).unlink()
            raise
        if not errors:
            return []
        return [f"{len(errors)} of {len(names)} charts have an error: {join_names(list(errors.values()))}"]

    def _days_to_ask(self, job: HistoryCheckpoint) -> int:
        """Back to some days before the first, from today: the service counts from the moment it is asked."""
        wanted = (self.clock.today() - job.first).days + 1 + _DAYS_BEFORE
        most = _PLAN_DAYS.get(self.settings.coingecko.plan, wanted)
        return max(min(wanted, most), self.days)

    def _announce(self, service: CoinGeckoClient, requests: int, coins: int) -> None:
        limiter = service.limiter
        minutes = limiter.seconds_for(requests) / 60
        self.log(
            f"{requests} of {coins} charts to ask for, {limiter.per_minute} requests a minute: about {minutes:.0f} minutes"
        )
        left = limiter.remaining()
        if left is not None and left < requests:
            self.log(f"only {left} requests are left this month: the rest waits for the next, what came is kept")

    def _progress(self, service: CoinGeckoClient, wanted: int, missing: int) -> None:
        self.report_progress(HistoryProgress(wanted - missing, wanted, service.limiter.seconds_for(missing)))

    def _write(self, job: HistoryCheckpoint, coins: list[dict[str, Any]], notes: list[str]) -> FetchResult:
        """A file a day that all charts reach; days of which another file is known are left out."""
        charts = {coin["id"]: read_if_exists(job.chart_path(coin["id"])) for coin in coins}
        if empty := [
            name for name, chart in charts.items() if chart and chart["days"] == {} and not chart.get("error")
        ]:
            notes.append(f"{len(empty)} coins are left out, their charts came without a day: {_some(empty)}")
        charts = {name: chart for name, chart in charts.items() if chart and chart["days"]}
        reached = max((dt.date.fromisoformat(chart["reaches"]) for chart in charts.values()), default=job.first)
        by_day = _rows_by_day(coins, charts, first=job.first, last=job.last, since=reached)
        if not by_day:
            job.discard()
            raise FetchError("the charts that came have no day: nothing is written, the next run asks for all anew")
        if reached > job.first:
            short = _days(job.first, reached - dt.timedelta(days=1))
            notes.append(f"{len(short)} days are left out, some charts came too late to reach them: {_span(short)}")
        written, refused = [], []
        left_out: list[str] = []
        with write_lock(self.settings):
            writable, taken = self._writable(sorted(by_day))
            contents: dict[str, bytes] = {}
            for day in writable:
                try:
                    content, gone = validate_export(
                        history_file_name(day), by_day[day], HISTORY_COLUMNS, self.settings, today=self.clock.today()
                    )
                except OutputRejectedError as error:
                    # Otherwise one bad day of the source's keeps back all others, for ever.
                    refused.append(str(error))
                    continue
                contents[history_file_name(day)] = content
                left_out += [f"{day}: {who}" for who in gone]
            record_written(contents, self.settings)
            written += [
                self.settings.raw_dir / name
                for name, content in contents.items()
                if write_if_changed(name, content, self.settings)
            ]
        notes += taken
        if left_out:
            notes.append(f"{len(left_out)} rows have an error and are left out: {join_names(left_out)}")
        if same := len(contents) - len(written):
            notes.append(f"{same} days lie there already, the same")
        if not refused:
            job.discard()
            return FetchResult(written, notes)
        job.mark_complete()
        notes.append(f"{len(refused)} days are left out, the first: {refused[0]}")
        notes.append(
            f"the charts are kept in {job.folder}: until the next day is served a run asks for none of them, but tries these days "
            "again, and leaves them out for the same reason unless settings have changed; remove the folder to ask anew"
        )
        return FetchResult(written, notes)

    def _writable(self, days: list[dt.date]) -> tuple[list[dt.date], list[str]]:
        """Those of the days that may be written, and sentences on the others."""
        known, notes = find_known_days(self.settings), []
        others = sorted(known.others.intersection(days))
        own = [] if self.refetch else sorted(known.own.intersection(days))
        if others:
            notes.append(
                f"{len(others)} days are left out, another file has them: {_some([str(day) for day in others])}"
            )
        if own:
            notes.append(f"{len(own)} days have their history, and are left alone; --again replaces it: {_span(own)}")
        return [day for day in days if day not in {*others, *own}], notes


def _described(page: ValidatedPage) -> ValidatedPage:
    """Of a list's coins, what a history keeps."""
    return replace(page, coins=[{name: coin[name] for name in _KEPT_KEYS} for coin in page.coins])


def _rows_by_day(
    coins: list[dict[str, Any]], charts: dict[str, Any], *, first: dt.date, last: dt.date, since: dt.date
) -> dict[dt.date, list[dict[str, str]]]:
    """Rows of the contract by day from `first` to `last`, of what charts say of the days from `since` on."""
    by_day: dict[dt.date, list[dict[str, str]]] = {}
    for coin in coins:
        told = charts.get(coin["id"], {"days": {}})["days"]
        # Else the first days would have changes of some coins and not of others.
        points = {day: point for day, point in told.items() if day >= since.isoformat()}
        own = {"coin": coin["id"], "symbol": clean_text(coin["symbol"]).upper(), "name": clean_text(coin["name"])}
        for day, row in make_daily_rows(points, first=first, last=last).items():
            by_day.setdefault(day, []).append({**own, "date": day.isoformat(), UNIT_COLUMN: "percent", **row})
    return by_day


def _days(first: dt.date, last: dt.date) -> list[dt.date]:
    return [first + dt.timedelta(days=step) for step in range((last - first).days + 1)]


def _span(days: list[dt.date]) -> str:
    return str(days[0]) if len(days) == 1 else f"{days[0]} to {days[-1]}"


def _some(names: list[str]) -> str:
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
