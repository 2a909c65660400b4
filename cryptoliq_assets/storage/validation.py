"""Validation of frames against their Pandera models, with errors that name column, check, count and sample rows."""

import hashlib
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
import pandera.errors
from pandas.api.extensions import ExtensionDtype

from cryptoliq_assets.core import Location
from cryptoliq_assets.schemas import DERIVED_TABLES, TRAINING_TABLES, Table

_SAMPLES = 5
FAILURE_COLUMNS = ["column", "check", "count", "samples"]
# Pandera's checks for a missing or an unknown column, and their descriptions.
_SHAPE = {"column_in_dataframe": "missing", "column_in_schema": "not in the schema"}


class InvalidTableError(ValueError):
    """A frame does not satisfy its model; `failures` has one row per (column, check), with count and sample rows."""

    def __init__(self, table: str, where: str, failures: pd.DataFrame) -> None:
        self.table, self.where, self.failures = table, where, failures
        lines = [
            f"  {row.column}: {row.check} failed {row.count} time(s), e.g. {row.samples}"
            for row in failures.itertuples()
        ]
        super().__init__(f"{table}: {where} does not meet its schema:\n" + "\n".join(lines))

    def __reduce__(self) -> tuple[Any, ...]:
        # Exceptions are pickled by their message, which is not what the constructors take. A worker of a cluster raises them too.
        return _restore_error, (type(self), self.args, vars(self))


def _restore_error(kind: type[InvalidTableError], args: tuple[Any, ...], state: dict[str, Any]) -> InvalidTableError:
    error = kind.__new__(kind)
    error.args = args
    vars(error).update(state)
    return error


class DamagedTableError(InvalidTableError):
    """A month file does not contain the bytes that were written, or is not readable as Parquet."""

    def __init__(self, table: str, month: str, where: str, *, reason: str, remedy: str) -> None:
        self.month, self.reason, self.remedy = month, reason, remedy
        damage = [("(file)", "is the file that was written", 1, f"{reason}; {remedy}")]
        super().__init__(table, where, pd.DataFrame(damage, columns=FAILURE_COLUMNS))
        self.args = (f"{table}: {where} is damaged: {reason}; {remedy}",)


class OutdatedTableError(InvalidTableError):
    """A month file of an earlier version lacks columns that are needed now."""

    def __init__(self, table: str, where: str, columns: list[str]) -> None:
        named = ", ".join(columns[:_SAMPLES]) + (
            f" and {len(columns) - _SAMPLES} more" if len(columns) > _SAMPLES else ""
        )
        absent = [(name, "column_in_dataframe", 1, "missing") for name in columns]
        super().__init__(table, where, pd.DataFrame(absent, columns=FAILURE_COLUMNS))
        self.args = (
            f"{table}: {where} was written by an earlier version, without the column(s) {named}: "
            "`cryptoliq materialize` recomputes it",
        )


def damaged_table_error(spec: Table, month: str, path: Location, reason: object) -> DamagedTableError:
    """Return the error for a damaged month file, with the command that repairs it.

    Args:
        spec: The table.
        month: Month, YYYY-MM.
        path: The file.
        reason: What is wrong with it.
    """
    remedy = "restore it from a backup"
    if spec.name in (*DERIVED_TABLES, *TRAINING_TABLES):
        command = "materialize" if spec.name in DERIVED_TABLES else "train"
        origin = "the archive" if spec.name == "raw_snapshots" else "the tables before it"
        remedy = f"`cryptoliq verify --repair` renames it and `cryptoliq {command}` recomputes it from {origin}"
    # The error of a file that could not be opened begins with its path.
    return DamagedTableError(spec.name, month, str(path), reason=str(reason).removeprefix(f"{path}: "), remedy=remedy)


