"""The backtest as one Parquet file, a row group a model: what every candidate and baseline said out of fold."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cryptoliq_assets.io.files import write_file
from cryptoliq_assets.io.validation import validate_table
from cryptoliq_assets.models.evaluation import Evaluation, out_of_fold
from cryptoliq_assets.models.training_set import TrainingSet
from cryptoliq_assets.schemas.backtest import BACKTEST

_PREVIEW_ROWS = 3


@dataclass(frozen=True)
class Written:
    """What was written: rows by model, the last rows of each, and mean absolute error by date (rows) and model."""

    rows: dict[str, int]
    preview: pd.DataFrame
    daily_mae: pd.DataFrame


def backtest_path(reports_dir: Path) -> Path:
    return reports_dir / BACKTEST.path


def write_backtest(path: Path, evaluations: Iterable[Evaluation], rows: TrainingSet) -> Written:
    """Validate the out-of-fold forecasts, model by model, and write them whole or not at all.

    Raises TableInvalid before anything is written when a forecast breaks the model, ValueError for a model said twice.
    """
    counts: dict[str, int] = {}
    tails, daily = [], {}
    buffer, writer = io.BytesIO(), None
    for evaluation in evaluations:
        if evaluation.name in counts:
            raise ValueError(f"{evaluation.name} was handed over twice")
        frame = validate_table(BACKTEST, out_of_fold(evaluation, rows), where=f"forecasts of {evaluation.name}")
        table = _plain_text(pa.Table.from_pandas(frame, preserve_index=False))
        writer = writer or pq.ParquetWriter(buffer, table.schema, compression="snappy")
        writer.write_table(table)
        counts[evaluation.name] = len(frame)
        tails.append(frame.sort_values("date", kind="stable").tail(_PREVIEW_ROWS).astype({"coin": str, "model": str}))
        daily[evaluation.name] = (frame["predicted"] - frame["realised"]).abs().groupby(frame["date"]).mean()
    if writer is None:
        raise ValueError("no model was evaluated: there is no backtest")
    writer.close()
    write_file(path, buffer.getvalue())
    return Written(counts, pd.concat(tails, ignore_index=True), pd.DataFrame(daily).sort_index())


def read_backtest(path: Path, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The stored backtest, text columns categorical; FileNotFoundError where nothing was trained yet."""
    text = [name for name, column in BACKTEST.schema.columns.items() if str(column.dtype) == "category"]
    wanted = list(columns) if columns else None
    table = pq.read_table(path, columns=wanted, read_dictionary=[name for name in text if name in (wanted or text)])
    return table.replace_schema_metadata(None).to_pandas()


def smoothed(daily: pd.DataFrame, *, days: int = 7) -> dict[str, np.ndarray]:
    """Each column's mean over `days` calendar days: a day's error is its market's, more than its model's."""
    calm = daily.rolling(f"{days}D").mean()
    return {str(name): calm[name].to_numpy() for name in calm}


def _plain_text(table: pa.Table) -> pa.Table:
    """Dictionaries as text in the schema: those of different models would not read back as one column."""
    fields = [pa.field(item.name, pa.string()) if pa.types.is_dictionary(item.type) else item for item in table.schema]
    return table.cast(pa.schema(fields)).replace_schema_metadata(None)
