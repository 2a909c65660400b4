"""Validation of tables: every kind of rule rejects an invalid frame when written and an invalid file when read."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cryptoliq_assets.schemas.tables import TABLES
from cryptoliq_assets.storage import TableStore
from cryptoliq_assets.storage.validation import InvalidTableError, schema_fingerprint

MONTHS = ["2022-03", "2022-04"]


@dataclass(frozen=True)
class Rule:
    """A way to make a frame invalid, and the expected report: column, check, count and a sample."""

    table: str
    invalidate: Callable[[pd.DataFrame], pd.DataFrame]
    column: str
    check: str
    count: int
    sample: str


def set_values(column: str, *values: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Return a function that puts these values into the first rows of a column."""

    def invalidate(frame: pd.DataFrame) -> pd.DataFrame:
        cells = frame[column].astype(object).tolist()
        cells[: len(values)] = values
        changed: Any = cells
        if isinstance(frame[column].dtype, pd.CategoricalDtype):
            changed = pd.Categorical(cells)
        elif not any(isinstance(value, str) for value in values):
            changed = pd.Series(cells, index=frame.index).astype(frame[column].dtype)
        return frame.assign(**{column: changed})

    return invalidate


FIRST_ROW = "(Bitcoin, 2022-03-30)"
VALUES = {
    "null coin": Rule("raw_snapshots", set_values("coin", None), "coin", "not_nullable", 1, "nan"),
    "null date": Rule("raw_snapshots", set_values("date", pd.NaT), "date", "not_nullable", 1, "NaT"),
    "null price": Rule("cleaned_snapshots", set_values("price", np.nan, np.nan), "price", "not_nullable", 2, FIRST_ROW),
    "negative price": Rule(
        "raw_snapshots", set_values("price", -1.5), "price", "greater_than_or_equal_to(0)", 1, "-1.5 (Bitc"
    ),
    "price of zero": Rule(
        "cleaned_snapshots", set_values("price", 0.0), "price", "greater_than(0)", 1, f"0.0 {FIRST_ROW}"
    ),
    "fall by more than 100 %": Rule(
        "cleaned_snapshots",
        set_values("24h", -101.0),
        "24h",
        "greater_than_or_equal_to(-100)",
        1,
        f"-101.0 {FIRST_ROW}",
    ),
    "infinite cap": Rule("raw_snapshots", set_values("mkt_cap", np.inf), "mkt_cap", "is_finite", 1, f"inf {FIRST_ROW}"),
    "infinite feature": Rule(
        "engineered_features",
        set_values("price_log", -np.inf, np.inf),
        "price_log",
        "is_finite",
        2,
        f"-inf {FIRST_ROW}",
    ),
    "blank coin": Rule("raw_snapshots", set_values("coin", "  "), "coin", "is_filled", 1, "2022-03-30"),
    "empty symbol": Rule("raw_snapshots", set_values("symbol", "", ""), "symbol", "is_filled", 2, FIRST_ROW),
    "time of day": Rule(
        "raw_snapshots", set_values("date", pd.Timestamp("2022-03-30 10:00")), "date", "is_midnight", 1, "10:00:00"
    ),
    "arrival 0": Rule(
        "raw_snapshots", set_values("arrival", 0), "arrival", "greater_than_or_equal_to(1)", 1, f"0 {FIRST_ROW}"
    ),
    "horizon of 29 days": Rule(
        "labels", set_values("horizon_days", 29), "horizon_days", "less_than_or_equal_to(28)", 1, f"29 {FIRST_ROW}"
    ),
    "duplicate key": Rule(
        "raw_snapshots",
        set_values("coin", "Ether", "Ether"),
        "(table)",
        "multiple_fields_uniqueness",
        4,
        "the row (Ether, 2022-03-30)",
    ),
    "lower above upper bound": Rule(
        "forecasts", set_values("lower", 9.0), "(table)", "lower_at_most_upper", 1, f"the row {FIRST_ROW}"
    ),
    "target before its day": Rule(
        "forecasts",
        set_values("target_date", pd.Timestamp("2022-03-30")),
        "(table)",
        "target_after_date",
        1,
        f"the row {FIRST_ROW}",
    ),
    "infinite forecast": Rule("forecasts", set_values("upper", np.inf), "upper", "is_finite", 1, f"inf {FIRST_ROW}"),
}
SHAPES = {
    "missing column": Rule(
        "labels", lambda frame: frame.drop(columns="target_score"), "target_score", "present", 1, "missing"
    ),
    "extra column": Rule("labels", lambda frame: frame.assign(mood="good"), "mood", "declared", 1, "not in the schema"),
    "text in numbers": Rule("raw_snapshots", set_values("price", *["cheap"] * 6), "price", "float64", 6, "cheap"),
}
# Names of the same checks in the full validation, which is Pandera's.
PANDERA_NAMES = {"missing column": "column_in_dataframe", "extra column": "column_in_schema"}


