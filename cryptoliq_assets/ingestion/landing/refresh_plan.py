"""Refresh plan: which months must be computed, from the catalog and the fingerprints of the month files.

Sensor, command line and backfill use `make_plan`, which changes nothing. Add rules here that make a month stale.
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
from cryptoliq_assets.storage import TableStore, cached_tables


@dataclass(frozen=True)
class RefreshPlan:
    """Months to refresh, and why.

    Attributes:
        months: All months to compute, except blocked ones.
        raw_months: Those whose raw rows are not what has arrived: all that `ingest` must do.
        waiting: Files that wait, as name@arrival.
        unfinished: Months whose file is older than its inputs, for example after a crash.
        months_per_run: Maximum length of a range.
        blocked: Months that cannot be computed, with the reason: a damaged file in the archive. They are in none of the
            others, so that all other months continue.
    """

    months: list[str]
    raw_months: list[str]
    waiting: list[str]
    unfinished: list[str]
    months_per_run: int
    blocked: dict[str, str] = field(default_factory=dict)

    @property
    def ranges(self) -> list[tuple[str, str]]:
        """Ranges (first, last) of consecutive months to compute, one per run."""
        return contiguous_ranges(self.months, max_months=self.months_per_run)

    @property
    def raw_ranges(self) -> list[tuple[str, str]]:
        """Ranges of consecutive months to ingest, one per run."""
        return contiguous_ranges(self.raw_months, max_months=self.months_per_run)

    @property
    def fingerprint(self) -> str:
        """Identifier of this work, by which attempts are counted."""
        return hashlib.sha256(repr((self.months, self.waiting, self.unfinished)).encode()).hexdigest()[:16]


def make_plan(settings: Settings, catalog: Catalog, *, store: TableStore, today: dt.date) -> RefreshPlan:
    """Plan the months that are stale because files have arrived or a run has died.

    Args:
        settings: Settings of the data directory.
        catalog: Catalog of received files.
        store: Stored tables.
        today: Current date.

    Returns:
        The plan.

    Raises:
        ForeignTableError: Another data directory wrote the raw months.
    """
    with cached_tables(settings):
        return _plan(settings, catalog, store, today)


def _plan(settings: Settings, catalog: Catalog, store: TableStore, today: dt.date) -> RefreshPlan:
    store.check_owner("raw_snapshots", store.months("raw_snapshots"))
    files = catalog.files()
    waiting = [file for file in files if file.state == "waiting"]
    names = {file.name for file in waiting}
    # A superseded version leaves the tables in the same run, regardless of the dates of its correction.
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
    unfinished = sorted(_stale_downstream(stale, settings, store) - months)
    months |= set(unfinished)
    if any(not file.dates for file in waiting):
        # It has no readable date, so it will be rejected; some run must report that.
        months.add(last)
        raw_months.add(last)
    # A version with a waiting correction does not count any more: the rest of its month is read from the archive.
    current = [file for file in files if file.state == "accepted" and file.name not in names]
    blocked = MonthRows(settings, store).find_blocked(sorted(raw_months), accepted=current)
    return RefreshPlan(
        sorted(months - blocked.keys()),
        sorted(raw_months - blocked.keys()),
        [f"{file.name}@{file.arrival}" for file in waiting],
        [month for month in unfinished if month not in blocked],
        settings.backfill.max_months_per_run,
        blocked,
    )


def _stale_downstream(stale: dict[str, list[str]], settings: Settings, store: TableStore) -> set[str]:
    """Return the stale months of every table, and downstream months that become stale when they are recomputed."""
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
    """Return dates of accepted files missing in their month, and of superseded files still in their month."""
    sources: dict[str, frozenset[int]] = {}
    dates = set()
    for file in files:
        if file.state not in ("accepted", "superseded"):
            continue
        for date in file.dates:
            month = month_of(date)
            if month not in sources:
                stamp = store.stamp("raw_snapshots", month)
                sources[month] = frozenset(stamp.sources if stamp else ())
            if (file.arrival in sources[month]) != (file.state == "accepted"):
                dates.add(date)
    return dates
