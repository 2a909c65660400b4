"""The window features against pandas groupby.rolling and polars rolling_*_by: the same panel, the same numbers.

    python benchmarks/features.py [--rows 3000000]

Ten per cent of the days are missing at random, so that calendar windows and row windows differ. All three give, for five
base quantities, means over 3, 7, 30 and 90 days and sample deviations over 7 and 30 days.
"""

import argparse
import time

import numpy as np
import pandas as pd
import polars as pl
from side_by_side import describe_machine, measure_seconds, print_table

from cryptoliq_assets.features import WindowQuery, calendar_moments
from cryptoliq_assets.schemas import BASE_SERIES, MEAN_WINDOWS, STD_WINDOWS

DAYS = 1500
# The best of so many runs of each: the first ones pay for fresh memory, the one who they are.
REPEAT = 4


def make_panel(rows: int, seed: int = 7) -> pd.DataFrame:
    """About `rows` rows: coins by DAYS days, a tenth of the days missing; sorted by coin and date."""
    rng = np.random.default_rng(seed)
    coins = max(1, round(rows / (0.9 * DAYS)))
    keep = rng.random(coins * DAYS) >= 0.1
    panel = pd.DataFrame(
        {
            "coin": np.repeat(np.arange(coins), DAYS)[keep],
            "date": np.tile(pd.date_range("2018-01-01", periods=DAYS).to_numpy(), coins)[keep],
        }
    )
    for base in BASE_SERIES:
        panel[base] = rng.normal(size=len(panel))
    return panel


def ours(panel: pd.DataFrame) -> dict[str, np.ndarray]:
    days = panel["date"].to_numpy("datetime64[D]").astype(np.int64)
    bases = panel[list(BASE_SERIES)].to_numpy()
    query = WindowQuery.from_history(np.arange(len(panel)), panel["coin"].to_numpy(), days)
    return calendar_moments(query, bases, days=days, bases=bases)


def with_pandas(panel: pd.DataFrame) -> dict[str, np.ndarray]:
    grouped = panel.set_index("date").groupby("coin", sort=False)
    out = {}
    for base in BASE_SERIES:
        for days in MEAN_WINDOWS:
            out[f"{base}_mean_{days}d"] = grouped[base].rolling(f"{days}D").mean().to_numpy()
        for days in STD_WINDOWS:
            out[f"{base}_std_{days}d"] = grouped[base].rolling(f"{days}D").std().to_numpy()
    return out


def with_polars(panel: pl.DataFrame) -> dict[str, np.ndarray]:
    columns = []
    for base in BASE_SERIES:
        value = pl.col(base)
        for days in MEAN_WINDOWS:
            columns.append(value.rolling_mean_by("date", f"{days}d").over("coin").alias(f"{base}_mean_{days}d"))
        for days in STD_WINDOWS:
            columns.append(value.rolling_std_by("date", f"{days}d").over("coin").alias(f"{base}_std_{days}d"))
    return {series.name: series.to_numpy() for series in panel.select(columns)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3_000_000)
    panel = make_panel(parser.parse_args().rows)
    print(f"{describe_machine()}\n{len(panel):,} rows, {panel['coin'].nunique():,} coins")
    ours(panel.head(1000))  # compiled once, as in any process after its first
    started, frame = time.perf_counter(), pl.from_pandas(panel)
    mine_seconds, mine = measure_seconds(lambda: ours(panel), repeat=REPEAT)
    polars_seconds, polars = measure_seconds(lambda: with_polars(frame), repeat=REPEAT)
    pandas_seconds, pandas = measure_seconds(lambda: with_pandas(panel), repeat=REPEAT)
    rows = [("cryptoliq", mine_seconds, 1.0, "")]
    for name, seconds, found in (("polars", polars_seconds, polars), ("pandas", pandas_seconds, pandas)):
        worst = max(float(np.nanmax(np.abs(found[column] - mine[column]))) for column in found)
        rows.append((name, seconds, seconds / mine_seconds, f"{worst:.1e}"))
    print_table("window features", ["", "seconds", "times ours", "largest difference"], rows)
    print(f"\n{time.perf_counter() - started:.0f} s in all; wanted: pandas at least 15 times, polars 5 times, to 1e-9")


if __name__ == "__main__":
    main()
