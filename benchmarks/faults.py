"""Injected faults: each must raise its own class and no other, and ten healthy months none.

    python benchmarks/faults.py [--coins 300] [--days 12] [--real FOLDER] [--seed 7] [--without-files] [--only 'prices']

Twice the same, on a simulated market and on the real days of 2021 (where --real has them). Day by day: vital signs and
verdicts of all healthy days, then each fault on days spread over the year. Through files: a home with a champion, copied for
each fault; the fault is in files of the drop folder, or in the home's model or log; the real pipeline, `refresh` and `monitor`,
is gone once; what `monitoring.collect_findings` then has that the healthy home had not, was raised.

--only chooses faults by a part of their names.

Prints both confusion tables, and how often a step of volumes is seen and seen where none is. Exit code 1 where anything is off
the diagonal.
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
# The days before say what is usual.
FIRST_DAY = 65
# Real volumes fall by 40 % on 12 of 1,290 days: a step that was not injected is expected on one day in a hundred. And of the
# injected ones those are missed that a busier day hides.
MOST_FALSE_STEPS, LEAST_STEPS = 0.01, 0.5
# A move of the market is no fault; a market that moves on one day in thirty does not say much.
MOST_MOVES = 1 / 30
# A healthy day may count as a move if its own 24h column shows one: the median coin changed by as many robust
# deviations of all the days' medians. The monitor looks at prices, volumes and volatility against the 60 days before.
LEAST_MOVE = 3.0
OWN_MOVES = "nothing, on days of a move"


def real_market(folder: Path) -> pd.DataFrame:
    """The panel of 2021 with the contract's columns, changes in percent; 1h is not known."""
    panel = pd.read_parquet(folder / "coingecko_daily_2021.parquet").rename(columns={"volume_24h": "24h_volume"})
    panel = panel[panel["price"] > 0]
    changes = {name: panel[name] * 100.0 for name in ("24h", "7d")}
    return panel.assign(**changes, **{"1h": np.nan}).drop(columns="name").reset_index(drop=True)


def day_by_day(
    market: pd.DataFrame, *, days: int, seed: int, chosen: Sequence[str]
) -> tuple[dict[str, Counter], list[str]]:
    """What is raised for each of the chosen faults on `days` days, and for nothing on all; and what is wrong with that."""
    settings, rng = Settings(), np.random.default_rng(seed)
    signs = measure_feed(in_order(market))
    healthy = [diagnose_feed(signs.iloc[: place + 1], settings) for place in range(FIRST_DAY, len(signs))]
    table = {NOTHING: Counter(), OWN_MOVES: Counter()}
    changed = median_changes(market)
    for verdict in healthy:
        own = verdict.raised_kinds == ["market_move"] and changed[pd.Timestamp(verdict.date)] >= LEAST_MOVE
        table[OWN_MOVES if own else NOTHING].update(verdict.raised_kinds or [NOTHING])
    calm = [verdict.date for verdict in healthy if not verdict.raised_kinds][:-2]
    injected_on = [calm[place] for place in np.linspace(0, len(calm) - 1, days).astype(int)]
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
            verdict = diagnose_feed(
                measure_feed(in_order(rows[rows["date"] <= pd.Timestamp(day)])), settings, units=units
            )
            table[name].update(verdict.raised_kinds or [NOTHING])
    steps_seen, steps_false = step_rates(signs, settings)
    moves = [
        f"{verdict.date} ({changed[pd.Timestamp(verdict.date)]:.1f})"
        for verdict in healthy
        if "market_move" in verdict.raised_kinds
    ]
    print(
        f"  {len(healthy)} healthy days; moves of the market's own, and how far its median coin went in robust deviations:"
    )
    print(f"  {', '.join(moves) or 'none'}")
    print(f"  volume_step: {steps_seen:.0%} of injected steps seen, {steps_false:.2%} of healthy days called one")
    # Steps of volumes are judged by their rates.
    raised = {kind: count for kind, count in table[NOTHING].items() if kind not in (NOTHING, "volume_step")}
    wrong = [f"{NOTHING}: {kind} on {count} healthy days" for kind, count in raised.items()]
    if steps_false > MOST_FALSE_STEPS or steps_seen < LEAST_STEPS:
        wrong.append(f"volume_step: {steps_seen:.0%} seen, {steps_false:.2%} false")
    if table[OWN_MOVES]["market_move"] > MOST_MOVES * len(healthy):
        wrong.append(f"{OWN_MOVES}: {table[OWN_MOVES]['market_move']} market moves")
    return table, wrong + off_diagonal(table, days=days)


