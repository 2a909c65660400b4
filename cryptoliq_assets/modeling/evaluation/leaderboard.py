"""The leaderboard: candidates and baselines on the same folds, as one JSON value and as a table to read."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cryptoliq_assets.modeling.datasets import TrainingSet
from cryptoliq_assets.modeling.estimators import CHAMPION_SPEC
from cryptoliq_assets.modeling.evaluation.cross_validation import POPULATIONS, Evaluation
from cryptoliq_assets.schemas import NO_HISTORY, SHORT_HISTORY, WITH_HISTORY

# What candidates are ranked by: the mean over folds of skill on all rows.
RANKED_ON = "all"


def make_leaderboard(
    evaluations: Sequence[Evaluation],
    *,
    generated_at: str,
    horizon_days: int,
    formula: str,
    known_until: str | None = None,
) -> dict[str, Any]:
    """`reports/metrics.json`: candidates (best first) and baselines, with measures fold by fold.

    An evaluation without a recipe is a baseline. Raises ValueError where the evaluations are not of the same folds:
    numbers of different days do not compare.
    """
    if not any(evaluation.recipe for evaluation in evaluations):
        raise ValueError("no candidate was evaluated: there is nothing to rank")
    first = evaluations[0]
    for evaluation in evaluations:
        if evaluation.folds != first.folds or evaluation.evaluation != first.evaluation:
            raise ValueError(
                f"{evaluation.name} and {first.name} were evaluated on different folds: evaluate both again"
            )
    candidates = [_entry(evaluation) for evaluation in evaluations if evaluation.recipe]
    candidates.sort(key=lambda entry: (entry["skill"] is None, -(entry["skill"] or 0.0), entry["name"]))
    return {
        "generated_at": generated_at,
        "evaluation": first.evaluation,
        "provisional": first.evaluation != "over_time",
        "horizon_days": horizon_days,
        "formula": formula,
        "known_until": known_until,
        "ranked_by": f"mean over folds of skill against persistence, {RANKED_ON} rows",
        # A champion's own recipe is there to be compared with, not to be promoted.
        "best": next((entry["name"] for entry in candidates if entry["name"] != CHAMPION_SPEC), CHAMPION_SPEC),
        "folds": list(first.folds),
        "candidates": candidates,
        "baselines": [_entry(evaluation) for evaluation in evaluations if not evaluation.recipe],
    }


def count_coins_by_fold(evaluation: Evaluation, rows: TrainingSet) -> dict[str, list[int]]:
    """How many coins each fold tests, in order, by population: whether its measures say anything hangs on it."""
    known = {population: np.ones(len(evaluation.rows), dtype=bool) for population in POPULATIONS}
    known["known_cap"] = rows.known_cap[evaluation.rows]
    return {
        population: [
            len(np.unique(rows.coins[evaluation.rows[included & (evaluation.fold == number)]]))
            for number in np.unique(evaluation.fold)
        ]
        for population, included in known.items()
    }


def find_entry(leaderboard: dict[str, Any], name: str) -> dict[str, Any]:
    """The entry of a candidate or baseline; KeyError names those there are."""
    entries = {entry["name"]: entry for entry in leaderboard["candidates"] + leaderboard["baselines"]}
    if name not in entries:
        raise KeyError(f"{name!r} is not on the leaderboard; there are {', '.join(entries)}")
    return entries[name]


def leaderboard_table(leaderboard: dict[str, Any], *, population: str = RANKED_ON) -> str:
    """Markdown: one line a model, skill by fold, then its errors and what they are against persistence and HAR."""
    numbers = [f"fold {fold['fold']}" for fold in leaderboard["folds"]]
    measures = {
        "MAE": "mae",
        "RMSE": "rmse",
        "R²": "r2",
        "MAE / persistence": "mae_vs_persistence",
        "MAE / HAR": "mae_vs_har",
    }
    columns = ["model", "skill", *numbers, *measures, "skill without history", "seconds"]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for entry in leaderboard["candidates"] + leaderboard["baselines"]:
        seen = entry["metrics"][WITH_HISTORY][population]
        bare = entry["metrics"][NO_HISTORY][population]
        values = [
            seen["mean"]["skill"],
            *(fold["skill"] for fold in seen["folds"]),
            *(seen["mean"][measure] for measure in measures.values()),
            bare["mean"]["skill"],
        ]
        cells = [entry["name"], *(_shown(value) for value in values), f"{entry['seconds']:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def bucket_table(leaderboard: dict[str, Any], name: str) -> str:
    """Markdown: one model by size bucket, folds pooled."""
    entry = find_entry(leaderboard, name)
    lines = [
        "| market-cap rank | rows | skill | MAE | RMSE | R² | MAE / persistence | MAE / HAR | skill without history |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    bare = entry["metrics"][NO_HISTORY]["all"]["buckets"]
    for bucket, seen in entry["metrics"][WITH_HISTORY]["all"]["buckets"].items():
        measures = ("skill", "mae", "rmse", "r2", "mae_vs_persistence", "mae_vs_har")
        values = [*(seen[measure] for measure in measures), bare[bucket]["skill"]]
        lines.append(f"| {bucket} | {seen['rows']:,} | " + " | ".join(_shown(value) for value in values) + " |")
    return "\n".join(lines)


def _entry(evaluation: Evaluation) -> dict[str, Any]:
    """Headline numbers first; `skill_known_cap` and `skill_without_history` are means over folds as `skill` is."""
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
        "recipe": evaluation.recipe,
        "metrics": evaluation.metrics,
    }


def _shown(value: float | None) -> str:
    # Adding zero turns -0.0 into 0.0.
    return "" if value is None else f"{round(value, 3) + 0.0:.3f}"
