"""The past from /coins/{id}/market_chart: a contract file a day, once every coin's chart is there.

What came is kept in `data/fetch/history-<days>/`: the list of coins, and a file a chart, each durable before the next is
asked for. So whatever stops a run, the next asks for nothing twice. The folder goes when the files are written.
"""

import datetime as dt
import hashlib
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptoliq_assets.io.files import write_json
from cryptoliq_assets.raw.coingecko_charts import daily_points, rows_of
from cryptoliq_assets.raw.coingecko_client import CoinGecko
from cryptoliq_assets.raw.coingecko_errors import CoinGone, FetchError, PartFailed, WouldBeRefused
from cryptoliq_assets.raw.coingecko_files import (
    HISTORY_COLUMNS,
    alone,
    days_of_others,
    history_name,
    to_csv,
    words,
    write_checked,
    writing,
)
from cryptoliq_assets.raw.coingecko_limits import Clock
from cryptoliq_assets.raw.coingecko_snapshot import PAGE_COINS, Fetched, merge_pages
from cryptoliq_assets.settings import Settings

# An unfinished history older than this is begun anew: its charts end too early.
_OLDEST_DAYS = 7
# Coins in a row that fail: then it is the service, not the coin.
_MOST_FAILURES = 3
_LISTED = 10


@dataclass(frozen=True)
class Progress:
    """How far a history is: charts there of those wanted, and the seconds that the rest takes at the least."""

    done: int
    wanted: int
    seconds_left: float


