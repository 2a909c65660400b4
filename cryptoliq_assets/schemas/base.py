"""Declarations that all table models share: kinds of columns, and the checks of every table.

A column has its meaning, its unit and the upstream columns that it is computed from; column schema, column lineage
(`orchestration/asset_metadata.py`) and documentation are derived from these declarations. Each table has its own module.
"""

import importlib
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

_DASK_ANNOTATIONS = "pandera.typing.dask"


def _leave_out_dask() -> None:
    """Import pandera's annotations for Dask as if Dask were not installed.

    Where it is installed, pandera imports `dask.dataframe` at the first model, for annotations that no model here has: 0.8 s of every
    command and every worker. Only a cluster needs Dask, and of it no data frames.
    """
    if _DASK_ANNOTATIONS in sys.modules:
        return
    # None makes an import fail at once.
    blocked = [name for name in ("dask", "dask.dataframe") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(blocked, None))  # type: ignore[arg-type]
    try:
        importlib.import_module(_DASK_ANNOTATIONS)
    finally:
        for name in blocked:
            del sys.modules[name]


_leave_out_dask()


def is_finite(values: pd.Series) -> pd.Series:
    """Reject infinities; nulls have their own rule."""
    return pd.Series(~np.isinf(values.to_numpy(dtype=float)), index=values.index)


def is_filled(values: pd.Series) -> pd.Series:
    """Reject empty or blank text; checks the categories, which are few, not the rows."""
    blank = values.cat.categories.astype(str).str.strip() == ""
    return pd.Series(~np.append(blank, False)[values.cat.codes], index=values.index)


def is_midnight(values: pd.Series) -> pd.Series:
    """Reject times of day."""
    return values == values.dt.normalize()


def number_column(
    meaning: str, *, unit: str, sources: tuple[str, ...] = (), nullable: bool = True, **checks: Any
) -> Any:
    """Declare a float column: finite or null.

    Args:
        meaning: One sentence for the documentation.
        unit: Unit of the values.
        sources: Upstream columns, as `asset.column`.
        nullable: Whether values may be missing.
        **checks: Checks of Pandera (ge, le, …).
    """
    metadata = {"unit": unit, "sources": sources}
    # Dropping nulls costs a copy of the column; only bounds need it, since a null satisfies none.
    ignore_na = bool(checks)
    field = pa.Field(nullable=nullable, description=meaning, metadata=metadata, ignore_na=ignore_na, **checks)
    return _add_check(field, is_finite, ignore_na=ignore_na)


def text_column(meaning: str, *, sources: tuple[str, ...] = (), nullable: bool = False, **checks: Any) -> Any:
    """Declare a categorical text column; see `number_column` for the arguments."""
    metadata = {"unit": "text", "sources": sources}
    field = pa.Field(nullable=nullable, description=meaning, metadata=metadata, **checks)
    return _add_check(field, is_filled)


def day_column(meaning: str, *, sources: tuple[str, ...] = (), **checks: Any) -> Any:
    """Declare a date column: midnight UTC, without a time zone."""
    metadata = {"unit": "day (UTC)", "sources": sources}
    return _add_check(pa.Field(description=meaning, metadata=metadata, **checks), is_midnight)


def timestamp_column(meaning: str, *, sources: tuple[str, ...] = (), nullable: bool = False) -> Any:
    """Declare a timestamp column: UTC, without a time zone.

    Args:
        meaning: Description of the column.
        sources: Columns that it is computed from.
        nullable: Whether values may be missing.
    """
    return pa.Field(description=meaning, metadata={"unit": "UTC", "sources": sources}, nullable=nullable)


def flag_column(meaning: str, *, sources: tuple[str, ...] = (), **checks: Any) -> Any:
    """Declare a boolean column."""
    return pa.Field(description=meaning, metadata={"unit": "true or false", "sources": sources}, **checks)


def integer_column(meaning: str, *, unit: str, sources: tuple[str, ...] = (), **checks: Any) -> Any:
    """Declare an integer column without nulls.

    Args:
        meaning: Description of the column.
        unit: Unit of the values.
        sources: Columns that it is computed from.
        **checks: Checks of `pandera.Field`.
    """
    return pa.Field(description=meaning, metadata={"unit": unit, "sources": sources}, **checks)


def _add_check(field: Any, function: Callable[[pd.Series], pd.Series], *, ignore_na: bool = True) -> Any:
    """Add a check of our own to a field, under the function's name.

    Pandera's `register_check_method` is not used: it imports hypothesis if that is installed, which adds a tenth to the
    import of the definitions. The statistics are those that it set: they are part of the fingerprint of stored files.
    """
    name = function.__name__
    field.checks.append(pa.Check(function, name=name, error=name, statistics={name: True}, ignore_na=ignore_na))
    return field


class TableModel(pa.DataFrameModel):
    """Columns exactly as declared, in that order after coercion, and one row per (coin, date)."""

    class Config:
        strict = True
        coerce = True
        ordered = True
        unique = ["coin", "date"]
