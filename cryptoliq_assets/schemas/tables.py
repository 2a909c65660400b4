"""Registry of the monthly tables: model, path, and the upstream months that a month is computed from.

Partition mappings, staleness, column schema and lineage are derived from it. Add a table here, then its asset.
"""

from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property

import pandera.pandas as pa

from cryptoliq_assets.core import CLEANING_BACK_DAYS, FILL_BACKWARD_DAYS, HISTORY_DAYS, Settings
from cryptoliq_assets.schemas.base import TableModel
from cryptoliq_assets.schemas.cleaned import CleanedSnapshots
from cryptoliq_assets.schemas.feature_registry import ADDED_FEATURES
from cryptoliq_assets.schemas.features import EngineeredFeatures, FeatureViews
from cryptoliq_assets.schemas.forecasts import Forecasts
from cryptoliq_assets.schemas.labels import Labels
from cryptoliq_assets.schemas.raw import OPTIONAL_COLUMNS, RANGE_COLUMNS, RawSnapshots

# Raise a version when the code of a table computes something else: its months are then recomputed.
CODE_VERSIONS = {
    "raw_snapshots": "3",
    "cleaned_snapshots": "2",
    "engineered_features": "3",
    "feature_views": "1",
    "labels": "2",
    "forecasts": "1",
}


@dataclass(frozen=True)
class Table:
    """A table of monthly files.

    Args:
        name: Name of the asset.
        model: Pandera model that its frames must satisfy.
        path: Folder under the root of the tables.
        nullable_since_v1: Nullable columns and flags that month files of earlier versions lack. Add a new column there, or
            data directories of earlier versions cannot be read until their months are recomputed.
        optional: Those of them that a month may lack and still be complete, because many sources do not have them.
    """

    name: str
    model: type[TableModel]
    path: str
    nullable_since_v1: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @cached_property
    def schema(self) -> pa.DataFrameSchema:
        """Schema of the model."""
        return self.model.to_schema()

    @cached_property
    def schema_without_coercion(self) -> pa.DataFrameSchema:
        """The same rules for a frame whose types were checked: coercion copies every column twice.

        Pandera's own check of a type takes longer than the other checks of a small column: it searches for geopandas.
        """
        # Pandera returns one schema per model: without a copy this would disable the coercion of both.
        schema = deepcopy(self.schema)
        schema.coerce = False
        for column in schema.columns.values():
            column.coerce = False
            column.dtype = None
        return schema

    @cached_property
    def columns(self) -> list[str]:
        """Names of all columns, in order."""
        return list(self.schema.columns)

    @cached_property
    def text_columns(self) -> list[str]:
        """Names of the categorical columns."""
        return [name for name, column in self.schema.columns.items() if str(column.dtype) == "category"]


TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        Table("raw_snapshots", RawSnapshots, "ingested", nullable_since_v1=OPTIONAL_COLUMNS),
        Table(
            "cleaned_snapshots",
            CleanedSnapshots,
            "cleaned",
            nullable_since_v1=("outlier", *RANGE_COLUMNS),
            optional=RANGE_COLUMNS,
        ),
        Table(
            "engineered_features",
            EngineeredFeatures,
            "processed/engineered_features",
            nullable_since_v1=("outlier", *ADDED_FEATURES),
        ),
        Table("feature_views", FeatureViews, "processed/feature_views"),
        Table("labels", Labels, "processed/labels.parquet", nullable_since_v1=("sound",)),
        Table("forecasts", Forecasts, "forecasts", nullable_since_v1=("filled", "outlier")),
    )
}


@dataclass(frozen=True)
class LookbackWindow:
    """A row dated D is computed from upstream rows in [D - back, D + ahead], in days."""

    back: int
    ahead: int


def upstream_windows(table: str, *, horizon_days: int) -> dict[str, LookbackWindow]:
    """Return the upstream tables of a table, and the window of rows that it reads from each.

    Example:
        >>> upstream_windows("labels", horizon_days=2)
        {'engineered_features': LookbackWindow(back=0, ahead=2)}
    """
    return {
        "raw_snapshots": {},
        "cleaned_snapshots": {"raw_snapshots": LookbackWindow(CLEANING_BACK_DAYS, FILL_BACKWARD_DAYS)},
        "engineered_features": {"cleaned_snapshots": LookbackWindow(HISTORY_DAYS - 1, 0)},
        "feature_views": {"cleaned_snapshots": LookbackWindow(HISTORY_DAYS - 1, 0)},
        "labels": {"engineered_features": LookbackWindow(0, horizon_days)},
        "forecasts": {"engineered_features": LookbackWindow(0, 0)},
    }[table]


# Tables that are a pure function of the received files, in order. Forecasts are append-only, so they are not among them.
DERIVED_TABLES = ("raw_snapshots", "cleaned_snapshots", "engineered_features", "labels")
# Pure functions of the tables above that only training reads: a training brings them up to date, a refresh does not.
TRAINING_TABLES = ("feature_views",)


def computation_id(table: str, settings: Settings) -> str:
    """Return what determines the content of a table in addition to its inputs: code version and settings."""
    settings_read = {
        "raw_snapshots": f"changes {settings.ingestion.change_unit}",
        "engineered_features": settings.formula,
        "feature_views": settings.formula,
        "labels": f"{settings.formula}, {settings.horizon_days} d",
    }
    return f"{CODE_VERSIONS[table]}; {settings_read.get(table, '')}"