def write_file(store: TableStore, frame: pd.DataFrame, *, table: str, schema: str | None) -> Path:
    """Write a month file directly, with the fingerprint of a schema as its stamp, or without a stamp."""
    path = store.path(table, "2022-03")
    path.parent.mkdir(parents=True, exist_ok=True)
    content = pa.Table.from_pandas(frame, preserve_index=False)
    stamp = json.dumps({"schema": schema, "days": {}, "counts": {}, "inputs": "", "sources": []})
    pq.write_table(content.replace_schema_metadata({b"cryptoliq": stamp.encode()} if schema else None), path)
    return path


def check_failure(error: InvalidTableError, rule: Rule, *, check: str) -> None:
    failures = error.failures
    result = failures[
        (failures["column"] == rule.column) & failures["check"].astype(str).str.contains(check, regex=False)
    ]
    assert len(result) == 1, failures.to_dict("records")
    assert result["count"].item() == rule.count
    assert rule.sample in result["samples"].item()
    assert f"{rule.column}: {result['check'].item()} failed {rule.count} time(s), e.g. " in str(error)
    assert str(error).startswith(f"{rule.table}: ")


@pytest.mark.parametrize("kind", [*VALUES, *SHAPES])
def test_an_invalid_frame_is_rejected_and_nothing_is_written(store: TableStore, frames: dict, kind: str) -> None:
    rule = (VALUES | SHAPES)[kind]
    store.write(rule.table, frames[rule.table], MONTHS)
    before = {path: path.read_bytes() for path in store.folder(rule.table).iterdir()}
    with pytest.raises(InvalidTableError) as caught:
        store.write(rule.table, rule.invalidate(frames[rule.table]), MONTHS)
    check_failure(caught.value, rule, check=PANDERA_NAMES.get(kind, rule.check))
    assert "frame to be written" in str(caught.value)
    assert {path: path.read_bytes() for path in store.folder(rule.table).iterdir()} == before


@pytest.mark.parametrize("schema", [None, "an older schema"])
@pytest.mark.parametrize("kind", [*VALUES, *SHAPES])
def test_an_invalid_file_without_a_current_stamp_is_rejected(
    store: TableStore, frames: dict, kind: str, schema: str | None
) -> None:
    rule = (VALUES | SHAPES)[kind]
    path = write_file(store, rule.invalidate(frames[rule.table]), table=rule.table, schema=schema)
    with pytest.raises(InvalidTableError, match=str(path)) as caught:
        store.read(rule.table)
    check_failure(caught.value, rule, check=PANDERA_NAMES.get(kind, rule.check))
    with pytest.raises(InvalidTableError):
        store.read(rule.table, columns=["coin"])
    with pytest.raises(InvalidTableError):
        store.verify(rule.table, "2022-03")


@pytest.mark.parametrize("kind", list(SHAPES))
def test_columns_and_types_of_a_stamped_file_are_validated(store: TableStore, frames: dict, kind: str) -> None:
    rule = SHAPES[kind]
    invalid = rule.invalidate(frames[rule.table])
    path = write_file(store, invalid, table=rule.table, schema=schema_fingerprint(TABLES[rule.table]))
    with pytest.raises(InvalidTableError, match=str(path)) as caught:
        store.read(rule.table)
    check_failure(caught.value, replace(rule, count=1, sample=""), check=rule.check.replace("float", "dtype float"))
    # Selecting columns does not skip the validation.
    with pytest.raises(InvalidTableError):
        store.read(rule.table, columns=["coin", "date"])


def test_cells_of_a_stamped_file_are_not_validated(store: TableStore, frames: dict) -> None:
    invalid = set_values("price", -1.0)(frames["raw_snapshots"])
    write_file(store, invalid, table="raw_snapshots", schema=schema_fingerprint(TABLES["raw_snapshots"]))
    assert store.read("raw_snapshots")["price"].min() == -1.0


def test_all_failures_are_reported_with_at_most_five_samples(store: TableStore, frames: dict) -> None:
    invalid = set_values("price", *[-1.0] * 6)(set_values("mkt_cap", np.inf)(frames["raw_snapshots"]))
    with pytest.raises(InvalidTableError) as caught:
        store.write("raw_snapshots", invalid, MONTHS)
    failures = caught.value.failures.set_index("column")
    assert failures["count"].to_dict() == {"price": 6, "mkt_cap": 1}
    assert failures.loc["price", "samples"].count("-1.0 (") == 5


@pytest.mark.parametrize("table", list(TABLES))
def test_each_table_has_a_stable_distinct_fingerprint(table: str) -> None:
    spec = TABLES[table]
    before = schema_fingerprint(spec)
    assert schema_fingerprint(spec) == before
    assert len({schema_fingerprint(other) for other in TABLES.values()}) == len(TABLES)
