"""The backtest as one Parquet file, a row group a model: what every candidate and baseline said out of fold.

Beside it what that is worth coin by coin, a second and far smaller file.
"""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cryptoliq_assets.io.files import write_files
from cryptoliq_assets.io.safe_open import UnreadError, open_stored
from cryptoliq_assets.io.seal import check_file, seal
from cryptoliq_assets.io.validation import validate_table
from cryptoliq_assets.models.coin_measures import measure_coins_of_views
from cryptoliq_assets.models.evaluation import Evaluation, out_of_fold
from cryptoliq_assets.models.training_set import TrainingSet
from cryptoliq_assets.schemas.backtest import BACKTEST, BACKTEST_BY_COIN
from cryptoliq_assets.schemas.tables import Table

_PREVIEW_ROWS = 3


@dataclass(frozen=True)
class Written:
    """What was written: rows by model, the last rows of each, mean absolute error by date (rows) and model, measures by
    (coin, model, view), and the name of the model with the highest skill: a candidate's, where there is one."""

    rows: dict[str, int]
    preview: pd.DataFrame
    daily_mae: pd.DataFrame
    by_coin: pd.DataFrame
    best: str


def backtest_path(reports_dir: Path) -> Path:
    return reports_dir / BACKTEST.path


def by_coin_path(reports_dir: Path) -> Path:
    return reports_dir / BACKTEST_BY_COIN.path


def write_backtest(path: Path, evaluations: Iterable[Evaluation], rows: TrainingSet) -> Written:
    """Validate the out-of-fold forecasts, model by model, and write them whole or not at all; beside them, as
    BACKTEST_BY_COIN.path, what they are worth coin by coin.

    Raises TableInvalid before anything is written when a forecast breaks the model, ValueError for a model said twice.
    """
    counts: dict[str, int] = {}
    tails, daily, of_coins, ranks = [], {}, [], []
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
        of_coins.append(measure_coins_of_views(evaluation, rows))
        ranks.append((evaluation.recipe is None, -_or_least(evaluation.skill()), evaluation.name))
    if writer is None:
        raise ValueError("no model was evaluated: there is no backtest")
    writer.close()
    by_coin = _by_coin(of_coins)
    coins_buffer = io.BytesIO()
    pq.write_table(_plain_text(pa.Table.from_pandas(by_coin, preserve_index=False)), coins_buffer)
    write_files({path: _sealed(buffer), by_coin_path(path.parent): _sealed(coins_buffer)})
    return Written(
        rows=counts,
        preview=pd.concat(tails, ignore_index=True),
        daily_mae=pd.DataFrame(daily).sort_index(),
        by_coin=by_coin,
        best=min(ranks)[-1],
    )


def read_backtest(path: Path, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The stored backtest, text columns categorical.

    Raises FileNotFoundError where nothing was trained yet, UnreadError for a file that does not hold what was written.
    """
    return _read(BACKTEST, path, columns)


def read_by_coin(path: Path, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The stored measures by (coin, model, view), likewise."""
    return _read(BACKTEST_BY_COIN, path, columns)


def smoothed(daily: pd.DataFrame, *, days: int = 7) -> dict[str, np.ndarray]:
    """Each column's mean over `days` calendar days: a day's error is its market's, more than its model's."""
    calm = daily.rolling(f"{days}D").mean()
    return {str(name): calm[name].to_numpy() for name in calm}


def check_backtest(path: Path) -> None:
    """Compare one of the two files with the digest that was written with it; raises as `read_backtest` does."""
    try:
        with open_stored(path) as handle:
            check_file(handle, path)
            handle.seek(0)
            pq.read_metadata(handle)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def _read(table: Table, path: Path, columns: Sequence[str] | None) -> pd.DataFrame:
    check_backtest(path)
    try:
        with open_stored(path) as handle:
            # A file of an earlier release lacks the measures that were added since; the next training writes them.
            there = set(pq.read_schema(handle).names)
            wanted = [name for name in (columns or table.columns) if name in there]
            handle.seek(0)
            text = [name for name in table.text_columns if name in wanted]
            stored = pq.read_table(handle, columns=wanted, read_dictionary=text)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error
    return stored.replace_schema_metadata(None).to_pandas()


def _damaged(path: Path, error: Exception) -> UnreadError:
    reason = str(error).removeprefix(f"{path}: ")
    return UnreadError("damaged", f"{path} is damaged: {reason}; remove it, `cryptoliq train` writes it again")


def _sealed(buffer: io.BytesIO) -> bytes:
    return b"".join(seal(memoryview(buffer.getvalue())))


def _by_coin(of_models: Sequence[pd.DataFrame]) -> pd.DataFrame:
    frame = pd.concat(of_models, ignore_index=True)
    frame = frame.astype(dict.fromkeys(BACKTEST_BY_COIN.text_columns, "category"))
    return validate_table(BACKTEST_BY_COIN, frame, where="measures by coin")


def _or_least(skill: float | None) -> float:
    return -np.inf if skill is None else skill


def _plain_text(table: pa.Table) -> pa.Table:
    """Dictionaries as text in the schema: those of different models would not read back as one column."""
    fields = [pa.field(item.name, pa.string()) if pa.types.is_dictionary(item.type) else item for item in table.schema]
    return table.cast(pa.schema(fields)).replace_schema_metadata(None)
