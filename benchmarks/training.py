"""The candidates against scikit-learn's and xgboost's defaults, on the same folds and the same rows.

    python benchmarks/training.py HOME [--rows 60000] [--folds 1]

HOME is a home whose labels are made (`cryptoliq materialize`). Defaults are LinearRegression (missing values as means),
RandomForestRegressor and XGBRegressor as their libraries ship them, fitted on the score itself. A default forest on hundreds of
thousands of rows takes an hour, so both sides train on the same `--rows` rows of each fold, drawn at random.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from side_by_side import describe_machine, print_table

from cryptoliq_assets.core import Settings
from cryptoliq_assets.modeling import training_rows
from cryptoliq_assets.modeling.estimators import CANDIDATES, fit_spec, predict_rows
from cryptoliq_assets.modeling.evaluation import score_rows
from cryptoliq_assets.storage import TableStore


def default_of(name: str):
    """The library's own estimator, as it comes."""
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from xgboost import XGBRegressor

    return {
        "linear_regression": lambda: make_pipeline(SimpleImputer(keep_empty_features=True), LinearRegression()),
        "random_forest": lambda: RandomForestRegressor(n_jobs=2, random_state=7),
        "xgboost": lambda: XGBRegressor(n_jobs=2, random_state=7),
    }[name]()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--folds", type=int, default=1, help="The last so many folds.")
    args = parser.parse_args()
    settings = Settings(home_dir=args.home)
    rows, folds = training_rows(settings, TableStore(settings))
    print(f"{describe_machine()}\n{len(rows):,} rows, {args.rows:,} a fold to train on", flush=True)
    chance = np.random.default_rng(7)
    lines = []
    for name, recipe in CANDIDATES.items():
        seconds, skills = {"ours": 0.0, "default": 0.0}, {"ours": [], "default": []}
        for fold in folds.folds[-args.folds :]:
            train = np.sort(chance.choice(fold.train, size=min(args.rows, len(fold.train)), replace=False))
            started = time.perf_counter()
            model = fit_spec(recipe, rows, train=train, seed=settings.seed)
            seconds["ours"] += time.perf_counter() - started
            found = {"ours": predict_rows(model, rows, chosen=fold.test)}
            started = time.perf_counter()
            usual = default_of(name).fit(rows.X[train], rows.y[train])
            seconds["default"] += time.perf_counter() - started
            found["default"] = usual.predict(rows.X[fold.test]).astype(float)
            for side, predicted in found.items():
                references = {"persistence": rows.today[fold.test]}
                skills[side].append(score_rows(rows.y[fold.test], predicted, references=references)["skill"])
        ours, usual_skill = (float(np.mean(skills[side])) for side in ("ours", "default"))
        lines.append(
            [
                name,
                seconds["ours"],
                seconds["default"],
                seconds["default"] / seconds["ours"],
                f"{ours:.3f}",
                f"{usual_skill:.3f}",
                f"{ours - usual_skill:+.3f}",
            ]
        )
    columns = ["", "seconds", "default's", "times ours", "skill", "default's", "difference"]
    print_table("candidates against defaults", columns, lines)


if __name__ == "__main__":
    main()
