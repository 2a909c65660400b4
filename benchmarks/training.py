"""Peak memory and time of a training on N rows: the 2021 panel, repeated under other coins and dates.

    python benchmarks/training.py --rows 600000 [--rows 1000000 ...] [--panel PANEL] [--folder DIR] [--candidates NAME,NAME]

PANEL is a Parquet file with columns coin, symbol, date, price, volume_24h, mkt_cap, 24h, 7d (the last two as fractions); default:
CRYPTOLIQ_REAL_DATA/coingecko_daily_2021.parquet, or a simulated one of the same form where that file is absent. Copy k of the panel has other coin names and is dated k modulo 4 years earlier.
The last copy has only as many coins as make N rows. The tables are written without Dagster, and kept in --folder if it is given.

Each size is trained in a fresh process, by the functions of the model assets in their order. Every part has its own peak: the
high-water mark of the resident memory (VmHWM in /proc/self/status), which is reset before it. CPU seconds are those of all
threads: they depend less on what else the machine does. KB per row are those of the
largest part, above the memory of the process before it read anything.
"""

import argparse
import contextlib
import datetime as dt
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from side_by_side import describe_machine, print_table

from cryptoliq_assets.core import Settings

PANEL = "coingecko_daily_2021.parquet"
COLUMNS = ("seconds", "CPU seconds", "CPU µs per row", "peak MB", "KB per row")
YEARS = 4
_YEAR = pd.Timedelta(days=365)


def read_panel(path: Path) -> pd.DataFrame:
    """Read the panel without the rows that ingest rejects; simulate one where the file does not exist."""
    if path.exists():
        panel = pd.read_parquet(path)
    else:
        from cryptoliq_assets.simulation import simulate_market

        print(f"{path} does not exist: the panel is simulated", flush=True)
        panel = simulate_market(coins=200, days=365, end=dt.date(2021, 12, 31), seed=7)
        panel = panel.rename(columns={"24h_volume": "volume_24h"})
        panel[["24h", "7d"]] /= 100.0
    panel["date"] = pd.to_datetime(panel["date"]).dt.normalize().astype("datetime64[ns]")
    return panel[(panel["price"] >= 1e-18) & (panel["mkt_cap"].fillna(0.0) >= 0.0)]


def make_copy(panel: pd.DataFrame, number: int) -> pd.DataFrame:
    """Return the raw rows of one copy of the panel, sorted by coin and date."""
    name = panel["coin"].astype(str) + (f" {number}" if number else "")
    values = {
        "coin": name.astype("category"),
        "symbol": panel["symbol"].astype(str).astype("category"),
        "date": panel["date"] - (number % YEARS) * _YEAR,
        "price": panel["price"],
        "1h": np.full(len(panel), np.nan),
        "24h": 100.0 * panel["24h"],
        "7d": 100.0 * panel["7d"],
        "24h_volume": panel["volume_24h"],
        "mkt_cap": panel["mkt_cap"],
        "liquidity_ratio": np.nan,
        "price_change_24h": np.nan,
    }
    return pd.DataFrame(values).sort_values(["coin", "date"], ignore_index=True)


