"""Declarations that all table models share: kinds of columns, and the checks of every table.

A column has its meaning, its unit and the upstream columns that it is computed from; column schema, column lineage
(`orchestration/asset_metadata.py`) and documentation are derived from these declarations. Each table has its own module.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.api.extensions import register_check_method

_Check = TypeVar("_Check", bound=Callable[..., Any])
# Pandera does not annotate its decorator.
_register_check: Callable[..., Callable[[_Check], _Check]] = register_check_method


@_register_check(statistics=["is_finite"], check_type="vectorized")
def is_finite(values: pd.Series, *, is_finite: bool) -> pd.Series:
    """Reject infinities; nulls have their own rule."""
    return pd.Series(~np.isinf(values.to_numpy(dtype=float)), index=values.index)


@_register_check(statistics=["is_filled"], check_type="vectorized")
def is_filled(values: pd.Series, *, is_filled: bool) -> pd.Series:
    """Reject empty or blank text; checks the categories, which are few, not the rows."""
    blank = values.cat.categories.astype(str).str.strip() == ""
    return pd.Series(~np.append(blank, False)[values.cat.codes], index=values.index)


@_register_check(statistics=["is_midnight"], check_type="vectorized")
def is_midnight(values: pd.Series, *, is_midnight: bool) -> pd.Series:
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
    return pa.Field(
        nullable=nullable, description=meaning, metadata=metadata, ignore_na=bool(checks), is_finite=True, **checks
    )


def text_column(meaning: str, *, sources: tuple[str, ...] = (), nullable: bool = False, **checks: Any) -> Any:
    """Declare a categorical text column; arguments as in `number_column`."""
    metadata = {"unit": "text", "sources": sources}
    return pa.Field(nullable=nullable, description=meaning, metadata=metadata, is_filled=True, **checks)


def day_column(meaning: str, *, sources: tuple[str, ...] = (), **checks: Any) -> Any:
    """Declare a date column: midnight UTC, without a time zone."""
    metadata = {"unit": "day (UTC)", "sources": sources}
    return pa.Field(description=meaning, metadata=metadata, is_midnight=True, **checks)


def timestamp_column(meaning: str, *, sources: tuple[str, ...] = (), nullable: bool = False) -> Any:
    """Declare a timestamp column: UTC, without a time zone."""
    return pa.Field(description=meaning, metadata={"unit": "UTC", "sources": sources}, nullable=nullable)


def flag_column(meaning: str, *, sources: tuple[str, ...] = (), **checks: Any) -> Any:
    """Declare a boolean column."""
    return pa.Field(description=meaning, metadata={"unit": "true or false", "sources": sources}, **checks)


def integer_column(meaning: str, *, unit: str, sources: tuple[str, ...] = (), **checks: Any) -> Any:
    """Declare an integer column without nulls."""
    return pa.Field(description=meaning, metadata={"unit": unit, "sources": sources}, **checks)


class TableModel(pa.DataFrameModel):
    """Columns exactly as declared, in that order after coercion, and one row per (coin, date)."""

    class Config:
        strict = True
        coerce = True
        ordered = True
        unique = ["coin", "date"]
