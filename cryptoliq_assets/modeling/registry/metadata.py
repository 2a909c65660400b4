"""What is known of a model when it is stored: the contract's fields and what explains each number."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import numpy as np

from cryptoliq_assets.modeling.datasets import TrainingSet
from cryptoliq_assets.modeling.estimators import ModelSpec
from cryptoliq_assets.modeling.evaluation import Evaluation, calibrate_last, coverage_report, find_entry
from cryptoliq_assets.modeling.registry.promotion import INPUT_TABLE
from cryptoliq_assets.schemas import TABLES, WITH_HISTORY
from cryptoliq_assets.storage import schema_fingerprint


def model_metadata(
    recipe: ModelSpec,
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
    on the same folds, and the measures fold by fold. schema: what the features were held to. known_until: the newest target date that the model has learnt.
    """
    entry = find_entry(leaderboard, evaluation.name)
    har = next((other["skill"] for other in leaderboard["baselines"] if other["name"] == "har"), None)
    headline = ("skill", "worst_skill", "skill_known_cap", "skill_without_history")
    return {
        "trained_on": at.date().isoformat(),
        "features": list(recipe.features),
        "schema": {"table": INPUT_TABLE, "fingerprint": schema_fingerprint(TABLES[INPUT_TABLE])},
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
        "input_ranges": input_ranges(rows),
        "intervals": calibrate_last(evaluation, rows, level=level).to_dict(),
        "coverage": coverage_report(evaluation, rows, level=level),
        "git_revision": git_revision,
    }


# Share of the training rows on either side of the range that a request's field is held against.
_TAIL = 0.001


def input_ranges(rows: TrainingSet) -> dict[str, tuple[float, float]]:
    """The contract's fields between their 0.1 and 99.9 % among the training rows, in the contract's units.

    Read back from features: logarithms and log returns keep the order, so their quantiles are those of the fields. A field
    that no training row has is left out.
    """
    of_feature = {
        "price": ("price_log", np.exp),
        "1h": ("change_1h", np.asarray),
        "24h": ("change_24h", lambda returns: 100.0 * np.expm1(returns)),
        "7d": ("change_7d", lambda returns: 100.0 * np.expm1(returns)),
        "24h_volume": ("volume_log", np.exp),
        "mkt_cap": ("mkt_cap_log", np.exp),
    }
    fields = {field: back(rows.column(feature)) for field, (feature, back) in of_feature.items()}
    with np.errstate(invalid="ignore", divide="ignore"):
        fields["liquidity_ratio"] = fields["24h_volume"] / fields["mkt_cap"]
        fields["price_change_24h"] = fields["price"] - fields["price"] / (1.0 + fields["24h"] / 100.0)
    ranges = {}
    for field, values in fields.items():
        known = values[np.isfinite(values)]
        if len(known):
            low, high = np.quantile(known, [_TAIL, 1.0 - _TAIL])
            ranges[field] = (float(low), float(high))
    return ranges