def median_changes(market: pd.DataFrame) -> pd.Series:
    """By date: the median of 24h, from its own median over all dates, in robust deviations; without sign."""
    medians = market.groupby("date")["24h"].median()
    return (medians - medians.median()).abs() / robust_deviation(medians.to_numpy())


def unit_of(rows: pd.DataFrame, day: dt.date) -> str:
    """The unit that the way in would find in this day's file."""
    own = rows[rows["date"] == pd.Timestamp(day)]
    changes = {name: own[name].to_numpy(dtype=float) for name in CHANGES}
    (found,) = infer_units(changes, own["price"].to_numpy(), file_of=np.zeros(len(own), dtype=int), files=1)
    return found.unit


def converted(rows: pd.DataFrame, day: dt.date) -> pd.DataFrame:
    """The rows as the way in leaves them, in percent whatever this day's file had."""
    of_day = (rows["date"] == pd.Timestamp(day)) & (unit_of(rows, day) == "fraction")
    return rows.assign(**{name: rows[name].where(~of_day, rows[name] * 100.0) for name in CHANGES})


def step_rates(signs: pd.DataFrame, settings: Settings) -> tuple[float, float]:
    """Share of the days on which a step of volumes is seen where it is injected, and where it is not."""
    seen, false = [], []
    for place in range(FIRST_DAY, len(signs)):
        past = signs.iloc[: place + 1]
        false.append("volume_step" in diagnose_feed(past, settings).raised_kinds)
        # A factor on all volumes moves the median of their log changes by its logarithm, on the first day alone.
        stepped = past.copy()
        stepped.iloc[-2, stepped.columns.get_loc("volume")] += np.log(0.6)
        seen.append("volume_step" in diagnose_feed(stepped, settings).raised_kinds)
    return float(np.mean(seen)), float(np.mean(false))


def off_diagonal(table: dict[str, Counter], *, days: int) -> list[str]:
    wrong = []
    for name, kind in ((name, FEED[name][0]) for name in table if name in FEED):
        others = {found: count for found, count in table[name].items() if found not in (kind, NOTHING)}
        missed = table[name][NOTHING]
        # Steps of volumes are seen at a rate, which is judged as such.
        if others or (missed and kind != "volume_step"):
            wrong.append(f"{name}: {dict(table[name])} on {days} days, expected {kind}")
    return wrong


def confusion(title: str, table: dict[str, Counter]) -> None:
    expected = {name: kind for name, (kind, _) in {**FEED, **HOME_FAULTS}.items()} | {
        NOTHING: NOTHING,
        OWN_MOVES: "market_move",
    }
    kinds = list(dict.fromkeys([*FEED_KINDS, *(kind for row in table.values() for kind in row if kind != NOTHING)]))
    rows = [(name, expected[name], *(row[kind] or "." for kind in [NOTHING, *kinds])) for name, row in table.items()]
    print_table(title, ["injected", "expected", NOTHING, *kinds], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--coins", type=int, default=300, help="Coins of the simulated market.")
    parser.add_argument("--days", type=int, default=12, help="Days that each fault is injected on.")
    parser.add_argument("--real", type=Path, help="Folder with coingecko_daily_2021.parquet.")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--only", action="append", default=[], metavar="PART", help="Faults with this in their names.")
    parser.add_argument("--without-files", action="store_true", help="Day by day only: seconds, not minutes.")
    args = parser.parse_args()
    chosen = [name for name in (*FEED, *HOME_FAULTS) if not args.only or any(part in name for part in args.only)]
    if not chosen:
        parser.error(f"--only {args.only} chooses none of {', '.join((*FEED, *HOME_FAULTS))}")
    print(describe_machine(), flush=True)
    yesterday = dt.datetime.now(dt.UTC).date()
    markets = {"simulated": simulate_market(coins=args.coins, days=YEAR_DAYS, end=yesterday, seed=args.seed)}
    if args.real:
        markets["real 2021"] = real_market(args.real)
    wrong = {}
    for name, market in markets.items():
        started = time.perf_counter()
        print(f"\n{name}: {market['coin'].nunique():,} coins, {market['date'].nunique()} days")
        table, found = day_by_day(market, days=args.days, seed=args.seed, chosen=chosen)
        confusion(f"{name}, day by day: days on which it was raised", table)
        if not args.without_files:
            with tempfile.TemporaryDirectory() as folder:
                table, of_files = through_files(market, Path(folder), seed=args.seed, chosen=chosen)
            confusion(f"{name}, through files and the monitor", table)
            found += of_files
        print(f"  {time.perf_counter() - started:.0f} s", flush=True)
        if found:
            wrong[name] = found
    print("\n" + (json.dumps(wrong, indent=2) if wrong else "all on the diagonal"))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
