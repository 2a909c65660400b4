"""The backtest: out-of-fold forecasts of all candidates and baselines, and their metrics coin by coin.

Two Parquet files: one row group per model and fold with every forecast, and a far smaller one with the metrics of the leaderboard
over each coin's own tested rows. The forecasts themselves are made in `modeling.evaluation.cross_validation`.
"""

import io
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cryptoliq_assets.core import FileReadError, Location, is_remote, make_folder, open_stored, write_files
from cryptoliq_assets.modeling.datasets import TrainingRows
from cryptoliq_assets.modeling.estimators import PERSISTENCE
from cryptoliq_assets.modeling.evaluation.cross_validation import Evaluation, make_backtest_rows
from cryptoliq_assets.modeling.evaluation.fold_metrics import har_reference
from cryptoliq_assets.schemas import BACKTEST, BACKTEST_BY_COIN, BUCKETS, VIEWS, WITH_HISTORY, Table
from cryptoliq_assets.storage import validate_table, verify_checksum, with_checksum

Array = npt.NDArray[Any]

_PREVIEW_ROWS = 3


@dataclass(frozen=True)
class BacktestSummary:
    """What was written.

    Attributes:
        rows: Number of rows by model.
        preview: The last rows of each model.
        daily_mae: Mean absolute error by date (rows) and model (columns).
        by_coin: Metrics by (coin, model, view).
        best: Name of the model with the highest skill; a candidate's, if there is one.
    """

    rows: dict[str, int]
    preview: pd.DataFrame
    daily_mae: pd.DataFrame
    by_coin: pd.DataFrame
    best: str


def backtest_path(reports_dir: Location) -> Location:
    """Return the path of the out-of-fold forecasts."""
    return reports_dir / BACKTEST.path


def by_coin_path(reports_dir: Location) -> Location:
    """Return the path of the metrics by coin."""
    return reports_dir / BACKTEST_BY_COIN.path


def write_backtest(
    path: Location, evaluations: Iterable[Evaluation], rows: TrainingRows, *, scratch: Path | None = None
) -> BacktestSummary:
    """Validate the out-of-fold forecasts, fold by fold, and write them and the metrics by coin atomically.

    The forecasts of one model, and the table of one fold, are in memory at a time; the rest is in an unnamed temporary file.

    Args:
        path: Path of the backtest.
        evaluations: One per model.
        rows: The training set that they were evaluated on.
        scratch: Local folder of the temporary file; default: that of the backtest, or of the system for a path in an object store.

    Raises:
        InvalidTableError: A forecast violates the schema; nothing is written.
        ValueError: A model occurs twice, or there is none.
    """
    counts: dict[str, int] = {}
    tails: list[pd.DataFrame] = []
    daily: dict[str, pd.Series[float]] = {}
    coin_metrics: list[pd.DataFrame] = []
    ranks: list[tuple[bool, float, str]] = []
    folder = None if is_remote(path) else path.parent
    if folder := scratch or folder:
        make_folder(folder)
    with tempfile.TemporaryFile(dir=folder) as file, ExitStack() as opened:
        writer = None
        for evaluation in evaluations:
            if evaluation.name in counts:
                raise ValueError(f"{evaluation.name} occurs twice")
            daily_errors: list[pd.Series[float]] = []
            newest: list[pd.DataFrame] = []
            for fold in make_backtest_rows(evaluation, rows):
                frame = validate_table(BACKTEST, fold, where=f"forecasts of {evaluation.name}")
                table = _plain_text(pa.Table.from_pandas(frame, preserve_index=False))
                writer = writer or opened.enter_context(pq.ParquetWriter(file, table.schema, compression="snappy"))
                writer.write_table(table)
                newest.append(_newest(frame).astype({"coin": str, "model": str}))
                daily_errors.append((frame["predicted"] - frame["realised"]).abs().set_axis(frame["date"]))
                counts[evaluation.name] = counts.get(evaluation.name, 0) + len(frame)
                del fold, frame, table
            tails.append(_newest(pd.concat(newest)))
            daily[evaluation.name] = pd.concat(daily_errors).groupby(level=0).mean()
            coin_metrics.append(measure_coins_of_views(evaluation, rows))
            ranks.append((evaluation.spec is None, -_skill_or_min(evaluation.skill()), evaluation.name))
            del evaluation
        if writer is None:
            raise ValueError("no model was evaluated: there is no backtest")
        writer.close()
        by_coin = _by_coin(coin_metrics)
        coins_buffer = io.BytesIO()
        pq.write_table(_plain_text(pa.Table.from_pandas(by_coin, preserve_index=False)), coins_buffer)
        write_files({path: with_checksum(file), by_coin_path(path.parent): with_checksum(coins_buffer)})
    return BacktestSummary(
        rows=counts,
        preview=pd.concat(tails, ignore_index=True),
        daily_mae=pd.DataFrame(daily).sort_index(),
        by_coin=by_coin,
        best=min(ranks)[-1],
    )


