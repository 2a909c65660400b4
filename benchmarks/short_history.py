"""Effect of a short table history on boosted trees: first-fold skill of xgboost and of the random forest.

    python benchmarks/short_history.py [--markets 5] [--coins 150]

In a table with less than 90 days, and in a market in which all coins rise, a number that grows with the table reveals the
date to a tree. Each market is simulated: 110 days, a common rise in the first 90, the first test date after 73 days, as in a
panel that starts on 1 January and is first tested in the middle of March. Exit code 1 if xgboost's mean skill over the
markets is below the forest's.
"""

import argparse
import datetime as dt
import sys

import numpy as np
import pandas as pd
from side_by_side import describe_machine, print_table

from cryptoliq_assets.cleaning import clean_snapshots
from cryptoliq_assets.features import engineer_features
from cryptoliq_assets.labels import label_targets
from cryptoliq_assets.modeling.datasets import TrainingSet, build_training_set, folds_over_time
from cryptoliq_assets.modeling.estimators import CANDIDATES, fit_spec, predict_rows
from cryptoliq_assets.modeling.evaluation import score_rows
from cryptoliq_assets.simulation import simulate_market
from cryptoliq_assets.storage import sort_rows

END = dt.date(2024, 6, 30)
DAYS, FIRST_ORIGIN, RISING_DAYS = 110, 73, 90
# ln of the factor by which prices and market caps rise; volumes rise by its square.
RISE = 1.5


def rising_market(seed: int, *, coins: int, days: int = DAYS, rise: float = RISE) -> pd.DataFrame:
    """Simulate raw rows of a market in which all coins rise together during the first 90 days only."""
    raw = simulate_market(coins=coins, days=days, end=END, seed=seed)
    day = (raw["date"] - raw["date"].min()).dt.days.to_numpy()

    def log_rise(at: np.ndarray) -> np.ndarray:
        return rise * np.minimum(at, RISING_DAYS) / RISING_DAYS

    raw[["price", "mkt_cap"]] = raw[["price", "mkt_cap"]].mul(np.exp(log_rise(day)), axis=0)
    raw["24h_volume"] *= np.exp(2 * log_rise(day))
    for column, back in (("24h", 1), ("7d", 7)):
        raw[column] = ((1 + raw[column] / 100) * np.exp(log_rise(day) - log_rise(day - back)) - 1) * 100
    raw = raw.assign(liquidity_ratio=np.nan, price_change_24h=np.nan)
    return sort_rows(raw.astype({"coin": "category", "symbol": "category"}))


def training_rows(raw: pd.DataFrame) -> TrainingSet:
    """Compute the training set with the functions of the assets."""
    since, until = raw["date"].min(), raw["date"].max()
    cleaned, _ = clean_snapshots(raw, since=since, until=until)
    features = engineer_features(cleaned)
    labels = label_targets(features, horizon_days=1, since=since, until=until)
    return build_training_set(features, labels, cleaned=cleaned)


def first_fold_skill(name: str, rows: TrainingSet) -> float:
    """Return the skill of a candidate on the first of four folds."""
    origin = rows.dates[0] + np.timedelta64(FIRST_ORIGIN, "D")
    fold = folds_over_time(rows, count=4, first_origin=origin)[0]
    model = fit_spec(CANDIDATES[name], rows, train=fold.train)
    predicted = predict_rows(model, rows, chosen=fold.test)
    return score_rows(rows.y[fold.test], predicted, references={"persistence": rows.today[fold.test]})["skill"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markets", type=int, default=5)
    parser.add_argument("--coins", type=int, default=150)
    args = parser.parse_args()
    print(describe_machine())
    lines, skills = [], {"xgboost": [], "random_forest": []}
    for seed in range(1, args.markets + 1):
        rows = training_rows(rising_market(seed, coins=args.coins))
        for name, values in skills.items():
            values.append(first_fold_skill(name, rows))
        lines.append([f"market {seed}", f"{skills['xgboost'][-1]:.3f}", f"{skills['random_forest'][-1]:.3f}"])
    boosted, forest = (float(np.mean(values)) for values in skills.values())
    print_table(
        "skill of the first fold", ["", "xgboost", "forest"], [*lines, ["mean", f"{boosted:.3f}", f"{forest:.3f}"]]
    )
    return int(boosted < forest)


if __name__ == "__main__":
    sys.exit(main())
