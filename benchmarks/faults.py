"""Injected faults: each must raise its own kind of alert and no other, and ten months without faults must raise none.

    python benchmarks/faults.py [--coins 300] [--days 12] [--real FOLDER] [--seed 7] [--without-files] [--only 'prices']

It runs on a simulated market and, with --real, on the real days of 2021, in two ways. Day by day: feed metrics and diagnosis of all
healthy days, then of each fault on days spread over the year. Through files: a home with a champion is copied for each fault. The
fault is in files of the drop folder, or in the model or the log of the home. The jobs `refresh` and `monitor` run once, and the alert
kinds are those of `monitoring.collect_findings` that are not OK.

It prints both confusion matrices, the detection rate of volume level shifts and their false positive rate. The exit code is 1 if
anything is off the diagonal.
"""

import argparse
import datetime as dt
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from injected import CHANGES, FEED, in_fractions
from injected_homes import HOME_FAULTS, NOTHING, in_order, through_files
from side_by_side import describe_machine, print_table

from cryptoliq_assets.core import Settings, robust_deviation
from cryptoliq_assets.ingestion.parsing import infer_units
from cryptoliq_assets.monitoring import FEED_KINDS
from cryptoliq_assets.monitoring.feed import diagnose_feed, first_date_needed, measure_feed
from cryptoliq_assets.simulation import simulate_market

YEAR_DAYS = 365
# The days before it are the baseline.
FIRST_DAY = 65
# Real volumes fall by 40 % on 12 of 1,290 days, so a shift that was not injected is expected on one day in a hundred. Injected
# shifts are missed on days on which volumes rise.
MAX_FALSE_SHIFTS, MIN_SHIFTS = 0.01, 0.5
# A market move is not a fault; more than one day in thirty would be too many to be informative.
MAX_MOVES = 1 / 30
# A market move on a healthy day is correct if its own 24h column confirms it: the median coin changed by this many robust standard
# deviations of the medians of all days. The monitor compares prices, volumes and volatility with the 60 days before.
MIN_MOVE = 3.0
ACTUAL_MOVES = "nothing, market moved"


def real_market(folder: Path) -> pd.DataFrame:
    """Return the panel of 2021 with the columns of the contract, changes in percent; 1h is unknown."""
    panel = pd.read_parquet(folder / "coingecko_daily_2021.parquet").rename(columns={"volume_24h": "24h_volume"})
    panel = panel[panel["price"] > 0]
    changes = {name: panel[name] * 100.0 for name in ("24h", "7d")}
    return panel.assign(**changes, **{"1h": np.nan}).drop(columns="name").reset_index(drop=True)


def day_by_day(
    market: pd.DataFrame, *, days: int, seed: int, chosen: Sequence[str]
) -> tuple[dict[str, Counter], list[str]]:
    """Diagnose all healthy days, and each chosen fault on some days.

    Args:
        market: Rows of all days.
        days: Number of days on which each fault is injected.
        seed: Seed of the faults.
        chosen: Names of the faults.

    Returns:
        The number of days by fault and raised kind; and the errors, as text.
    """
    settings, rng = Settings(), np.random.default_rng(seed)
    metrics = measure_feed(in_order(market))
    healthy = [diagnose_feed(metrics.iloc[: place + 1], settings) for place in range(FIRST_DAY, len(metrics))]
    table = {NOTHING: Counter(), ACTUAL_MOVES: Counter()}
    changed = median_changes(market)
    for diagnosis in healthy:
        has_moved = diagnosis.raised_kinds == ["market_move"] and changed[pd.Timestamp(diagnosis.date)] >= MIN_MOVE
        table[ACTUAL_MOVES if has_moved else NOTHING].update(diagnosis.raised_kinds or [NOTHING])
    quiet = [diagnosis.date for diagnosis in healthy if not diagnosis.raised_kinds][:-2]
    injected_on = [quiet[place] for place in np.linspace(0, len(quiet) - 1, days).astype(int)]
    for name, (_, inject) in FEED.items():
        if name not in chosen:
            continue
        table[name] = Counter()
        for day in injected_on:
            since = first_date_needed(day, usual_days=settings.feed.baseline_days)
            near = market[market["date"].between(pd.Timestamp(since), pd.Timestamp(day) + pd.Timedelta(days=1))]
            rows = inject(near, pd.Timestamp(day), rng)
            units = {at.date(): "percent" for at in near["date"].unique()}
            if inject is in_fractions:
                rows, units = converted(rows, day), units | {day: unit_of(rows, day)}
            diagnosis = diagnose_feed(
                measure_feed(in_order(rows[rows["date"] <= pd.Timestamp(day)])), settings, units=units
            )
            table[name].update(diagnosis.raised_kinds or [NOTHING])
    shift_rate, false_rate = shift_rates(metrics, settings)
    moves = [
        f"{diagnosis.date} ({changed[pd.Timestamp(diagnosis.date)]:.1f})"
        for diagnosis in healthy
        if "market_move" in diagnosis.raised_kinds
    ]
    print(
        f"  {len(healthy)} healthy days; market moves, with the change of the median coin in robust standard deviations:"
    )
    print(f"  {', '.join(moves) or 'none'}")
    print(
        f"  volume_step: {shift_rate:.0%} of injected shifts detected, {false_rate:.2%} of healthy days are false positives"
    )
    # Volume level shifts are judged by their rates.
    raised = {kind: count for kind, count in table[NOTHING].items() if kind not in (NOTHING, "volume_step")}
    wrong = [f"{NOTHING}: {kind} on {count} healthy days" for kind, count in raised.items()]
    if false_rate > MAX_FALSE_SHIFTS or shift_rate < MIN_SHIFTS:
        wrong.append(f"volume_step: {shift_rate:.0%} detected, {false_rate:.2%} false positives")
    if table[ACTUAL_MOVES]["market_move"] > MAX_MOVES * len(healthy):
        wrong.append(f"{ACTUAL_MOVES}: {table[ACTUAL_MOVES]['market_move']} market moves")
    return table, wrong + off_diagonal(table, days=days)


