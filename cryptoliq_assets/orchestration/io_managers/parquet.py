"""The I/O manager of all tables: finds the asset's Pandera model, validates out and in, writes months whole.

A thin shell over `storage.parquet_store`, where the files are read and written.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pandas as pd

from cryptoliq_assets.core import Settings, markdown_table
from cryptoliq_assets.orchestration import frame_metadata
from cryptoliq_assets.schemas import TABLES
from cryptoliq_assets.storage import DamagedTableError, InvalidTableError, TableStore, set_aside_month

# A frame's `attrs` under this key: month → arrivals, written into the stamp of each raw month. Not output metadata, which
# Dagster would store once a month, all months in each.
SOURCES = "sources"
# Input metadata under this key: the columns to load; all of them by default.
COLUMNS = "columns"


class PanderaParquetIOManager(dg.ConfigurableIOManager):
    """Monthly Parquet files under `settings.tables_url`: a folder, s3://… or gs://….

    A frame of several months is split; a range is loaded as one frame; months that do not exist are no rows.
    """

    settings: dict[str, Any]

    @classmethod
    def from_settings(cls, settings: Settings) -> "PanderaParquetIOManager":
        """Configured from settings; resource configuration shows in the UI, so no secret is among it."""
        return cls(settings=settings.public_values())

    def store(self) -> TableStore:
        return TableStore(Settings.model_validate(self.settings))

    def handle_output(self, context: dg.OutputContext, obj: pd.DataFrame) -> None:
        table = _table_of(context)
        months = _months(context)
        store = self.store()
        sources: Mapping[str, Sequence[int]] | None = obj.attrs.get(SOURCES)
        try:
            rows = store.write(table, obj, months, sources=sources)
        except InvalidTableError as error:
            raise _failure(error) from error
        context.add_output_metadata(
            {
                **frame_metadata(obj),
                "rows_by_month": {month: count for month, count in rows.items() if count},
                "path": dg.MetadataValue.path(str(store.folder(table))),
            }
        )

    def load_input(self, context: dg.InputContext) -> pd.DataFrame:
        assert context.upstream_output is not None, "tables are loaded from assets only"
        table = _table_of(context.upstream_output)
        try:
            months = _months(context) if context.has_asset_partitions else None
            columns = (context.definition_metadata or {}).get(COLUMNS)
            return self.store().read(table, months, columns=columns)
        except DamagedTableError as error:
            # The run holds the lock: nobody else writes the month.
            aside = set_aside_month(self.store(), table, error.month)
            if aside is not None:
                context.log.error(
                    f"{error.where} was set aside as {aside.name}: the next refresh makes the month again"
                )
            raise _failure(error) from error
        except InvalidTableError as error:
            raise _failure(error) from error


def _table_of(context: dg.OutputContext) -> str:
    name = context.asset_key.path[-1]
    if name not in TABLES:
        raise dg.DagsterInvariantViolationError(f"asset {name} has no table in schemas/tables.py")
    return name


def _months(context: dg.OutputContext | dg.InputContext) -> list[str]:
    return list(context.asset_partition_keys)


def _failure(error: InvalidTableError) -> dg.Failure:
    return dg.Failure(
        description=str(error),
        metadata={"failures": dg.MetadataValue.md(markdown_table(error.failures))},
        allow_retries=False,
    )
