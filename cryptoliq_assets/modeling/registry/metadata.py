"""Create the metadata of a model: the fields that consumers read, and the data that explain each number.

Which fields are required belongs in `modeling.registry.metadata_schema`; the model card in `modeling.model_card`.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from cryptoliq_assets.modeling.datasets import TrainingRows
from cryptoliq_assets.modeling.estimators import ModelSpec
from cryptoliq_assets.modeling.evaluation import Evaluation, calibrate_last, coverage_report, find_entry
from cryptoliq_assets.modeling.registry.promotion import INPUT_TABLE
from cryptoliq_assets.schemas import TABLES, WITH_HISTORY
from cryptoliq_assets.storage import schema_fingerprint


def model_metadata(
    spec: ModelSpec,
    rows: TrainingRows,
    leaderboard: Mapping[str, Any],
    *,
    evaluation: Evaluation,
    level: float,
    at: dt.datetime,
    git_revision: str | None = None,
    computed_on: str = "process",
) -> dict[str, Any]:
    """Return the metadata of a specification fitted on all rows.

    The registry adds name, version, sha256 and library versions. `metrics` has the mean skill over folds (all rows), its
    worst fold, the same for known market caps and without history, HAR's skill on the same folds, and the metrics fold by
    fold; `schema` identifies the schema of the features; `known_until` is the newest target date in the training rows.

    Args:
        spec: The specification.
        rows: The training rows.
        leaderboard: The leaderboard that ranks it.
        evaluation: Its out-of-fold evaluation.
        level: Nominal coverage of the intervals, between 0 and 1.
        at: Time of training, UTC.
        git_revision: Commit of the code; None if unknown.
        computed_on: Where it was trained and evaluated: "process", or "cluster".
    """
    entry = find_entry(leaderboard, evaluation.name)
    har = next((other["skill"] for other in leaderboard["baselines"] if other["name"] == "har"), None)
    headline = ("skill", "worst_skill", "skill_known_cap", "skill_without_history")
    return {
        "trained_on": at.date().isoformat(),
        "features": list(spec.features),
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
        "recipe": spec.to_dict(),
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
            "computed_on": computed_on,
        },
        "input_ranges": input_ranges(rows),
        "intervals": calibrate_last(evaluation, rows, level=level).to_dict(),
        "coverage": coverage_report(evaluation, rows, level=level),
        "git_revision": git_revision,
    }


# Fraction of the training rows on either side of the range that a request's fields are compared with.
_TAIL = 0.001


def input_ranges(rows: TrainingRows) -> dict[str, tuple[float, float]]:
    """Return the 0.1 and 99.9 % quantiles of each input field among the training rows, in the field's unit.

    Computed from features: logarithms and log returns preserve order, so their quantiles are those of the fields. A field
    that no training row has is left out.
    """
    fields: dict[str, tuple[tuple[str, ...], Callable[..., npt.NDArray[np.float64]]]] = {
        "price": (("price_log",), np.exp),
        "1h": (("change_1h",), np.asarray),
        "24h": (("change_24h",), _percent),
        "7d": (("change_7d",), _percent),
        "24h_volume": (("volume_log",), np.exp),
        "mkt_cap": (("mkt_cap_log",), np.exp),
        "liquidity_ratio": (("volume_log", "mkt_cap_log"), lambda volume, cap: np.exp(volume) / np.exp(cap)),
        "price_change_24h": (
            ("price_log", "change_24h"),
            lambda price, change: np.exp(price) - np.exp(price) / (1.0 + _percent(change) / 100.0),
        ),
    }
    ranges = {}
    # Field by field: the columns of all fields would be in memory together.
    for field, (features, compute) in fields.items():
        with np.errstate(invalid="ignore", divide="ignore"):
            values = compute(*(rows.column(feature) for feature in features))
        present = values[np.isfinite(values)]
        if len(present):
            low, high = np.quantile(present, [_TAIL, 1.0 - _TAIL], overwrite_input=True)
            ranges[field] = (float(low), float(high))
    return ranges


def _percent(returns: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Changes in percent of log returns."""
    percent: npt.NDArray[np.float64] = 100.0 * np.expm1(returns)
    return percent