def median_changes(market: pd.DataFrame) -> pd.Series:
    """Return, by date, the absolute deviation of the median of 24h from its median over all dates, in robust standard deviations."""
    medians = market.groupby("date")["24h"].median()
    return (medians - medians.median()).abs() / robust_deviation(medians.to_numpy())


def unit_of(rows: pd.DataFrame, day: dt.date) -> str:
    """Return the unit that ingestion infers for the file of a day."""
    own = rows[rows["date"] == pd.Timestamp(day)]
    changes = {name: own[name].to_numpy(dtype=float) for name in CHANGES}
    (inferred,) = infer_units(changes, own["price"].to_numpy(), file_of=np.zeros(len(own), dtype=int), files=1)
    return inferred.unit


def converted(rows: pd.DataFrame, day: dt.date) -> pd.DataFrame:
    """Return the rows as ingestion stores them: in percent, regardless of the unit of the day's file."""
    of_day = (rows["date"] == pd.Timestamp(day)) & (unit_of(rows, day) == "fraction")
    return rows.assign(**{name: rows[name].where(~of_day, rows[name] * 100.0) for name in CHANGES})


def shift_rates(metrics: pd.DataFrame, settings: Settings) -> tuple[float, float]:
    """Return the fraction of days with a volume level shift, with an injected one and without."""
    detected, false = [], []
    for place in range(FIRST_DAY, len(metrics)):
        past = metrics.iloc[: place + 1]
        false.append("volume_step" in diagnose_feed(past, settings).raised_kinds)
        # A factor on all volumes shifts the median of their log changes by its logarithm, on the first day only.
        shifted = past.copy()
        shifted.iloc[-2, shifted.columns.get_loc("volume")] += np.log(0.6)
        detected.append("volume_step" in diagnose_feed(shifted, settings).raised_kinds)
    return float(np.mean(detected)), float(np.mean(false))


def off_diagonal(table: dict[str, Counter], *, days: int) -> list[str]:
    """Return the faults that raised another kind or none."""
    wrong = []
    for name, kind in ((name, FEED[name][0]) for name in table if name in FEED):
        others = {raised: count for raised, count in table[name].items() if raised not in (kind, NOTHING)}
        missed = table[name][NOTHING]
        # Volume level shifts are judged by their detection rate.
        if others or (missed and kind != "volume_step"):
            wrong.append(f"{name}: {dict(table[name])} on {days} days, expected {kind}")
    return wrong


def print_confusion(title: str, table: dict[str, Counter]) -> None:
    """Print a confusion matrix of injected faults and raised kinds."""
    expected = {name: kind for name, (kind, _) in {**FEED, **HOME_FAULTS}.items()} | {
        NOTHING: NOTHING,
        ACTUAL_MOVES: "market_move",
    }
    kinds = list(dict.fromkeys([*FEED_KINDS, *(kind for row in table.values() for kind in row if kind != NOTHING)]))
    rows = [(name, expected[name], *(row[kind] or "." for kind in [NOTHING, *kinds])) for name, row in table.items()]
    print_table(title, ["injected", "expected", NOTHING, *kinds], rows)


def main() -> None:
    """Inject all faults and print the confusion matrices."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coins", type=int, default=300, help="Number of coins of the simulated market.")
    parser.add_argument("--days", type=int, default=12, help="Number of days on which each fault is injected.")
    parser.add_argument("--real", type=Path, help="Folder with coingecko_daily_2021.parquet.")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="PART",
        help="Only faults whose names contain this; can be repeated.",
    )
    parser.add_argument(
        "--without-files", action="store_true", help="Only day by day, which takes seconds instead of minutes."
    )
    args = parser.parse_args()
    chosen = [name for name in (*FEED, *HOME_FAULTS) if not args.only or any(part in name for part in args.only)]
    if not chosen:
        parser.error(f"--only {args.only} matches none of {', '.join((*FEED, *HOME_FAULTS))}")
    print(describe_machine(), flush=True)
    yesterday = dt.datetime.now(dt.UTC).date()
    markets = {"simulated": simulate_market(coins=args.coins, days=YEAR_DAYS, end=yesterday, seed=args.seed)}
    if args.real:
        markets["real 2021"] = real_market(args.real)
    wrong = {}
    for name, market in markets.items():
        started = time.perf_counter()
        print(f"\n{name}: {market['coin'].nunique():,} coins, {market['date'].nunique()} days")
        table, errors = day_by_day(market, days=args.days, seed=args.seed, chosen=chosen)
        print_confusion(f"{name}, day by day: number of days", table)
        if not args.without_files:
            with tempfile.TemporaryDirectory() as folder:
                table, of_files = through_files(market, Path(folder), seed=args.seed, chosen=chosen)
            print_confusion(f"{name}, through files and the monitor", table)
            errors += of_files
        print(f"  {time.perf_counter() - started:.0f} s", flush=True)
        if errors:
            wrong[name] = errors
    print("\n" + (json.dumps(wrong, indent=2) if wrong else "everything is on the diagonal"))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
