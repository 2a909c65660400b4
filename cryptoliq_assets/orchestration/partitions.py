"""Monthly partitions: the months with data, and the tags of one run over a range of months.

Add what depends on Dagster's partitions definition. Plain month arithmetic belongs in `core/calendar.py`.
"""

import datetime as dt
import warnings

import dagster as dg

from cryptoliq_assets.core import Settings, add_months, month_of, months_between
from cryptoliq_assets.ingestion.landing import find_catalog
from cryptoliq_assets.schemas import TABLES
from cryptoliq_assets.storage import TableStore

RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"
PARTITION_TAG = "dagster/partition"
# Runs over several ranges are requested together. The first may reject a file that the months of later ones come from: these
# must remain partitions until the queue is empty.
_REJECTED_COUNT = dt.timedelta(days=1)


def find_data_months(settings: Settings) -> tuple[str, str]:
    """Find the first and the last month that a table or a registered file has data of.

    Args:
        settings: Settings of the data directory; `storage.first_month` is the earliest month allowed.

    Returns:
        Both months, like 2025-07; the present month twice where no data exists yet.
    """
    now = dt.datetime.now(dt.UTC)
    store, present = TableStore(settings), month_of(now.date())
    months = {month for table in TABLES for month in store.months(table)}
    catalog = find_catalog(settings)
    span = catalog.date_span(rejected_since=now - _REJECTED_COUNT) if catalog else None
    if span is not None:
        months |= {month_of(date) for date in span}
    allowed = [month for month in months if settings.storage.first_month <= month <= present]
    return (min(allowed), max(allowed)) if allowed else (present, present)


def make_months_definition(settings: Settings) -> dg.MonthlyPartitionsDefinition:
    """Make the partitions of all tables: the months from the first to the last one with data.

    They are read when the definitions load. The `raw_files` sensor reloads the code location when a file of an earlier or
    later month has arrived; a run always loads them again.

    Args:
        settings: Settings of the data directory.

    Returns:
        Months with keys like 2025-07. All months since `storage.first_month` where the data cannot be listed: the
        definitions must load, because the UI is where such an error is seen.
    """
    try:
        first, last = find_data_months(settings)
    # Any error (a damaged catalog, an object store that does not respond): the definitions load, and the warning has the error.
    except Exception as error:
        first, last = settings.storage.first_month, month_of(dt.datetime.now(dt.UTC).date())
        warnings.warn(
            f"the months with data cannot be listed ({error}): partitions start in {first} until the definitions are reloaded",
            stacklevel=2,
        )
    return make_months_between(first, last)


def make_months_between(first: str, last: str) -> dg.MonthlyPartitionsDefinition:
    """Make monthly partitions from `first` to `last`, both included, of which none is later than the present month."""
    return dg.MonthlyPartitionsDefinition(start_date=first, end_date=add_months(last, 1), end_offset=1, fmt="%Y-%m")


def clip_ranges(ranges: list[tuple[str, str]], settings: Settings) -> list[tuple[str, str]]:
    """Limit ranges of months to the months with data.

    A file dated the first day of a month also affects the month before, which has no rows if it precedes all data.
    """
    first, last = find_data_months(settings)
    clipped = [(max(start, first), min(end, last)) for start, end in ranges]
    return [(start, end) for start, end in clipped if start <= end]


def month_range_tags(first: str, last: str, settings: Settings) -> dict[str, str]:
    """Make the tags of one run over the months first…last.

    Args:
        first: First month, as YYYY-MM.
        last: Last month.
        settings: Settings of the data directory.

    Raises:
        ValueError: A month is not allowed, or the range is reversed. Dagster would accept both silently.
    """
    allowed = months_between(settings.storage.first_month, month_of(dt.datetime.now(dt.UTC).date()))
    for month in (first, last):
        if month not in allowed:
            raise ValueError(f"{month} is not a month between {allowed[0]} and {allowed[-1]}")
    if first > last:
        raise ValueError(f"the range starts in {first}, after its end in {last}")
    return {RANGE_START_TAG: first, RANGE_END_TAG: last}
