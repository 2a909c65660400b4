"""The candidates against scikit-learn's and xgboost's defaults, on the same folds and the same rows.

    python benchmarks/training_defaults.py HOME [--rows 60000] [--folds 1]

HOME is a home with labels (`cryptoliq materialize`). Defaults are LinearRegression (missing values as means),
RandomForestRegressor and XGBRegressor as their libraries ship them, fitted on the score itself. A default forest on hundreds of
thousands of rows takes an hour, so both sides train on the same `--rows` random rows of each fold. Candidates without a
default here are skipped.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from side_by_side import describe_machine, print_table

from cryptoliq_assets.core import Settings
from cryptoliq_assets.modeling import training_rows
from cryptoliq_assets.modeling.estimators import CANDIDATES, fit_spec, predict_rows
from cryptoliq_assets.modeling.evaluation import score_rows
from cryptoliq_assets.storage import TableStore


def default_estimators() -> dict[str, Callable[[], Any]]:
    """Return, by candidate, a factory of the library's estimator with default parameters."""
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from xgboost import XGBRegressor

    return {
        "linear_regression": lambda: make_pipeline(SimpleImputer(keep_empty_features=True), LinearRegression()),
        "random_forest": lambda: RandomForestRegressor(n_jobs=2, random_state=7),
        "xgboost": lambda: XGBRegressor(n_jobs=2, random_state=7),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--folds", type=int, default=1, help="Number of folds, the last ones.")
    args = parser.parse_args()
    settings = Settings(home_dir=args.home)
    rows, folds = training_rows(settings, TableStore(settings))
    print(f"{describe_machine()}\n{len(rows):,} rows, {args.rows:,} per fold to train on", flush=True)
    rng = np.random.default_rng(7)
    lines = []
    for name, make_default in default_estimators().items():
        seconds, skills = {"ours": 0.0, "default": 0.0}, {"ours": [], "default": []}
        for fold in folds.folds[-args.folds :]:
            train = np.sort(rng.choice(fold.train, size=min(args.rows, len(fold.train)), replace=False))
            started = time.perf_counter()
            model = fit_spec(CANDIDATES[name], rows, train=train, seed=settings.seed)
            seconds["ours"] += time.perf_counter() - started
            predictions = {"ours": predict_rows(model, rows, chosen=fold.test)}
            X, X_test = (np.ascontiguousarray(rows.read(chosen, rows.features)) for chosen in (train, fold.test))
            started = time.perf_counter()
            default = make_default().fit(X, rows.y[train])
            seconds["default"] += time.perf_counter() - started
            predictions["default"] = default.predict(X_test).astype(float)
            for side, predicted in predictions.items():
                references = {"persistence": rows.today[fold.test]}
                skills[side].append(score_rows(rows.y[fold.test], predicted, references=references)["skill"])
        ours, default_skill = (float(np.mean(skills[side])) for side in ("ours", "default"))
        lines.append(
            [
                name,
                seconds["ours"],
                seconds["default"],
                seconds["default"] / seconds["ours"],
                f"{ours:.3f}",
                f"{default_skill:.3f}",
                f"{ours - default_skill:+.3f}",
            ]
        )
    columns = ["", "seconds", "default's", "times ours", "skill", "default's", "difference"]
    print_table("candidates against defaults", columns, lines)


if __name__ == "__main__":
    main()
