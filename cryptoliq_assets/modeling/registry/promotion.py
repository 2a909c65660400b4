"""Promotion criteria: whether a fitted candidate may become champion. Pure decisions, each with its reason.

Add a criterion as a function that returns the reason of a rejection, or None. Storing the result belongs in
`modeling.training` and `modeling.registry.model_registry`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cryptoliq_assets.modeling import describe_task_mismatch
from cryptoliq_assets.modeling.datasets import OVER_TIME
from cryptoliq_assets.modeling.estimators import CHAMPION_SPEC, FORECASTERS, TARGET_BASELINES, is_same_spec
from cryptoliq_assets.modeling.evaluation import POPULATIONS
from cryptoliq_assets.schemas import MODEL_FEATURES, TABLES, WITH_HISTORY

# Above these, tomorrow has leaked into the features: liquidity cannot be forecast this well.
LEAKAGE_SKILL = 0.7
LEAKAGE_R2 = 0.99
# A different specification must be better by this much skill, a refreshed one not worse by more: about twice the standard
# error of a mean skill (0.006).
MARGIN = 0.01
# 0.36 - 0.01 is not 0.35 in binary.
_ROUNDING = 1e-9
# Folds with fewer rows or coins are not counted: the standard error of a skill is then near 0.1, and the days of one coin
# are similar, so that 12 rows of one coin are hardly more than one observation.
MIN_ROWS = 100
MIN_COINS = 5
# The population of all rows always counts, however few they are: otherwise nothing would be left to evaluate.
ALL = "all"
# The table that has a model's features.
INPUT_TABLE = "engineered_features"


@dataclass(frozen=True)
class Decision:
    """Whether to promote a candidate, and why.

    Attributes:
        promote: Whether it becomes champion.
        reason: Why, or why not.
        leakage: Whether the run must fail, because a candidate is too good to be true.
        candidate: Name of the candidate on the leaderboard.
    """

    promote: bool
    reason: str
    leakage: bool = False
    candidate: str = ""


def evaluate_candidates(leaderboard: Mapping[str, Any], *, champion: Mapping[str, Any] | None = None) -> list[Decision]:
    """Decide on the candidates in the order of their skill, up to the first that is promoted.

    The champion's specification, refitted, is among them, so that a champion is refreshed even without a better challenger.

    Args:
        leaderboard: The leaderboard, see `make_leaderboard`.
        champion: Metadata of the champion; None without one.

    Returns:
        The decisions; only the last may promote.
    """
    over_time = leaderboard["evaluation"] == OVER_TIME
    comparable = champion if champion is not None and not _task_mismatch(leaderboard, champion) else None
    champion_over_time = comparable is not None and comparable.get("evaluation") == OVER_TIME
    if champion_over_time and not over_time:
        # All are rejected for how they were evaluated: one decision is enough.
        return [decide_promotion(leaderboard, champion=champion)]
    decisions: list[Decision] = []
    for entry in sorted(leaderboard["candidates"], key=_rank):
        # The champion's specification, if no longer a candidate, is only compared with or refreshed.
        if entry["name"] == CHAMPION_SPEC and not champion_over_time:
            continue
        decisions.append(decide_promotion(leaderboard, champion=champion, candidate=entry["name"]))
        if decisions[-1].promote or decisions[-1].leakage:
            break
    return decisions


def decide_promotion(
    leaderboard: Mapping[str, Any],
    *,
    champion: Mapping[str, Any] | None = None,
    declared: Sequence[str] = MODEL_FEATURES,
    candidate: str | None = None,
) -> Decision:
    """Decide whether a candidate replaces the champion.

    The champion's specification must be on the leaderboard, refitted on the same folds, unless it is the candidate's own:
    a fitted champion has seen the folds and would never be beaten. A champion of another task (formula, horizon) counts as
    none, and the reason states it.

    Args:
        leaderboard: The leaderboard.
        champion: Metadata of the champion; None without one.
        declared: All features that the code computes, in order.
        candidate: Name of the candidate; default: the leaderboard's best.
    """
    entry = _find_candidate(leaderboard, candidate or leaderboard["best"])
    mismatch = _task_mismatch(leaderboard, champion) if champion is not None else None
    decision = _decide(entry, leaderboard, None if mismatch else champion, declared)
    if mismatch:
        decision = replace(decision, reason=f"{decision.reason}; not compared, because the task differs: {mismatch}")
    return replace(decision, candidate=entry["name"])


def _decide(
    entry: Mapping[str, Any],
    leaderboard: Mapping[str, Any],
    champion: Mapping[str, Any] | None,
    declared: Sequence[str],
) -> Decision:
    over_time = leaderboard["evaluation"] == OVER_TIME
    # A leak comes from the tables: the run fails regardless of the candidate that shows it.
    findings = (_find_leakage(other, leaderboard) for other in leaderboard["candidates"]) if over_time else ()
    leak = next(filter(None, findings), None)
    if leak:
        return Decision(False, leak, leakage=True)
    rejection = _reject_unknown_features(entry, declared)
    if rejection:
        return Decision(False, rejection)
    if not over_time:
        return _decide_provisional(entry, champion)
    rejection = _reject_low_skill(entry, leaderboard)
    decision = Decision(False, rejection) if rejection else _compare(entry, leaderboard, champion)
    return replace(decision, reason=decision.reason + _describe_uncounted_folds(entry, leaderboard))


def _compare(entry: Mapping[str, Any], leaderboard: Mapping[str, Any], champion: Mapping[str, Any] | None) -> Decision:
    if champion is None:
        return Decision(True, f"{entry['name']}: skill {entry['skill']:.3f}, the first champion")
    if champion.get("evaluation") != OVER_TIME:
        return Decision(True, f"{entry['name']}: skill {entry['skill']:.3f} over time, replaces a provisional champion")
    if is_same_spec(champion.get("recipe"), entry["recipe"]):
        return _refresh(entry, leaderboard, champion)
    return _challenge(entry, leaderboard, champion)


def _decide_provisional(entry: Mapping[str, Any], champion: Mapping[str, Any] | None) -> Decision:
    """Folds by coin measure generalization to other coins, not to other days: no skill criterion applies."""
    if champion is not None and champion.get("evaluation") == OVER_TIME:
        return Decision(False, "evaluated by coin: cannot replace a champion that was evaluated over time")
    return Decision(
        True,
        f"{entry['name']}: provisional, evaluated by coin (skill {_format_skill(entry['skill'])}); too few dates for folds over time",
    )


def _reject_unknown_features(entry: Mapping[str, Any], declared: Sequence[str]) -> str | None:
    spec = entry["recipe"] or {}
    features = list(spec.get("features", ()))
    unknown = [name for name in features if name not in declared]
    if not features:
        return f"{entry['name']}: no features"
    if unknown:
        return f"{entry['name']}: unknown features: {', '.join(unknown)}"
    if features != [name for name in declared if name in set(features)]:
        return f"{entry['name']}: features not in their declared order"
    columns = TABLES[INPUT_TABLE].schema.columns
    missing = [name for name in features if name not in columns or not str(columns[name].dtype).startswith("float")]
    if missing:
        return f"{entry['name']}: not float columns of {INPUT_TABLE}: {', '.join(missing)}"
    for field, allowed in (("learner", FORECASTERS), ("target", TARGET_BASELINES)):
        if spec.get(field) not in allowed:
            return f"{entry['name']}: {field} {spec.get(field)!r} is unknown"
    return None


def _folds(
    populations: Mapping[str, Any], leaderboard: Mapping[str, Any]
) -> Iterator[tuple[str, Mapping[str, Any], int, bool]]:
    """Each fold of each population: the population, its metrics, its coins, and whether it has enough rows and coins to count."""
    for population in POPULATIONS:
        for fold, coins in zip(populations[population]["folds"], leaderboard["coins"][population], strict=True):
            yield population, fold, coins, fold["rows"] >= MIN_ROWS and coins >= MIN_COINS


def _find_leakage(entry: Mapping[str, Any], leaderboard: Mapping[str, Any]) -> str | None:
    """The metric that is too good to be true, in any view, population or fold that counts."""
    for view, populations in entry["metrics"].items():
        for population, fold, _, counts in _folds(populations, leaderboard):
            if not counts:
                continue
            for measure, limit in (("skill", LEAKAGE_SKILL), ("r2", LEAKAGE_R2)):
                if fold[measure] is not None and fold[measure] > limit:
                    return (
                        f"{entry['name']}: {measure} {fold[measure]:.3f} in fold {fold['fold']} ({population} rows, "
                        f"{view}) is above {limit}: tomorrow has leaked into the features"
                    )
    return None


def _reject_low_skill(entry: Mapping[str, Any], leaderboard: Mapping[str, Any]) -> str | None:
    for population, fold, _, counts in _folds(entry["metrics"][WITH_HISTORY], leaderboard):
        if (counts or population == ALL) and (fold["skill"] is None or fold["skill"] <= 0):
            return f"{entry['name']}: skill {_format_skill(fold['skill'])} in fold {fold['fold']} ({population} rows), not above 0"
    return None


def _describe_uncounted_folds(entry: Mapping[str, Any], leaderboard: Mapping[str, Any]) -> str:
    """The folds that were too small to count, to append to a reason; all rows count, except as a sign of leakage."""
    uncounted = [
        f"{population} rows of fold {fold['fold']} ({fold['rows']} of {coins} coins, skill {_format_skill(fold['skill'])})"
        + (", for leakage" if population == ALL else "")
        for population, fold, coins, counts in _folds(entry["metrics"][WITH_HISTORY], leaderboard)
        if fold["rows"] and not counts
    ]
    return f"; too few rows or coins to count: {', '.join(uncounted)}" if uncounted else ""


def _format_skill(skill: float | None) -> str:
    return "undefined" if skill is None else f"{skill:.3f}"


def _rank(entry: Mapping[str, Any]) -> tuple[bool, float]:
    return entry["skill"] is None, -(entry["skill"] or 0.0)


def _task_mismatch(leaderboard: Mapping[str, Any], champion: Mapping[str, Any]) -> str | None:
    return describe_task_mismatch(champion, formula=leaderboard["formula"], horizon_days=leaderboard["horizon_days"])


def _refresh(entry: Mapping[str, Any], leaderboard: Mapping[str, Any], champion: Mapping[str, Any]) -> Decision:
    """The same specification on newer rows, compared with its earlier skill.

    HAR's skill on both shows whether the days are harder or easier for every forecast; it decides nothing.
    """
    before = champion["metrics"]["skill"]
    comparison = f"skill {entry['skill']:.3f}, before {before:.3f}"
    now_har, before_har = _skill_of(leaderboard, "har"), champion["metrics"].get("skill_har")
    if now_har is not None and before_har is not None:
        comparison += f" (har {now_har:.3f}, before {before_har:.3f})"
    if entry["skill"] >= before - MARGIN - _ROUNDING:
        return Decision(True, f"{entry['name']} refreshed: {comparison}")
    return Decision(False, f"{entry['name']} refreshed is worse by more than {MARGIN}: {comparison}")


def _challenge(entry: Mapping[str, Any], leaderboard: Mapping[str, Any], champion: Mapping[str, Any]) -> Decision:
    refitted = _find_refitted_champion(leaderboard, champion)
    if refitted is None:
        return Decision(
            False,
            f"{entry['name']}: the champion's specification ({champion.get('version')}) was not refitted on these folds, "
            "so the two cannot be compared",
        )
    comparison = f"skill {entry['skill']:.3f}, {refitted['name']} refitted on the same folds {refitted['skill']:.3f}"
    if entry["skill"] >= refitted["skill"] + MARGIN - _ROUNDING:
        return Decision(True, f"{entry['name']}: {comparison}")
    return Decision(False, f"{entry['name']} is not better by {MARGIN}: {comparison}")


def _find_refitted_champion(leaderboard: Mapping[str, Any], champion: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The entry of the champion's specification, refitted on these folds."""
    return next(
        (entry for entry in leaderboard["candidates"] if is_same_spec(entry["recipe"], champion.get("recipe"))), None
    )


def _find_candidate(leaderboard: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    entry: Mapping[str, Any]
    for entry in leaderboard["candidates"]:
        if entry["name"] == name:
            return entry
    raise KeyError(f"{name!r} is not a candidate on the leaderboard")


def _skill_of(leaderboard: Mapping[str, Any], name: str) -> float | None:
    return next((entry["skill"] for entry in leaderboard["baselines"] if entry["name"] == name), None)