@dataclass
class History:
    """One history: the last `days` days of the `top` largest coins.

    `leave_out_failed`: write the files although some charts did not come.
    """

    settings: Settings
    days: int
    top: int
    leave_out_failed: bool = False
    clock: Clock = field(default_factory=Clock)
    say: Callable[[str], None] = lambda message: None
    show: Callable[[Progress], None] = lambda progress: None

    @property
    def folder(self) -> Path:
        return self.settings.fetch_dir / f"history-{self.days}"

    def fetch(self) -> Fetched:
        """Ask for what is not there yet, then write the files. FetchError where not all of it came; what came is kept."""
        with alone(self.settings, "history"):
            return self._fetch()

    def _fetch(self) -> Fetched:
        deadline = self.clock.now() + self.settings.fetch_history_seconds
        with CoinGecko(self.settings, deadline, self.clock, self.say) as service:
            job = self._job(service)
            gone, failed = self._charts(service, job)
        if failed and not self.leave_out_failed:
            raise FetchError(
                f"{len(failed)} of {len(job['coins'])} charts did not come ({_some(failed)}), and no file is written; the next "
                "`cryptoliq fetch history` asks for these alone, --leave-out-failed writes the files without them"
            )
        notes = list(job["notes"])
        if gone:
            notes.append(f"{len(gone)} coins are gone since the list came, and left out: {_some(gone)}")
        if failed:
            notes.append(f"{len(failed)} coins are left out, their charts did not come: {_some(failed)}")
        written = self._write(job, notes)
        shutil.rmtree(self.folder)
        return Fetched(written, notes)

    def _job(self, service: CoinGecko) -> dict[str, Any]:
        """The day that it began, and the coins: as kept, where an unfinished one goes on."""
        path = self.folder / "job.json"
        job = _read(path)
        today = self.clock.today()
        if job is not None and 0 <= (today - dt.date.fromisoformat(job["day"])).days <= _OLDEST_DAYS:
            if len(job["coins"]) >= self.top or job["top"] >= self.top:
                job["coins"] = job["coins"][: self.top]
                self.say(f"going on with the history begun on {job['day']}")
                return job
            # More coins of the same days: the charts that are there serve.
        elif job is not None:
            shutil.rmtree(self.folder)
            job = None
        pages, wanted = [], math.ceil(self.top / PAGE_COINS)
        for number in range(1, wanted + 1):
            kept = self.folder / f"{self.top}-page-{number}.json"
            page = _read(kept)
            if page is None:
                try:
                    page = service.markets(number)
                except (PartFailed, CoinGone) as error:
                    raise FetchError(f"the list of coins did not come: {error}") from error
                page = [{name: coin.get(name) for name in ("id", "symbol", "name", "last_updated")} for coin in page]
                write_json(kept, page)
            pages.append(page)
            if not page:
                break
        coins, notes = merge_pages(pages, top=self.top)
        if not coins:
            raise FetchError("the market that came has no coin: there is no history to ask for")
        job = {"day": job["day"] if job else today.isoformat(), "top": self.top, "coins": coins, "notes": notes}
        write_json(path, job)
        return job

    def _charts(self, service: CoinGecko, job: dict[str, Any]) -> tuple[list[str], list[str]]:
        """Have the charts there that are not; returns the coins that are gone and those that failed."""
        names = [coin["id"] for coin in job["coins"]]
        missing = [name for name in names if not self._chart_path(name).exists()]
        self._announce(service, len(missing), len(names))
        failed: list[str] = []
        in_a_row = 0
        for place, name in enumerate(missing):
            self._progress(service, len(names), len(missing) - place)
            try:
                days = daily_points(service.chart(name, days=self.days))
            except CoinGone:
                days = None
            except PartFailed as error:
                self.say(str(error))
                failed.append(name)
                in_a_row += 1
                if in_a_row >= _MOST_FAILURES:
                    raise FetchError(
                        f"{in_a_row} charts in a row did not come, the last: {error}; what came is kept, try again later"
                    ) from error
                continue
            in_a_row = 0
            write_json(self._chart_path(name), {"id": name, "days": days})
        self._progress(service, len(names), len(failed))
        gone = [name for name in names if name not in failed and _read(self._chart_path(name))["days"] is None]
        return gone, failed

    def _announce(self, service: CoinGecko, requests: int, coins: int) -> None:
        limiter = service.limiter
        minutes = limiter.seconds_for(requests) / 60
        self.say(
            f"{requests} of {coins} charts to ask for, {limiter.per_minute} requests a minute: about {minutes:.0f} minutes"
        )
        left = limiter.left()
        if left is not None and left < requests:
            self.say(f"only {left} requests are left this month: the rest waits for the next, what came is kept")

    def _progress(self, service: CoinGecko, wanted: int, missing: int) -> None:
        self.show(Progress(wanted - missing, wanted, service.limiter.seconds_for(missing)))

    def _write(self, job: dict[str, Any], notes: list[str]) -> list[Path]:
        """A file a day; days that another file speaks of are left out."""
        last = dt.date.fromisoformat(job["day"])
        first = last - dt.timedelta(days=self.days)
        by_day: dict[dt.date, list[dict[str, str]]] = {}
        for coin in job["coins"]:
            chart = _read(self._chart_path(coin["id"]))
            told = {key: words(coin[key]) for key in ("symbol", "name")}
            for day, row in rows_of((chart or {}).get("days") or {}, first=first, last=last).items():
                own = {"coin": coin["id"], "symbol": told["symbol"].upper(), "name": told["name"]}
                by_day.setdefault(day, []).append({**own, "date": day.isoformat(), **row})
        if not by_day:
            raise FetchError("the charts that came have no day: nothing is written")
        written, same, refused = [], 0, []
        with writing(self.settings):
            taken = days_of_others(self.settings) & by_day.keys()
            for day in sorted(by_day.keys() - taken):
                name = history_name(day)
                content = to_csv(by_day[day], HISTORY_COLUMNS)
                try:
                    new = write_checked(name, content, self.settings, today=self.clock.today())
                except WouldBeRefused as error:
                    # One bad day of the source's would else keep back all others, for ever.
                    refused.append(str(error))
                    continue
                written += [self.settings.raw_dir / name] if new else []
                same += not new
        if taken:
            notes.append(
                f"{len(taken)} days are left out, another file has them: {_some([str(day) for day in sorted(taken)])}"
            )
        if refused:
            notes.append(f"{len(refused)} days are left out, the first: {refused[0]}")
        if same:
            notes.append(f"{same} days lie there already, the same")
        return written

    def _chart_path(self, coin: str) -> Path:
        # An id is the service's own text: no name for a file.
        return self.folder / "charts" / f"{hashlib.sha256(coin.encode()).hexdigest()[:24]}.json"


def _read(path: Path) -> Any:
    """A kept file, written whole or not at all; None where it is not there."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def _some(names: list[str]) -> str:
    return ", ".join(names[:_LISTED]) + (f" and {len(names) - _LISTED} more" if len(names) > _LISTED else "")
