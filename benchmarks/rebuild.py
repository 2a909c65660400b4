"""Duration of a rebuild of twelve years, from raw files to labels, compared with pandas and polars scripts that validate nothing.

    python benchmarks/rebuild.py [--coins 360] [--days 4400] [--folder DIR]

About a million simulated rows in 4,400 files. `without Dagster` is the work of the project alone: parse, validate, report, archive,
clean, features, labels, write. `through Dagster` is the same work in runs of the job `refresh` on a SQLite instance. The scripts parse
the files, compute score, windows, lags, exponential means and target, and write one Parquet file.
"""

import argparse
import datetime as dt
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from side_by_side import describe_machine, measure_seconds, peak_memory_gb, print_table

import cryptoliq_assets.ingestion.landing.intake as intake_module
import cryptoliq_assets.storage.parquet_store as tables_module
from cryptoliq_assets.cleaning import clean_snapshots
from cryptoliq_assets.core import Settings, add_months, date_span, months_between
from cryptoliq_assets.features import engineer_features
from cryptoliq_assets.ingestion.landing import Intake
from cryptoliq_assets.labels import LABEL_INPUT_COLUMNS, label_targets
from cryptoliq_assets.orchestration import Runner
from cryptoliq_assets.schemas import BASE_SERIES, HALF_LIVES, LAGS, MEAN_WINDOWS, N_LAGGED_SERIES, STD_WINDOWS
from cryptoliq_assets.simulation import simulate_market, write_snapshots
from cryptoliq_assets.storage import TableStore

