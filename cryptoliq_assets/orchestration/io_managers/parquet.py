"""The I/O manager of all tables: it finds the asset's Pandera model, validates on write and read, and writes complete months.

A thin shell over `storage/parquet_store.py`, which reads and writes the files.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pandas as pd

from cryptoliq_assets.core import Settings, markdown_table
from cryptoliq_assets.orchestration import frame_metadata
from cryptoliq_assets.schemas import TABLES
from cryptoliq_assets.storage import DamagedTableError, InvalidTableError, TableStore, set_aside_month

# Key in a frame's `attrs`: month → arrivals, written into the fingerprint of each raw month. Not output metadata, which
# Dagster would store once a month, all months in each.
SOURCES = "sources"


@dataclass(frozen=True)
class WrittenMonths:
    """Months that workers of a cluster have written; its length is their number of rows.

    Attributes:
        counts: Number of rows by month.
    """

    counts: Mapping[str, int]

    def __len__(self) -> int:
        return sum(self.counts.values())


class PanderaParquetIOManager(dg.ConfigurableIOManager):
    """Monthly Parquet files under `settings.tables_url`: a folder, s3://… or gs://….

    A frame of several months is split by month. A range is loaded as one frame. A month that does not exist has no rows.
    """

    settings: dict[str, Any]

    @classmethod
    def from_settings(cls, settings: Settings) -> "PanderaParquetIOManager":
        """Configure from settings, without secrets: the UI shows the configuration of resources."""
        return cls(settings=settings.public_values())

    def store(self) -> TableStore:
        """Open the monthly tables."""
        return TableStore(Settings.model_validate(self.settings))

    def handle_output(self, context: dg.OutputContext, obj: pd.DataFrame | WrittenMonths) -> None:
        """Validate a frame and write it as the run's months; months that are written already are only recorded.

        Args:
            context: Context of the output; its partitions are the months.
            obj: Rows of all these months.

        Raises:
            dagster.Failure: The frame does not meet its schema; nothing is written.
        """
        table = _table_of(context)
        months = list(context.asset_partition_keys)
        store = self.store()
        if isinstance(obj, WrittenMonths):
            rows, metadata = obj.counts, _stored_metadata(store, table, obj.counts)
        else:
            sources: Mapping[str, Sequence[int]] | None = obj.attrs.get(SOURCES)
            with table_failures(store, context.log):
                rows = store.write(table, obj, months, sources=sources)
            metadata = frame_metadata(obj)
        _mark_months_with_files(context, store, table, months)
        context.add_output_metadata(
            {
                **metadata,
                "rows_by_month": {month: count for month, count in rows.items() if count},
                "path": dg.MetadataValue.path(str(store.folder(table))),
            }
        )

    def load_input(self, context: dg.InputContext) -> pd.DataFrame:
        """Load the months of an input as one frame, all stored months where it has no partitions.

        Raises:
            dagster.Failure: A file is damaged or does not meet its schema; a damaged one is set aside.
        """
        assert context.upstream_output is not None, "tables are loaded from assets only"
        months = list(context.asset_partition_keys) if context.has_asset_partitions else None
        store = self.store()
        with table_failures(store, context.log):
            return store.read(_table_of(context.upstream_output), months)


@contextmanager
def table_failures(store: TableStore, log: dg.DagsterLogManager) -> Iterator[None]:
    """Raise dagster.Failure, which shows what is wrong as a table, for a table that does not meet its schema; a damaged month is set aside.

    The caller holds the run lock: no other process writes the month.

    Args:
        store: The monthly tables.
        log: Log of the run.
    """
    try:
        yield
    except DamagedTableError as error:
        aside = set_aside_month(store, error.table, error.month)
        if aside is not None:
            log.error(f"{error.where} was set aside as {aside.name}: the next refresh writes the month again")
        raise _failure(error) from error
    except InvalidTableError as error:
        raise _failure(error) from error


def _stored_metadata(store: TableStore, table: str, counts: Mapping[str, int]) -> dict[str, Any]:
    """Metadata of months that workers have written; only the last month with rows is read."""
    filled = [month for month, count in counts.items() if count]
    if not filled:
        return {"dagster/row_count": 0}
    stamps = [store.stamp(table, month) for month in (filled[0], filled[-1])]
    days = [day for stamp in stamps if stamp for day in stamp.days]
    last = frame_metadata(store.read(table, filled[-1:]))
    return {
        "dagster/row_count": sum(counts.values()),
        "preview": last["preview"],
        "first_date": min(days),
        "last_date": max(days),
    }


def _mark_months_with_files(context: dg.OutputContext, store: TableStore, table: str, months: list[str]) -> None:
    """Leave months without files out of the materialization events of a range."""
    existing = {*store.months("raw_snapshots"), *store.months(table)}
    materialized = [month for month in months if month in existing]
    if not materialized or len(materialized) == len(months):
        return
    missing = [month for month in months if month not in existing]
    context.log.info(f"no files of {', '.join(missing)}: not marked as materialized")
    # Dagster 1.13 has no public way to materialize part of a range. It reads the partitions of the events from here.
    context._asset_partitions_subset = context.asset_partitions_def.subset_with_partition_keys(materialized)


def _table_of(context: dg.OutputContext) -> str:
    name = context.asset_key.path[-1]
    if name not in TABLES:
        raise dg.DagsterInvariantViolationError(f"asset {name} has no table in schemas/tables.py")
    return name


def _failure(error: InvalidTableError) -> dg.Failure:
    return dg.Failure(
        description=str(error),
        metadata={"failures": dg.MetadataValue.md(markdown_table(error.failures))},
        allow_retries=False,
    )