def validate_table(table: Table, frame: pd.DataFrame, *, where: str) -> pd.DataFrame:
    """Validate a frame.

    Args:
        table: The table.
        frame: Its rows.
        where: What the error names as the source of the rows.

    Returns:
        The frame coerced to the model, columns in its order.

    Raises:
        InvalidTableError: Checks failed; the message lists all of them.
    """
    names = [name for name in table.columns if name in frame.columns] + _extra(table, frame)
    ordered = frame if names == list(frame.columns) else frame[names]
    if not isinstance(ordered.index, pd.RangeIndex):
        # Failures are reported by row number.
        ordered = ordered.reset_index(drop=True)
    typed = not _wrong_types(table, ordered)
    schema = table.schema_without_coercion if typed else table.schema
    try:
        return schema.validate(ordered, lazy=True, inplace=typed)
    except pandera.errors.SchemaErrors as error:
        raise InvalidTableError(table.name, where, _summarize(frame, error.failure_cases)) from error


def check_types(table: Table, frame: pd.DataFrame, *, where: str) -> None:
    """Check columns and types only, of a frame that satisfied the current schema when it was written.

    Args:
        table: The table.
        frame: Its rows.
        where: Origin of the rows, for the error.

    Raises:
        InvalidTableError: A column is missing, unknown or has another type.
    """
    wrong = _wrong_types(table, frame)
    if wrong:
        raise InvalidTableError(table.name, where, pd.DataFrame(wrong, columns=FAILURE_COLUMNS))


@lru_cache
def schema_fingerprint(table: Table) -> str:
    """Return the fingerprint of a table; it changes with a column, a type, a check or the key of its model."""
    parts = [repr((table.schema.unique, table.schema.strict, [check.name for check in table.schema.checks]))]
    for name, column in table.schema.columns.items():
        checks = sorted((str(check.name), repr(check.statistics)) for check in column.checks)
        parts.append(repr((name, str(column.dtype), column.nullable, checks)))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _wrong_types(table: Table, frame: pd.DataFrame) -> list[tuple[str, str, int, str]]:
    wrong = []
    for name, column in table.schema.columns.items():
        if name not in frame.columns:
            wrong.append((name, "column present", 1, "missing"))
        elif not column.dtype.check(_pandera_type(frame[name].dtype)):
            wrong.append((name, f"dtype {column.dtype}", 1, str(frame[name].dtype)))
    return wrong + [(name, "column declared", 1, "not in the schema") for name in _extra(table, frame)]


def _extra(table: Table, frame: pd.DataFrame) -> list[str]:
    return [name for name in frame.columns if name not in table.schema.columns]


def _pandera_type(dtype: np.dtype | ExtensionDtype) -> object:
    # Types with categories are compared with all of them: they are not worth storing.
    return _known_type(dtype) if isinstance(dtype, np.dtype) else _find_type(dtype)


def _find_type(dtype: np.dtype | ExtensionDtype) -> object:
    from pandera.engines import pandas_engine

    return pandas_engine.Engine.dtype(dtype)


_known_type = lru_cache(_find_type)


def _summarize(frame: pd.DataFrame, cases: pd.DataFrame) -> pd.DataFrame:
    """One row per (column, check). Pandera reports a check of the complete table once per column, and one on the presence of a
    column under the name of the table."""
    cases = cases.astype(object)
    shape = cases["check"].isin(_SHAPE)
    of_table = (cases["schema_context"] == "DataFrameSchema") & ~shape
    column = cases["column"].mask(shape, cases["failure_case"]).mask(of_table, "(table)").fillna("(table)")
    value = cases["failure_case"].mask(shape, cases["check"].map(_SHAPE)).mask(of_table, "the row")
    cases = cases.assign(column=column, failure_case=value)[~(of_table & cases.duplicated(["check", "index"]))]
    # Other failures of a column with a wrong type only state that its checks could not run.
    mistyped = cases["check"].astype(str).str.startswith("coerce_dtype(")
    cases = cases[mistyped | ~cases["column"].isin(cases.loc[mistyped, "column"])]
    rows = []
    for (column, check), group in cases.groupby(["column", "check"], sort=False, dropna=False):
        samples = []
        for case in group.head(_SAMPLES).itertuples():
            key = ""
            if pd.notna(case.index) and isinstance(case.index, (int, float)) and int(case.index) < len(frame):
                row = frame.iloc[int(case.index)]
                key = f" ({row.get('coin')}, {str(row.get('date'))[:10]})"
            samples.append(f"{case.failure_case}{key}")
        rows.append((column, check, len(group), "; ".join(samples)))
    return pd.DataFrame(rows, columns=FAILURE_COLUMNS)
