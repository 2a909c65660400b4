"""What all table models share: how a column is declared, and what is checked of every table.

A column carries its meaning, its unit and the upstream columns that it is made from; the asset's column schema and
column lineage (`orchestration/asset_metadata.py`) and the documentation are read off these declarations. Tables are declared one a
module beside this one; `schemas/tables.py` says which asset has which.
"""

from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.extensions import register_check_method


@register_check_method(statistics=["is_finite"], check_type="vectorized")
def is_finite(values: pd.Series, *, is_finite: bool) -> pd.Series:
    """No infinity; a null is another rule's business."""
    return pd.Series(~np.isinf(values.to_numpy(dtype=float)), index=values.index)


@register_check_method(statistics=["is_filled"], check_type="vectorized")
def is_filled(values: pd.Series, *, is_filled: bool) -> pd.Series:
    """No empty or blank text; reads the categories, of which there are few, not the rows."""
    blank = values.cat.categories.astype(str).str.strip() == ""
    return pd.Series(~np.append(blank, False)[values.cat.codes], index=values.index)


@register_check_method(statistics=["is_midnight"], check_type="vectorized")
def is_midnight(values: pd.Series, *, is_midnight: bool) -> pd.Series:
    """A day, not a moment."""
    return values == values.dt.normalize()


def number_column(
    meaning: str, *, unit: str, sources: tuple[str, ...] = (), nullable: bool = True, **checks: Any
) -> Any:
    """A float column: finite or null. `checks` are Pandera's (ge, le, …); `sources` read `asset.column`."""
    metadata = {"unit": unit, "sources": sources}
    # Leaving nulls out costs a copy of the column; only bounds need it, since a null lies in none.
    return pa.Field(
        nullable=nullable, description=meaning, metadata=metadata, ignore_na=bool(checks), is_finite=True, **checks
    )


def text_column(meaning: str, *, sources: tuple[str, ...] = (), nullable: bool = False, **checks: Any) -> Any:
    """A categorical text column."""
    metadata = {"unit": "text", "sources": sources}
    return pa.Field(nullable=nullable, description=meaning, metadata=metadata, is_filled=True, **checks)


def day_column(meaning: str, *, sources: tuple[str, ...] = (), **checks: Any) -> Any:
    """A date column: midnight UTC, without a zone."""
    metadata = {"unit": "day (UTC)", "sources": sources}
    return pa.Field(description=meaning, metadata=metadata, is_midnight=True, **checks)


def timestamp_column(meaning: str, *, sources: tuple[str, ...] = (), nullable: bool = False) -> Any:
    """A column of moments: UTC, without a zone."""
    return pa.Field(description=meaning, metadata={"unit": "UTC", "sources": sources}, nullable=nullable)


def flag_column(meaning: str, *, sources: tuple[str, ...] = (), **checks: Any) -> Any:
    """A boolean column."""
    return pa.Field(description=meaning, metadata={"unit": "true or false", "sources": sources}, **checks)


def integer_column(meaning: str, *, unit: str, sources: tuple[str, ...] = (), **checks: Any) -> Any:
    """A whole number without nulls."""
    return pa.Field(description=meaning, metadata={"unit": unit, "sources": sources}, **checks)


class TableModel(pa.DataFrameModel):
    """Columns exactly as declared, in that order once coerced, and one row a (coin, date)."""

    class Config:
        strict = True
        coerce = True
        ordered = True
        unique = ["coin", "date"]
