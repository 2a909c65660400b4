"""What is known of a model when it is stored: the contract's fields and what explains each number."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import numpy as np

from cryptoliq_assets.models.evaluation import WITH_HISTORY, Evaluation
from cryptoliq_assets.models.intervals import calibrate_last, coverage_report
from cryptoliq_assets.models.leaderboard import candidate_named
from cryptoliq_assets.models.recipes import Recipe
from cryptoliq_assets.models.training_set import TrainingSet


def model_metadata(
    recipe: Recipe,
    rows: TrainingSet,
    leaderboard: Mapping[str, Any],
    *,
    evaluation: Evaluation,
    level: float,
    at: dt.datetime,
    git_revision: str | None = None,
) -> dict[str, Any]:
    """Metadata of `recipe` fitted on all of `rows`; name, version, sha256 and library versions are the store's to add.

    metrics: mean skill over folds (all rows), its worst fold, the same for known caps and bare requests, HAR's skill
    on the same folds, and the measures fold by fold. known_until: the newest target date that the model has learnt.
    """
    entry = candidate_named(leaderboard, evaluation.name)
    har = next((other["skill"] for other in leaderboard["baselines"] if other["name"] == "har"), None)
    headline = ("skill", "worst_skill", "skill_known_cap", "skill_without_history")
    return {
        "trained_on": at.date().isoformat(),
        "features": list(recipe.features),
        "metrics": {
            **{name: entry[name] for name in headline},
            "skill_har": har,
            **{
                name: entry["metrics"][WITH_HISTORY]["all"]["mean"][name]
                for name in ("mae", "rmse", "r2", "mae_vs_persistence", "mae_vs_har")
            },
            "folds": entry["metrics"][WITH_HISTORY]["all"]["folds"],
            "folds_known_cap": entry["metrics"][WITH_HISTORY]["known_cap"]["folds"],
        },
        "evaluation": leaderboard["evaluation"],
        "provisional": leaderboard["provisional"],
        "folds": leaderboard["folds"],
        "recipe": recipe.to_dict(),
        "formula": rows.formula,
        "horizon_days": rows.horizon_days,
        "known_until": str(rows.target_date.max()),
        "training": {
            "first_date": str(rows.date.min()),
            "last_date": str(rows.date.max()),
            "dates": len(rows.dates),
            "rows": len(rows),
            "coins": len(np.unique(rows.coins)),
            "fingerprint": rows.fingerprint,
        },
        "intervals": calibrate_last(evaluation, rows, level=level).to_dict(),
        "coverage": coverage_report(evaluation, rows, level=level),
        "git_revision": git_revision,
    }
