"""The leaderboard: candidates and baselines on the same folds, as a JSON value and as Markdown tables.

Metrics belong in `modeling.evaluation.metrics`; what the ranking leads to in `modeling.registry.promotion`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cryptoliq_assets.modeling.datasets import TrainingRows
from cryptoliq_assets.modeling.estimators import CHAMPION_SPEC
from cryptoliq_assets.modeling.evaluation.cross_validation import Evaluation
from cryptoliq_assets.modeling.evaluation.fold_metrics import POPULATIONS
from cryptoliq_assets.schemas import NO_HISTORY, SHORT_HISTORY, WITH_HISTORY

# Candidates are ranked by their mean skill over folds on this population.
RANKED_ON = "all"


def make_leaderboard(
    evaluations: Sequence[Evaluation],
    *,
    generated_at: str,
    horizon_days: int,
    formula: str,
    known_until: str | None = None,
) -> dict[str, Any]:
    """Return the content of `reports/metrics.json`: candidates (best first) and baselines, with metrics fold by fold.

    Args:
        evaluations: Evaluations on the same folds; those without a specification are baselines.
        generated_at: ISO time.
        horizon_days: Horizon of the forecasts, in days.
        formula: Name of the liquidity formula.
        known_until: Data cutoff: newest target date in the training rows, ISO.

    Raises:
        ValueError: There is no candidate, or the evaluations are on different folds and cannot be compared.
    """
    if not any(evaluation.spec for evaluation in evaluations):
        raise ValueError("no candidate was evaluated: there is nothing to rank")
    first = evaluations[0]
    for evaluation in evaluations:
        if evaluation.folds != first.folds or evaluation.evaluation != first.evaluation:
            raise ValueError(
                f"{evaluation.name} and {first.name} were evaluated on different folds: evaluate both again"
            )
    candidates = [_entry(evaluation) for evaluation in evaluations if evaluation.spec]
    candidates.sort(key=lambda entry: (entry["skill"] is None, -(entry["skill"] or 0.0), entry["name"]))
    return {
        "generated_at": generated_at,
        "evaluation": first.evaluation,
        "provisional": first.evaluation != "over_time",
        "horizon_days": horizon_days,
        "formula": formula,
        "known_until": known_until,
        "ranked_by": f"mean over folds of skill against persistence, {RANKED_ON} rows",
        # The champion's specification is only compared with, not promoted as a candidate.
        "best": next((entry["name"] for entry in candidates if entry["name"] != CHAMPION_SPEC), CHAMPION_SPEC),
        "folds": list(first.folds),
        "candidates": candidates,
        "baselines": [_entry(evaluation) for evaluation in evaluations if not evaluation.spec],
    }


def count_coins_by_fold(evaluation: Evaluation, rows: TrainingRows) -> dict[str, list[int]]:
    """Return the number of coins that each fold tests, by population, which determines whether its metrics count."""
    masks = {population: np.ones(len(evaluation.rows), dtype=bool) for population in POPULATIONS}
    masks["known_cap"] = rows.known_cap[evaluation.rows]
    return {
        population: [
            len(np.unique(rows.coins[evaluation.rows[included & (evaluation.fold == number)]]))
            for number in np.unique(evaluation.fold)
        ]
        for population, included in masks.items()
    }


def find_entry(leaderboard: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the entry of a candidate or baseline; raises KeyError with the existing names."""
    entries = {entry["name"]: entry for entry in leaderboard["candidates"] + leaderboard["baselines"]}
    if name not in entries:
        raise KeyError(f"{name!r} is not on the leaderboard; expected one of {', '.join(entries)}")
    entry: dict[str, Any] = entries[name]
    return entry


def leaderboard_table(leaderboard: dict[str, Any], *, population: str = RANKED_ON) -> str:
    """Return a Markdown table with one row per model: skill by fold, errors, and errors relative to the baselines."""
    numbers = [f"fold {fold['fold']}" for fold in leaderboard["folds"]]
    measures = {
        "MAE": "mae",
        "RMSE": "rmse",
        "R²": "r2",
        "MAE / persistence": "mae_vs_persistence",
        "MAE / HAR": "mae_vs_har",
    }
    columns = ["model", "skill", *numbers, *measures, "cold-start skill", "seconds"]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for entry in leaderboard["candidates"] + leaderboard["baselines"]:
        with_history = entry["metrics"][WITH_HISTORY][population]
        no_history = entry["metrics"][NO_HISTORY][population]
        values = [
            with_history["mean"]["skill"],
            *(fold["skill"] for fold in with_history["folds"]),
            *(with_history["mean"][measure] for measure in measures.values()),
            no_history["mean"]["skill"],
        ]
        cells = [entry["name"], *(_format_metric(value) for value in values), f"{entry['seconds']:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def bucket_table(leaderboard: dict[str, Any], name: str) -> str:
    """Return a Markdown table of one model by size bucket, folds pooled."""
    entry = find_entry(leaderboard, name)
    lines = [
        "| market-cap rank | rows | skill | MAE | RMSE | R² | MAE / persistence | MAE / HAR | cold-start skill |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    no_history = entry["metrics"][NO_HISTORY]["all"]["buckets"]
    for bucket, metrics in entry["metrics"][WITH_HISTORY]["all"]["buckets"].items():
        measures = ("skill", "mae", "rmse", "r2", "mae_vs_persistence", "mae_vs_har")
        values = [*(metrics[measure] for measure in measures), no_history[bucket]["skill"]]
        lines.append(
            f"| {bucket} | {metrics['rows']:,} | " + " | ".join(_format_metric(value) for value in values) + " |"
        )
    return "\n".join(lines)


def _entry(evaluation: Evaluation) -> dict[str, Any]:
    """Headline metrics first; `skill_known_cap` and `skill_without_history` are means over folds like `skill`."""
    headline = evaluation.metrics[WITH_HISTORY][RANKED_ON]
    return {
        "name": evaluation.name,
        "skill": headline["mean"]["skill"],
        "worst_skill": headline["worst_skill"],
        **{
            f"skill_{population}": evaluation.skill(population) for population in POPULATIONS if population != RANKED_ON
        },
        "skill_young": evaluation.skill(RANKED_ON, view=SHORT_HISTORY),
        "skill_without_history": evaluation.skill(RANKED_ON, view=NO_HISTORY),
        "seconds": round(evaluation.seconds, 1),
        "recipe": evaluation.spec,
        "metrics": evaluation.metrics,
    }


def _format_metric(value: float | None) -> str:
    # Adding zero turns -0.0 into 0.0.
    return "" if value is None else f"{round(value, 3) + 0.0:.3f}"
