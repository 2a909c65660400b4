"""What there is to do: which months a refresh must make, from the catalog and the stamps of the month files.

The sensor, the command line and the backfill all ask `make_plan`; it changes nothing.
"""

import datetime as dt
import hashlib
from dataclasses import dataclass, field

from cryptoliq_assets.core import (
    Settings,
    add_months,
    affected_months,
    contiguous_ranges,
    max_months_spanned,
    month_of,
    months_between,
)
from cryptoliq_assets.ingestion.landing.catalog import Catalog, CatalogEntry
from cryptoliq_assets.ingestion.landing.month_rows import MonthRows
from cryptoliq_assets.schemas import DERIVED_TABLES, upstream_windows
from cryptoliq_assets.storage import TableStore


@dataclass(frozen=True)
class RefreshPlan:
    """Months to refresh, and why: files that wait, and months whose file is older than what it is made from.

    `raw_months` are those among them whose raw rows are not what has arrived: all that there is to do for `ingest`.
    `blocked` are months that need work and cannot be made, with the reason: a damaged file in the archive. They are in none
    of the others, so that every other month goes on.
    """

    months: list[str]
    raw_months: list[str]
    waiting: list[str]
    unfinished: list[str]
    months_per_run: int
    blocked: dict[str, str] = field(default_factory=dict)

    @property
    def ranges(self) -> list[tuple[str, str]]:
        return contiguous_ranges(self.months, max_months=self.months_per_run)

    @property
    def raw_ranges(self) -> list[tuple[str, str]]:
        return contiguous_ranges(self.raw_months, max_months=self.months_per_run)

    @property
    def fingerprint(self) -> str:
        """The same work has the same fingerprint: attempts at it are counted by it."""
        return hashlib.sha256(repr((self.months, self.waiting, self.unfinished)).encode()).hexdigest()[:16]


def make_plan(settings: Settings, catalog: Catalog, *, store: TableStore, today: dt.date) -> RefreshPlan:
    """The months that what has arrived, or what a dead run left behind, makes necessary."""
    files = catalog.files()
    waiting = [file for file in files if file.state == "waiting"]
    names = {file.name for file in waiting}
    # What a correction supersedes leaves the tables in the same run, whatever days the correction is of.
    corrected = [file for file in files if file.state == "accepted" and file.name in names]
    dates = {date for file in [*waiting, *corrected] for date in file.dates} | _dates_not_in_tables(files, store)
    last = max([*store.months("raw_snapshots"), *(month_of(date) for date in dates)], default=month_of(today))
    months = set(
        affected_months(dates, horizon_days=settings.horizon_days, first=settings.storage.first_month, last=last)
    )
    stale = store.stale_months(DERIVED_TABLES)
    raw_months = {month for month in map(month_of, dates) if month >= settings.storage.first_month} | {
        *stale["raw_snapshots"]
    }
    unfinished = sorted(_reached(stale, settings, store) - months)
    months |= set(unfinished)
    if any(not file.dates for file in waiting):
        # It names no day that can be read, so it will be refused; some run has to say so.
        months.add(last)
        raw_months.add(last)
    # What a waiting version corrects does not count any more: the rest of its month is then read from the archive.
    counting = [file for file in files if file.state == "accepted" and file.name not in names]
    blocked = MonthRows(settings, store).find_blocked(sorted(raw_months), accepted=counting)
    return RefreshPlan(
        sorted(months - blocked.keys()),
        sorted(raw_months - blocked.keys()),
        [f"{file.name}@{file.arrival}" for file in waiting],
        [month for month in unfinished if month not in blocked],
        settings.backfill.max_months_per_run,
        blocked,
    )


def _reached(stale: dict[str, list[str]], settings: Settings, store: TableStore) -> set[str]:
    """Stale months of every table, and those downstream that are stale as soon as the first have been made again."""
    raw = set(store.months("raw_snapshots"))
    reached: dict[str, set[str]] = {}
    for table in DERIVED_TABLES:
        reached[table] = set(stale[table])
        for upstream, reach in upstream_windows(table, horizon_days=settings.horizon_days).items():
            for month in reached[upstream]:
                first, last = (
                    add_months(month, -max_months_spanned(reach.ahead)),
                    add_months(month, max_months_spanned(reach.back)),
                )
                reached[table] |= raw & set(months_between(first, last))
    return set().union(*reached.values())


def _dates_not_in_tables(files: list[CatalogEntry], store: TableStore) -> set[dt.date]:
    """Dates of accepted files whose month does not hold them yet, and of superseded ones that it still holds."""
    held: dict[str, frozenset[int]] = {}
    dates = set()
    for file in files:
        if file.state not in ("accepted", "superseded"):
            continue
        for date in file.dates:
            month = month_of(date)
            if month not in held:
                stamp = store.stamp("raw_snapshots", month)
                held[month] = frozenset(stamp.sources if stamp else ())
            if (file.arrival in held[month]) != (file.state == "accepted"):
                dates.add(date)
    return dates
