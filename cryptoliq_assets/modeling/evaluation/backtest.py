"""The backtest as one Parquet file, a row group a model: what every candidate and baseline said out of fold.

Beside it what that is worth coin by coin, a second and far smaller file.

What a model is worth coin by coin: the measures of the leaderboard, over each coin's own tested rows.
"""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cryptoliq_assets.core import FileReadError, open_stored, write_files
from cryptoliq_assets.modeling.datasets import TrainingSet
from cryptoliq_assets.modeling.estimators import PERSISTENCE
from cryptoliq_assets.modeling.evaluation.cross_validation import Evaluation, har_reference, out_of_fold
from cryptoliq_assets.schemas import BACKTEST, BACKTEST_BY_COIN, BUCKETS, VIEWS, WITH_HISTORY, Table
from cryptoliq_assets.storage import add_checksum, validate_table, verify_checksum

_PREVIEW_ROWS = 3


@dataclass(frozen=True)
class BacktestSummary:
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


def write_backtest(path: Path, evaluations: Iterable[Evaluation], rows: TrainingSet) -> BacktestSummary:
    """Validate the out-of-fold forecasts, model by model, and write them whole or not at all; beside them, as
    BACKTEST_BY_COIN.path, what they are worth coin by coin.

    Raises InvalidTableError before anything is written when a forecast breaks the model, ValueError for a model said twice.
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
    return BacktestSummary(
        rows=counts,
        preview=pd.concat(tails, ignore_index=True),
        daily_mae=pd.DataFrame(daily).sort_index(),
        by_coin=by_coin,
        best=min(ranks)[-1],
    )


def read_backtest(path: Path, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The stored backtest, text columns categorical.

    Raises FileNotFoundError where nothing was trained yet, FileReadError for a file that does not hold what was written.
    """
    return _read(BACKTEST, path, columns)


def read_by_coin(path: Path, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The stored measures by (coin, model, view), likewise."""
    return _read(BACKTEST_BY_COIN, path, columns)


def smooth_daily(daily: pd.DataFrame, *, days: int = 7) -> dict[str, np.ndarray]:
    """Each column's mean over `days` calendar days: a day's error is its market's, more than its model's."""
    calm = daily.rolling(f"{days}D").mean()
    return {str(name): calm[name].to_numpy() for name in calm}


def check_backtest(path: Path) -> None:
    """Compare one of the two files with the digest that was written with it; raises as `read_backtest` does."""
    try:
        with open_stored(path) as handle:
            verify_checksum(handle, path)
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


def _damaged(path: Path, error: Exception) -> FileReadError:
    reason = str(error).removeprefix(f"{path}: ")
    return FileReadError("damaged", f"{path} is damaged: {reason}; remove it, `cryptoliq train` writes it again")


def _sealed(buffer: io.BytesIO) -> bytes:
    return b"".join(add_checksum(memoryview(buffer.getvalue())))


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


# A coin's mean error over fewer days than this is a tale of those days.
MIN_COIN_ROWS = 5
SHOWN_COINS = 5


def measure_coins(evaluation: Evaluation, rows: TrainingSet, *, view: str = WITH_HISTORY) -> pd.DataFrame:
    """One row a coin, worst mean absolute error first, all folds together.

    Columns: coin, model, view, bucket (of the coin's last row), rows, skill, mae, mean_absolute_prediction, rmse, r2,
    mae_vs_persistence, mae_vs_har, bias (forecast less realised); as in `metrics.MEASURES`, NaN where undefined. Persistence has today's
    whole score whatever the view, HAR what the view shows.
    """
    codes, place = np.unique(rows.coins[evaluation.rows], return_inverse=True)
    order = np.lexsort((rows.date[evaluation.rows], place))
    count = np.bincount(place)
    starts = np.cumsum(count) - count
    realised = rows.y[evaluation.rows][order]
    forecast = evaluation.forecasts[view][order]
    naive, har = (np.abs(evaluation.references[name][order] - realised) for name in (PERSISTENCE, har_reference(view)))

    def mean(values: np.ndarray) -> np.ndarray:
        return np.add.reduceat(values, starts) / count

    error = forecast - realised
    absolute, squared = mean(np.abs(error)), mean(error**2)
    varies = np.maximum.reduceat(realised, starts) > np.minimum.reduceat(realised, starts)
    variance = np.where(varies, mean((realised - np.repeat(mean(realised), count)) ** 2), 0.0)
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


def measure_coins_of_views(evaluation: Evaluation, rows: TrainingSet) -> pd.DataFrame:
    """`measure_coins` of every view, one below the other: one row a (coin, view)."""
    return pd.concat([measure_coins(evaluation, rows, view=view) for view in VIEWS], ignore_index=True)


def average_over_coins(evaluation: Evaluation, rows: TrainingSet) -> dict[str, float | int]:
    """The mean over coins of each coin's mean absolute error and mean absolute prediction: every coin weighs the same."""
    table = measure_coins(evaluation, rows)
    means = {name: float(table[name].mean()) for name in ("mae", "mean_absolute_prediction")}
    return {"coins": len(table), **means}


def best_and_worst_coins(
    by_coin: pd.DataFrame, model: str, *, count: int = SHOWN_COINS
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The coins that a model forecasts with the least and with the largest mean absolute error, the extreme first.

    Of coins with at least MIN_COIN_ROWS tested rows, all their history at hand.
    """
    own = by_coin[(by_coin["model"] == model) & (by_coin["view"] == WITH_HISTORY)]
    own = own[own["rows"] >= MIN_COIN_ROWS].drop(columns=["model", "view"])
    ranked = own.astype({"coin": str}).sort_values(["mae", "coin"], ignore_index=True)
    return ranked.head(count), ranked.iloc[::-1].head(count).reset_index(drop=True)


def _ratio(value: np.ndarray, reference: np.ndarray) -> np.ndarray:
    return np.divide(value, reference, out=np.full(len(value), np.nan), where=reference > 0)