def make_copies(panel: pd.DataFrame, rows: int) -> Iterator[tuple[int, pd.DataFrame]]:
    """Yield the numbers of the copies and their raw rows, together at least `rows`."""
    counts = panel["coin"].value_counts().sample(frac=1.0, random_state=7)
    for number in range(-(-rows // len(panel))):
        missing = rows - number * len(panel)
        chosen = counts.index[: int((counts.cumsum() < missing).sum()) + 1]
        yield number, make_copy(panel if missing >= len(panel) else panel[panel["coin"].isin(chosen)], number)


def write_tables(settings: Settings, panel: Path, rows: int) -> None:
    """Write the cleaned rows, features and labels of `rows` raw rows, year by year."""
    from cryptoliq_assets.cleaning import clean_snapshots
    from cryptoliq_assets.core import add_months, date_span, month_of, months_between
    from cryptoliq_assets.features import engineer_features
    from cryptoliq_assets.labels import LABEL_INPUT_COLUMNS, label_targets
    from cryptoliq_assets.storage import TableStore, sort_rows

    store = TableStore(settings)
    copies = list(make_copies(read_panel(panel), rows))
    dates = pd.concat([copy["date"] for _, copy in copies])
    months = months_between(month_of(dates.min().date()), month_of(dates.max().date()))
    for start in range(0, len(months), 6):
        chosen = months[start : start + 6]
        since, until = date_span(chosen)
        span = (since - pd.Timedelta(days=9), until + pd.Timedelta(days=1))
        near = [rows for _, copy in copies if len(rows := copy[copy["date"].between(*span)])]
        near = sort_rows(pd.concat(near, ignore_index=True).astype({"coin": "category", "symbol": "category"}))
        cleaned, _ = clean_snapshots(near, since=since, until=until)
        store.write("cleaned_snapshots", cleaned, chosen)
    for start in range(0, len(months), 6):
        chosen = months[start : start + 6]
        since, until = date_span(chosen)
        cleaned = store.read("cleaned_snapshots", months_between(add_months(chosen[0], -3), chosen[-1]))
        store.write("engineered_features", engineer_features(cleaned, formula=settings.formula, since=since), chosen)
    for start in range(0, len(months), 6):
        chosen = months[start : start + 6]
        since, until = date_span(chosen)
        read = months_between(chosen[0], add_months(chosen[-1], 1))
        features = store.read("engineered_features", read, columns=list(LABEL_INPUT_COLUMNS))
        labels = label_targets(features, horizon_days=settings.horizon_days, since=since, until=until)
        store.write("labels", labels, chosen)


def resident_mb(key: str = "VmRSS") -> float:
    """Return a line of /proc/self/status, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{key}:")) / 1024


def train(settings: Settings, candidates: list[str]) -> dict[str, Any]:
    """Train as the model assets do; returns seconds and peak of each part, and the skills."""
    from cryptoliq_assets import modeling
    from cryptoliq_assets.modeling.estimators import CANDIDATES
    from cryptoliq_assets.modeling.registry import load_candidate, save_candidate
    from cryptoliq_assets.storage import TableStore

    store, folder = TableStore(settings), settings.models_dir / "candidates"
    parts: dict[str, tuple[float, float, float]] = {}
    base = resident_mb()

    @contextlib.contextmanager
    def part(name: str) -> Iterator[None]:
        Path("/proc/self/clear_refs").write_text("5")
        started, used = time.perf_counter(), time.process_time()
        yield
        parts[name] = (time.perf_counter() - started, time.process_time() - used, resident_mb("VmHWM"))
        seconds, cpu, memory = parts[name]
        print(f"  {name}: {seconds:.1f} s, CPU {cpu:.1f} s, {memory:,.0f} MB", file=sys.stderr, flush=True)

    if hasattr(modeling, "update_views"):
        with part("views"):
            modeling.update_views(settings, store)
    with part("rows"):
        rows, _ = modeling.training_rows(settings, store)
    names = [name for name in CANDIDATES if name in candidates]
    skills = {}
    for name in names:
        with part(name):
            fitted = modeling.fit_candidate(
                name, settings, store=store, progress=lambda line: print("   ", line, file=sys.stderr, flush=True)
            )
            save_candidate(folder, name, fitted)
        skills[name] = fitted.evaluation.skill()
        del fitted
    with part("backtest"):
        modeling.save_backtest([load_candidate(folder, name) for name in names], settings, store=store)
    with part("leaderboard"):
        board = modeling.rank_candidates(
            [load_candidate(folder, name) for name in names], settings, store=store, progress=lambda line: None
        )
    with part("champion and card"):
        modeling.choose_champion(
            board,
            [load_candidate(folder, name) for name in names],
            settings=settings,
            tables=store,
            progress=lambda line: None,
            warn=lambda line: None,
        )
    return {"rows": len(rows), "base": base, "parts": parts, "skills": skills}


def measure(home: Path, candidates: str) -> dict[str, Any]:
    """Train a home in a process of its own."""
    command = [sys.executable, __file__, "--child", str(home), "--candidates", candidates]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, action="append", help="Rows of the panel; can be repeated.")
    parser.add_argument("--panel", type=Path, default=Path(os.environ.get("CRYPTOLIQ_REAL_DATA", ".")) / PANEL)
    parser.add_argument("--folder", type=Path, help="Where the data directories are made and kept.")
    parser.add_argument("--candidates", default="linear_regression,random_forest,xgboost")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        print(json.dumps(train(Settings(home_dir=args.child), args.candidates.split(","))))
        return
    print(f"{describe_machine()}, load average {os.getloadavg()[0]:.2f}", flush=True)
    results = []
    with tempfile.TemporaryDirectory(prefix="cryptoliq-training-") as temporary:
        for rows in args.rows or [600_000]:
            home = (args.folder or Path(temporary)) / f"rows-{rows}"
            if not home.exists():
                write_tables(Settings(home_dir=home), args.panel, rows)
            results.append(measure(home, args.candidates))
            report(results[-1])
    if len(results) > 1:
        summary = [(f"{one['rows']:,}", *totals(one)) for one in results]
        print_table("all sizes", ["trainable rows", *COLUMNS], summary)
        first, last = results[0], results[-1]
        growth = 1024 * (totals(last)[3] - totals(first)[3]) / (last["rows"] - first["rows"])
        print(f"\npeak memory grows by {growth:.2f} KB per row; load average {os.getloadavg()[0]:.2f}")


def totals(result: dict[str, Any]) -> tuple[float, float, float, float, float]:
    """Return the values of COLUMNS for a whole training."""
    seconds, cpu = (sum(part[place] for part in result["parts"].values()) for place in (0, 1))
    return columns_of(result, (seconds, cpu, max(part[2] for part in result["parts"].values())))


def columns_of(result: dict[str, Any], part: tuple[float, float, float]) -> tuple[float, float, float, float, float]:
    """Return the values of COLUMNS for seconds, CPU seconds and peak in MB."""
    seconds, cpu, peak = part
    return seconds, cpu, 1e6 * cpu / result["rows"], peak, 1024 * (peak - result["base"]) / result["rows"]


def report(result: dict[str, Any]) -> None:
    """Print the parts of one training."""
    lines = [(name, *columns_of(result, part)) for name, part in result["parts"].items()]
    lines.append(("all", *totals(result)))
    print_table(f"{result['rows']:,} trainable rows; load average {os.getloadavg()[0]:.2f}", ["", *COLUMNS], lines)
    skills = (f"{name} {value:.4f}" for name, value in result["skills"].items() if value is not None)
    print(f"skill: {', '.join(skills)}", flush=True)


if __name__ == "__main__":
    main()
