"""Preprocess and train on files outside a data directory: the functions of the assets, without tables, audit log or Dagster.

A preprocessed file has one row per cleaned row: the contract's columns, flags, features and targets. A trained model is an
artifact with its metadata: MODEL.pkl and MODEL.json. What the assets do belongs in `modeling.training`.
"""

import datetime as dt
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cryptoliq_assets.core import Settings, read_json_object, read_stored, to_json, write_chunks, write_files
from cryptoliq_assets.ingestion.landing import dry_run_file
from cryptoliq_assets.modeling.estimators import next_version_key
from cryptoliq_assets.modeling.registry import ModelRejectedError, library_versions, load_model, sha256_of, to_bytes
from cryptoliq_assets.storage import CSV, EXPORT_COLUMNS, PARQUET, encode_months, sort_rows

Progress = Callable[[str], None]
_CLEANED = ("filled_forward", "filled_backward")
_LABELS = ("target_date", "horizon_days", "target_score", "trainable")


class FilesRejectedError(ValueError):
    """Files outside a data directory that cannot be used; the message states file, reason and what to do."""


@dataclass(frozen=True)
class Preprocessed:
    """Preprocessed files.

    Attributes:
        rows: One row per cleaned row.
        rejected: Reason by rejected file.
        files: Number of files read.
    """

    rows: pd.DataFrame
    rejected: dict[str, str]
    files: int


def snapshot_files(path: Path) -> list[Path]:
    """Return the file itself, or the CSV files of a folder sorted by name; raises FilesRejectedError without any."""
    files = [path] if not path.is_dir() else sorted(file for file in path.iterdir() if file.suffix.lower() == ".csv")
    if not files:
        raise FilesRejectedError(f"{path}: contains no *.csv file; expected snapshots named coingecko_YYYYMMDD.csv")
    return files


def preprocess_files(
    paths: Sequence[Path], settings: Settings, *, today: dt.date, progress: Progress = lambda message: None
) -> Preprocessed:
    """Validate, clean, engineer and label snapshot files; for duplicate (coin, date) rows the later file name wins.

    Args:
        paths: The snapshot files.
        settings: Limits, formula and horizon.
        today: Latest date that is allowed.
        progress: Called with a message about each step.

    Raises:
        FilesRejectedError: No file is accepted; the message has the reason of each.
    """
    from cryptoliq_assets.cleaning import clean_snapshots
    from cryptoliq_assets.features import engineer_features
    from cryptoliq_assets.labels import label_targets

    tables: list[pa.Table] = []
    rejected: dict[str, str] = {}
    for number, path in enumerate(paths, 1):
        snapshot = dry_run_file(path, settings, today=today)
        if snapshot.rows is None:
            rejected[str(path)] = str(snapshot.rejection)
        else:
            tables.append(snapshot.rows)
        progress(f"read {number:,} of {len(paths):,} files")
    if not tables:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in rejected.items())
        raise FilesRejectedError(f"no file is accepted: {reasons}")
    raw = pa.concat_tables(tables, promote_options="permissive").to_pandas()
    raw = raw.drop_duplicates(["coin", "date"], keep="last").astype({"coin": "category", "symbol": "category"})
    raw = sort_rows(raw).reset_index(drop=True)
    since, until = raw["date"].min(), raw["date"].max()
    progress("cleaning")
    cleaned, _ = clean_snapshots(raw, since=since, until=until)
    progress("engineering features")
    features = engineer_features(cleaned, formula=settings.formula)
    progress("labelling")
    labels = label_targets(features, horizon_days=settings.horizon_days, since=since, until=until)
    rows = pd.concat([cleaned, features.drop(columns=list(cleaned.columns), errors="ignore")], axis=1)
    rows = rows.assign(**{name: labels[name] for name in _LABELS}, mkt_cap_sqrt=np.sqrt(rows["mkt_cap"]))
    rows = rows[[*EXPORT_COLUMNS, *(name for name in rows.columns if name not in EXPORT_COLUMNS)]]
    return Preprocessed(rows, rejected, len(paths))


def write_rows(path: Path, rows: pd.DataFrame) -> Path:
    """Write preprocessed rows as Parquet if the name ends in .parquet, otherwise as CSV; in a folder as engineered_features.csv."""
    target = path / "engineered_features.csv" if path.is_dir() or not path.suffix else path
    write_chunks(target, encode_months([rows], format=PARQUET if target.suffix == ".parquet" else CSV))
    return target


