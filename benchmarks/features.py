"""Speed of the window features compared with pandas groupby.rolling and polars rolling_*_by, on one panel and with equal results.

    python benchmarks/features.py [--rows 3000000]

Ten percent of the days are missing at random, so that calendar windows differ from windows of rows. All three compute, for five
base series, means over 3, 7, 30 and 90 days and sample standard deviations over 7 and 30 days.
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
# Runs of each, of which the fastest counts: the first ones also allocate memory.
REPEAT = 4


def make_panel(rows: int, seed: int = 7) -> pd.DataFrame:
    """Return about `rows` rows of coins on DAYS days, a tenth of which are missing; sorted by coin and date."""
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


def with_cryptoliq(panel: pd.DataFrame) -> dict[str, np.ndarray]:
    """Compute the columns with the functions of the assets."""
    days = panel["date"].to_numpy("datetime64[D]").astype(np.int64)
    bases = panel[list(BASE_SERIES)].to_numpy()
    query = WindowQuery.from_history(np.arange(len(panel)), panel["coin"].to_numpy(), days)
    return calendar_moments(query, bases, days=days, bases=bases)


def with_pandas(panel: pd.DataFrame) -> dict[str, np.ndarray]:
    """Compute the columns with pandas."""
    grouped = panel.set_index("date").groupby("coin", sort=False)
    out = {}
    for base in BASE_SERIES:
        for days in MEAN_WINDOWS:
            out[f"{base}_mean_{days}d"] = grouped[base].rolling(f"{days}D").mean().to_numpy()
        for days in STD_WINDOWS:
            out[f"{base}_std_{days}d"] = grouped[base].rolling(f"{days}D").std().to_numpy()
    return out


def with_polars(panel: pl.DataFrame) -> dict[str, np.ndarray]:
    """Compute the columns with polars."""
    columns = []
    for base in BASE_SERIES:
        value = pl.col(base)
        for days in MEAN_WINDOWS:
            columns.append(value.rolling_mean_by("date", f"{days}d").over("coin").alias(f"{base}_mean_{days}d"))
        for days in STD_WINDOWS:
            columns.append(value.rolling_std_by("date", f"{days}d").over("coin").alias(f"{base}_std_{days}d"))
    return {series.name: series.to_numpy() for series in panel.select(columns)}


def main() -> None:
    """Measure all three and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=3_000_000)
    panel = make_panel(parser.parse_args().rows)
    print(f"{describe_machine()}\n{len(panel):,} rows, {panel['coin'].nunique():,} coins")
    with_cryptoliq(panel.head(1000))  # compiles the kernels, which later processes load
    started, frame = time.perf_counter(), pl.from_pandas(panel)
    own_seconds, own = measure_seconds(lambda: with_cryptoliq(panel), repeat=REPEAT)
    polars_seconds, polars = measure_seconds(lambda: with_polars(frame), repeat=REPEAT)
    pandas_seconds, pandas = measure_seconds(lambda: with_pandas(panel), repeat=REPEAT)
    rows = [("cryptoliq", own_seconds, 1.0, "")]
    for name, seconds, columns in (("polars", polars_seconds, polars), ("pandas", pandas_seconds, pandas)):
        worst = max(float(np.nanmax(np.abs(columns[column] - own[column]))) for column in columns)
        rows.append((name, seconds, seconds / own_seconds, f"{worst:.1e}"))
    print_table("window features", ["", "seconds", "times cryptoliq", "largest difference"], rows)
    print(
        f"\n{time.perf_counter() - started:.0f} s in total; target: pandas at least 15 times and polars 5 times slower, differences below 1e-9"
    )


if __name__ == "__main__":
    main()