def _newest(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.sort_values("date", kind="stable").tail(_PREVIEW_ROWS)


def read_backtest(path: Location, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read the stored backtest; text columns are categorical.

    Raises:
        FileNotFoundError: Nothing was trained yet.
        FileReadError: The file is damaged.
    """
    return _read(BACKTEST, path, columns)


def read_by_coin(path: Location, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read the stored metrics by (coin, model, view), like `read_backtest`."""
    return _read(BACKTEST_BY_COIN, path, columns)


def smooth_daily(daily: pd.DataFrame, *, days: int = 7) -> dict[str, list[float]]:
    """Return the rolling mean of each column over `days` calendar days: the error of one day depends mostly on its market."""
    rolling = daily.rolling(f"{days}D").mean()
    return {str(name): rolling[name].tolist() for name in rolling}


def check_backtest(path: Location) -> None:
    """Compare one of the two files with its checksum; raises as `read_backtest` does."""
    try:
        with open_stored(path) as handle:
            verify_checksum(handle, path)
            handle.seek(0)
            pq.read_metadata(handle)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def _read(table: Table, path: Location, columns: Sequence[str] | None) -> pd.DataFrame:
    check_backtest(path)
    try:
        with open_stored(path) as handle:
            # Files of earlier releases lack the metrics added since; the next training writes them.
            available = set(pq.read_schema(handle).names)
            selected = [name for name in (columns or table.columns) if name in available]
            handle.seek(0)
            text = [name for name in table.text_columns if name in selected]
            stored = pq.read_table(handle, columns=selected, read_dictionary=text)
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error
    return stored.replace_schema_metadata(None).to_pandas()


def _damaged(path: Location, error: Exception) -> FileReadError:
    reason = str(error).removeprefix(f"{path}: ")
    return FileReadError("damaged", f"{path} is damaged: {reason}; remove it, `cryptoliq train` recreates it")


def _by_coin(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    frame = pd.concat(frames, ignore_index=True)
    frame = frame.astype(dict.fromkeys(BACKTEST_BY_COIN.text_columns, "category"))
    return validate_table(BACKTEST_BY_COIN, frame, where="metrics by coin")


def _skill_or_min(skill: float | None) -> float:
    return -np.inf if skill is None else skill


def _plain_text(table: pa.Table) -> pa.Table:
    """Replace dictionary columns by text: those of different models could not be read as one column."""
    fields = [pa.field(item.name, pa.string()) if pa.types.is_dictionary(item.type) else item for item in table.schema]
    return table.cast(pa.schema(fields)).replace_schema_metadata(None)


# The mean error of a coin over fewer days depends on those days only.
MIN_COIN_ROWS = 5
SHOWN_COINS = 5


def measure_coins(evaluation: Evaluation, rows: TrainingRows, *, view: str = WITH_HISTORY) -> pd.DataFrame:
    """Compute the metrics of each coin over all folds.

    Persistence has today's score in every view; HAR has no more history than the view.

    Args:
        evaluation: The evaluation.
        rows: The training set.
        view: One of VIEWS.

    Returns:
        One row per coin, largest mean absolute error first: coin, model, view, bucket (of the coin's last row), rows,
        skill, mae, mean_absolute_prediction, rmse, r2, mae_vs_persistence, mae_vs_har, bias (forecast minus realized); as
        in `metrics.METRICS`, NaN where undefined.
    """
    codes, index = np.unique(rows.coins[evaluation.rows], return_inverse=True)
    order = np.lexsort((rows.date[evaluation.rows], index))
    count = np.bincount(index)
    starts = np.cumsum(count) - count
    realized = rows.y[evaluation.rows][order]
    forecast = evaluation.forecasts[view][order]
    naive, har = (np.abs(evaluation.references[name][order] - realized) for name in (PERSISTENCE, har_reference(view)))

    def mean(values: Array) -> Array:
        means: Array = np.add.reduceat(values, starts) / count
        return means

    error = forecast - realized
    absolute, squared = mean(np.abs(error)), mean(error**2)
    varies = np.maximum.reduceat(realized, starts) > np.minimum.reduceat(realized, starts)
    variance = np.where(varies, mean((realized - np.repeat(mean(realized), count)) ** 2), 0.0)
    last = evaluation.rows[order][starts + count - 1]
    table = pd.DataFrame(
        {
            "coin": rows.coin_names[codes],
            "model": evaluation.name,
            "view": view,
            "bucket": np.array(BUCKETS, dtype=object)[rows.bucket[last]],
            "rows": count,
            "skill": 1.0 - _ratio(squared, mean(naive**2)),
            "mae": absolute,
            "mean_absolute_prediction": mean(np.abs(forecast)),
            "rmse": np.sqrt(squared),
            "r2": 1.0 - _ratio(squared, variance),
            "mae_vs_persistence": _ratio(absolute, mean(naive)),
            "mae_vs_har": _ratio(absolute, mean(har)),
            "bias": mean(error),
        }
    )
    return table.sort_values(["mae", "coin"], ascending=[False, True], ignore_index=True)


def measure_coins_of_views(evaluation: Evaluation, rows: TrainingRows) -> pd.DataFrame:
    """Compute `measure_coins` for every view: one row per (coin, view)."""
    return pd.concat([measure_coins(evaluation, rows, view=view) for view in VIEWS], ignore_index=True)


def average_over_coins(evaluation: Evaluation, rows: TrainingRows) -> dict[str, float | int]:
    """Return the mean over coins, with equal weight, of each coin's mean absolute error and mean absolute prediction."""
    table = measure_coins(evaluation, rows)
    means = {name: float(table[name].mean()) for name in ("mae", "mean_absolute_prediction")}
    return {"coins": len(table), **means}


def best_and_worst_coins(
    by_coin: pd.DataFrame, model: str, *, count: int = SHOWN_COINS
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the coins with the smallest and those with the largest mean absolute error of a model, the extreme first.

    Only coins with at least MIN_COIN_ROWS tested rows, with full history.

    Args:
        by_coin: Errors per coin, model and view.
        model: Name of the model.
        count: Number of coins of each table.
    """
    own = by_coin[(by_coin["model"] == model) & (by_coin["view"] == WITH_HISTORY)]
    own = own[own["rows"] >= MIN_COIN_ROWS].drop(columns=["model", "view"])
    ranked = own.astype({"coin": str}).sort_values(["mae", "coin"], ignore_index=True)
    return ranked.head(count), ranked.iloc[::-1].head(count).reset_index(drop=True)


def _ratio(value: Array, reference: Array) -> Array:
    ratio: Array = np.divide(value, reference, out=np.full(len(value), np.nan), where=reference > 0)
    return ratio