STAGE_SECONDS: dict[str, float] = defaultdict(float)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Add the seconds of the block to a stage."""
    started = time.perf_counter()
    yield
    STAGE_SECONDS[name] += time.perf_counter() - started


def _measure_function(module: object, name: str, label: str) -> None:
    """Add the seconds of a function to a stage of its own."""
    inner = getattr(module, name)

    def measured(*args: Any, **kwargs: Any) -> Any:
        started = time.perf_counter()
        try:
            return inner(*args, **kwargs)
        finally:
            STAGE_SECONDS[label] += time.perf_counter() - started

    setattr(module, name, measured)


def rebuild_without_dagster(settings: Settings) -> None:
    """Call what the assets call, without Dagster."""
    runner = Runner(settings)
    with stage("list and plan"):
        runner.register_files()
        ranges = runner.plan().ranges
    store = TableStore(settings)
    for first, last in ranges:
        months = months_between(first, last)
        since, until = date_span(months)
        with stage("ingest"):
            ingested = Intake(settings, store).ingest(months)
        with stage("write"):
            store.write("raw_snapshots", ingested.frame, months, sources=ingested.sources)
        with stage("read"):
            raw = store.read("raw_snapshots", months_between(add_months(first, -1), add_months(last, 1)))
        with stage("clean"):
            cleaned, _ = clean_snapshots(raw, since=since, until=until)
        with stage("write"):
            store.write("cleaned_snapshots", cleaned, months)
        with stage("read"):
            cleaned = store.read("cleaned_snapshots", months_between(add_months(first, -3), last))
        with stage("features"):
            features = engineer_features(cleaned, formula=settings.formula, since=since)
        with stage("write"):
            store.write("engineered_features", features, months)
        with stage("read"):
            scores = store.read(
                "engineered_features", months_between(first, add_months(last, 1)), columns=list(LABEL_INPUT_COLUMNS)
            )
        with stage("labels"):
            labels = label_targets(scores, horizon_days=settings.horizon_days, since=since, until=until)
        with stage("write"):
            store.write("labels", labels, months)


def _volatility(r24: pd.Series, r7: pd.Series) -> np.ndarray:
    return np.maximum(np.sqrt(np.where(np.isnan(r7), r24**2, (r24**2 + r7**2 / 7) / 2)), 0.002)


def with_pandas(raw: Path, out: Path) -> int:
    """Compute everything with pandas; return the number of rows."""
    frame = pd.concat([pd.read_csv(path) for path in sorted(raw.glob("*.csv"))], ignore_index=True)
    frame["date"] = pd.to_datetime(frame["date"])
    frame = frame.sort_values(["coin", "date"], ignore_index=True)
    r24 = np.log1p((frame["24h"] / 100).clip(lower=-0.999)).clip(-2, 2)
    r7 = np.log1p((frame["7d"] / 100).clip(lower=-0.999)).clip(-3, 3)
    frame["volume_log"] = np.log(frame["24h_volume"].clip(lower=1))
    frame["volatility_log"] = np.log(_volatility(r24, r7))
    frame["liquidity_score"] = (frame["volume_log"] - 2 * frame["volatility_log"]) / 3 / 12.5
    frame["turnover_log"] = frame["volume_log"] - np.log(frame["mkt_cap"].where(frame["mkt_cap"] > 0))
    frame["change_24h_abs"] = r24.abs()
    grouped = frame.set_index("date").groupby("coin", sort=False)
    by_coin = frame.groupby("coin", sort=False)
    columns = {}
    for base in BASE_SERIES:
        for days in MEAN_WINDOWS:
            columns[f"{base}_mean_{days}d"] = grouped[base].rolling(f"{days}D").mean().to_numpy()
        for days in STD_WINDOWS:
            columns[f"{base}_std_{days}d"] = grouped[base].rolling(f"{days}D").std().to_numpy()
    key = pd.MultiIndex.from_frame(frame[["coin", "date"]])
    for base in list(BASE_SERIES)[:N_LAGGED_SERIES]:
        values = pd.Series(frame[base].to_numpy(), index=key)
        for days in LAGS:
            earlier = pd.MultiIndex.from_arrays([frame["coin"], frame["date"] - pd.Timedelta(days=days)])
            columns[f"{base}_lag_{days}d"] = values.reindex(earlier).to_numpy()
        for half_life in HALF_LIVES:
            columns[f"{base}_ewm_{half_life}d"] = by_coin[base].ewm(halflife=half_life).mean().to_numpy()
    ahead = pd.MultiIndex.from_arrays([frame["coin"], frame["date"] + pd.Timedelta(days=1)])
    columns["target"] = pd.Series(frame["liquidity_score"].to_numpy(), index=key).reindex(ahead).to_numpy()
    pd.concat([frame, pd.DataFrame(columns)], axis=1).to_parquet(out)
    return len(frame)


def with_polars(raw: Path, out: Path) -> int:
    """Compute everything with polars; return the number of rows."""
    frame = pl.concat(
        [pl.read_csv(path, infer_schema_length=None) for path in sorted(raw.glob("*.csv"))], how="vertical_relaxed"
    )
    frame = frame.with_columns(pl.col("date").str.to_date()).sort("coin", "date")
    r24 = (1 + (pl.col("24h") / 100).clip(-0.999, None)).log().clip(-2, 2)
    r7 = (1 + (pl.col("7d") / 100).clip(-0.999, None)).log().clip(-3, 3)
    squares = pl.when(r7.is_null()).then(r24**2).otherwise((r24**2 + r7**2 / 7) / 2)
    frame = frame.with_columns(
        volume_log=pl.col("24h_volume").clip(1, None).log(),
        volatility_log=squares.sqrt().clip(0.002, None).log(),
        change_24h_abs=r24.abs(),
    ).with_columns(
        liquidity_score=(pl.col("volume_log") - 2 * pl.col("volatility_log")) / 3 / 12.5,
        turnover_log=pl.col("volume_log") - pl.when(pl.col("mkt_cap") > 0).then(pl.col("mkt_cap")).log(),
    )
    columns = []
    for base in BASE_SERIES:
        value = pl.col(base)
        for days in MEAN_WINDOWS:
            columns.append(value.rolling_mean_by("date", f"{days}d").over("coin").alias(f"{base}_mean_{days}d"))
        for days in STD_WINDOWS:
            columns.append(value.rolling_std_by("date", f"{days}d").over("coin").alias(f"{base}_std_{days}d"))
    for base in list(BASE_SERIES)[:N_LAGGED_SERIES]:
        for half_life in HALF_LIVES:
            smooth = pl.col(base).ewm_mean_by("date", half_life=f"{half_life}d").over("coin")
            columns.append(smooth.alias(f"{base}_ewm_{half_life}d"))
    wide = frame.with_columns(columns)
    for days in (*(-lag for lag in LAGS), 1):
        names = list(BASE_SERIES)[:N_LAGGED_SERIES] if days < 0 else ["liquidity_score"]
        moved = frame.select(
            "coin", pl.col("date").dt.offset_by(f"{-days}d"), *(pl.col(n).alias(f"{n}_at_{days}") for n in names)
        )
        wide = wide.join(moved, on=["coin", "date"], how="left")
    wide.write_parquet(out)
    return len(wide)


def main() -> None:
    """Measure all four and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coins", type=int, default=360)
    parser.add_argument("--days", type=int, default=4400)
    parser.add_argument(
        "--folder", type=Path, default=None, help="Folder for files and homes; default: a temporary one."
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        market = simulate_market(coins=args.coins, days=args.days, end=dt.date(2025, 1, 31), seed=7)
        homes = {kind: Settings(home_dir=folder / kind) for kind in ("work", "dagster")}
        for settings in homes.values():
            write_snapshots(market, settings.raw_dir)
        rows = len(market)
        del market
        print(f"{describe_machine()}\n{rows:,} rows in {args.days:,} files", flush=True)
        raw = homes["work"].raw_dir
        polars_seconds, _ = measure_seconds(lambda: with_polars(raw, folder / "polars.parquet"))
        pandas_seconds, _ = measure_seconds(lambda: with_pandas(raw, folder / "pandas.parquet"))
        runner = Runner(homes["dagster"])
        runner.register_files()
        dagster_seconds, _ = measure_seconds(lambda: runner.refresh(runner.plan().ranges))
        memory = peak_memory_gb()
        _measure_function(intake_module, "parse_contents", "  of ingest: parse")
        _measure_function(intake_module, "write_files", "  of ingest: archive and reports")
        _measure_function(tables_module, "validate_table", "  of write: Pandera validation")
        _measure_function(tables_module, "encode_sealed", "  of write: encode (two threads)")
        _measure_function(tables_module, "write_months", "  of write: to disk, synced")
        work_seconds, _ = measure_seconds(lambda: rebuild_without_dagster(homes["work"]))
    rows = [
        ("plain polars", polars_seconds, polars_seconds / pandas_seconds),
        ("plain pandas", pandas_seconds, 1.0),
        ("cryptoliq without Dagster", work_seconds, work_seconds / pandas_seconds),
        ("cryptoliq through Dagster", dagster_seconds, dagster_seconds / pandas_seconds),
    ]
    print_table("raw files to labels", ["", "seconds", "times pandas"], rows)
    print_table("cryptoliq without Dagster, by stage", ["", "seconds"], list(STAGE_SECONDS.items()))
    fraction = STAGE_SECONDS["  of write: Pandera validation"] / work_seconds
    print(f"\nDagster: {dagster_seconds - work_seconds:.1f} s; Pandera: {fraction:.0%} of the time without Dagster")
    print(f"peak memory through Dagster: {memory:.1f} GB (the scripts ran in the same process)")
    print("target: at most 1.0 times pandas without Dagster, 2.0 times through it; Pandera at most 25 %; under 3 GB")


if __name__ == "__main__":
    main()