def read_rows(path: Path) -> pd.DataFrame:
    """Read preprocessed rows; raises FilesRejectedError if the file cannot be read or lacks columns."""
    target = path / "engineered_features.csv" if path.is_dir() else path
    try:
        rows = pq.read_table(target).to_pandas() if target.suffix == ".parquet" else _read_csv(target)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise FilesRejectedError(
            f"{target} cannot be read ({error}); expected what `cryptoliq preprocess --input … --out` writes"
        ) from error
    missing = [name for name in (*EXPORT_COLUMNS, *_CLEANED, *_LABELS, "sound") if name not in rows.columns]
    if missing:
        raise FilesRejectedError(
            f"{target}: columns are missing: {', '.join(missing)}; expected what `cryptoliq preprocess --input … --out` writes"
        )
    for name in ("date", "target_date"):
        rows[name] = pd.to_datetime(rows[name]).astype("datetime64[ns]")
    return sort_rows(rows.astype({"coin": "category", "symbol": "category"})).reset_index(drop=True)


def train_rows(rows: pd.DataFrame, settings: Settings, *, progress: Progress) -> tuple[Any, dict[str, Any]]:
    """Evaluate the candidates on preprocessed rows and fit the best one on all of them.

    The promotion criteria of a data directory do not apply, because there is no champion to compare with.

    Args:
        rows: Rows of `preprocess_files`.
        settings: Formula, horizon and folds.
        progress: Called with a message about each step.

    Returns:
        The model and its metadata.

    Raises:
        FilesRejectedError: Nothing can be trained on.
    """
    from cryptoliq_assets.modeling.datasets import build_training_set, make_folds
    from cryptoliq_assets.modeling.estimators import CANDIDATES, fit_spec
    from cryptoliq_assets.modeling.evaluation import BASELINES, evaluate, evaluate_baseline, make_leaderboard
    from cryptoliq_assets.modeling.registry import model_metadata

    try:
        table = build_training_set(rows, rows, cleaned=rows, formula=settings.formula)
        folds = make_folds(
            table,
            count=settings.cv.n_splits,
            first_origin=settings.cv.first_test_date,
            min_train_dates=settings.cv.min_train_dates,
        )
    except (ValueError, KeyError) as error:
        raise FilesRejectedError(f"nothing can be trained: {error}") from error
    seed, device = settings.seed, settings.xgboost_device
    evaluations = [
        evaluate(spec, table, folds, progress=progress, seed=seed, device=device) for spec in CANDIDATES.values()
    ]
    baselines = [evaluate_baseline(name, table, folds) for name in BASELINES]
    now = dt.datetime.now(dt.UTC)
    board = make_leaderboard(
        [*evaluations, *baselines],
        generated_at=now.isoformat(timespec="seconds"),
        horizon_days=table.horizon_days,
        formula=settings.formula,
        known_until=str(table.target_date.max()),
    )
    best = CANDIDATES[board["candidates"][0]["name"]]
    evaluation = next(each for each in evaluations if each.name == best.name)
    progress(f"{best.name}: fitting on all {len(table):,} rows")
    model = fit_spec(best, table, seed=seed, device=device)
    metadata = model_metadata(best, table, board, evaluation=evaluation, level=settings.intervals.coverage, at=now)
    return model, metadata


def write_model(path: Path, model: Any, metadata: dict[str, Any]) -> dict[str, Any]:
    """Write the artifact and its metadata, and return the metadata as stored.

    Args:
        path: File of the artifact; the metadata is written beside it.
        model: The fitted model.
        metadata: Metadata of `train_rows`.

    Raises:
        ModelRejectedError: The loader would reject the model.
    """
    from cryptoliq_assets.modeling.registry import check_fields

    content, now = to_bytes(model), dt.datetime.now(dt.UTC)
    version, model_version = next_version_key(model.NAME, now.date().isoformat(), keys=(), model_versions=())
    stored: dict[str, Any] = {
        "model_name": model.NAME,
        "version": version,
        "model_version": model_version,
        **metadata,
        "sha256": sha256_of(content),
        "libraries": library_versions(),
        "promoted_at": now.isoformat(),
        "promotion_reason": "trained on a file outside a data directory",
    }
    stored = json.loads(to_json(stored))
    check_fields(stored)
    load_model(content, stored, expected_sha256=stored["sha256"])
    write_files({path: content, metadata_path(path): to_json(stored).encode("utf-8")})
    return stored


def read_model(path: Path) -> Any:
    """Load the model of a trained file through the checks of the model loader.

    Raises:
        ModelRejectedError: A check failed; the message states the reason.
    """
    from cryptoliq_assets.modeling.inference import Champion
    from cryptoliq_assets.modeling.registry import LoadedModel, check_fields

    try:
        metadata = read_json_object(metadata_path(path))
        content = read_stored(path)
    except (OSError, ValueError) as error:
        raise ModelRejectedError(
            f"{path} cannot be read ({error}); it needs {metadata_path(path).name} in the same folder"
        ) from error
    check_fields(metadata)
    # Without an audit log, the checksum detects a damaged file, not a forged one.
    return Champion(LoadedModel(load_model(content, metadata, expected_sha256=metadata.get("sha256")), metadata))


def metadata_path(path: Path) -> Path:
    """Return the path of the metadata of a trained file."""
    return path.with_suffix(".json")


def _read_csv(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False, na_values=[""], float_precision="round_trip", low_memory=False)
