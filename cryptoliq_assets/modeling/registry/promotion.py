"""The gate: whether a fitted candidate may become champion. Pure decisions, each with its reason."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cryptoliq_assets.modeling import describe_task_mismatch
from cryptoliq_assets.modeling.datasets import OVER_TIME
from cryptoliq_assets.modeling.estimators import CHAMPION_SPEC, FORECASTERS, TARGET_BASELINES, same_recipe
from cryptoliq_assets.modeling.evaluation import POPULATIONS
from cryptoliq_assets.schemas import MODEL_FEATURES, TABLES, WITH_HISTORY

# Nobody forecasts tomorrow's liquidity this well: above it, tomorrow has leaked into the features.
LEAKAGE_SKILL = 0.7
LEAKAGE_R2 = 0.99
# A different recipe must be better by this much skill, a refreshed one not worse by more: about twice the
# standard error of a mean skill (0.006).
MARGIN = 0.01
# 0.36 - 0.01 is not 0.35 in binary.
_ROUNDING = 1e-9
# A fold's rows of fewer than these say little: the standard error of a skill is then near 0.1, and a coin's own days are
# alike, so that 12 rows of one coin are hardly more than one observation.
LEAST_ROWS = 100
LEAST_COINS = 5
# All rows, which every candidate is judged by however few they are: nothing else would be left to judge it by.
ALL = "all"
# What the features of a model are columns of.
INPUT_TABLE = "engineered_features"


@dataclass(frozen=True)
class Decision:
    """Whether to promote, and why or why not; `leakage` asks that the run fail rather than merely keep the champion.

    candidate: the entry of the leaderboard that was decided on.
    """

    promote: bool
    reason: str
    leakage: bool = False
    candidate: str = ""


def evaluate_candidates(leaderboard: Mapping[str, Any], *, champion: Mapping[str, Any] | None = None) -> list[Decision]:
    """The decisions of one training, down the ranking to the first candidate that passes: at most the last one promotes.

    The champion's own recipe stands in the ranking too, refitted, so no champion grows old for want of a better rival.
    champion: metadata of the one that stands, None where there is none.
    """
    over_time = leaderboard["evaluation"] == OVER_TIME
    held = champion if champion is not None and not _other_task(leaderboard, champion) else None
    held_over_time = held is not None and held.get("evaluation") == OVER_TIME
    if held_over_time and not over_time:
        # Refused for how all of them were evaluated: once will do.
        return [decide_promotion(leaderboard, champion=champion)]
    decisions: list[Decision] = []
    for entry in sorted(leaderboard["candidates"], key=_rank):
        # A recipe that is no candidate any more is there to be compared with, or refreshed.
        if entry["name"] == CHAMPION_SPEC and not held_over_time:
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
    """Whether `candidate` (default: the leaderboard's best) replaces `champion` (its metadata; None: there is none).

    The champion's recipe must be on the leaderboard too, refitted on the same folds, unless it is the candidate's
    own: a fitted champion has seen the folds and would never be beaten. A champion of another task (formula, horizon)
    counts as none, and the reason says so.
    """
    entry = _named(leaderboard, candidate or leaderboard["best"])
    other = _other_task(leaderboard, champion) if champion is not None else None
    decision = _decide(entry, leaderboard, None if other else champion, declared)
    if other:
        decision = replace(decision, reason=f"{decision.reason}; another task, so nothing to compare with: {other}")
    return replace(decision, candidate=entry["name"])


def _decide(
    entry: Mapping[str, Any],
    leaderboard: Mapping[str, Any],
    champion: Mapping[str, Any] | None,
    declared: Sequence[str],
) -> Decision:
    over_time = leaderboard["evaluation"] == OVER_TIME
    # What one of them knows of tomorrow the tables told it: the run fails whichever it is.
    smells = (_leakage(other, leaderboard) for other in leaderboard["candidates"]) if over_time else ()
    smell = next(filter(None, smells), None)
    if smell:
        return Decision(False, smell, leakage=True)
    refusal = _reject_unknown_features(entry, declared)
    if refusal:
        return Decision(False, refusal)
    if not over_time:
        return _provisional(entry, champion)
    refusal = _reject_low_skill(entry, leaderboard)
    decision = Decision(False, refusal) if refusal else _compared(entry, leaderboard, champion)
    return replace(decision, reason=decision.reason + _reject_missing_metrics(entry, leaderboard))


def _compared(entry: Mapping[str, Any], leaderboard: Mapping[str, Any], champion: Mapping[str, Any] | None) -> Decision:
    if champion is None:
        return Decision(True, f"{entry['name']}: skill {entry['skill']:.3f}, the first champion")
    if champion.get("evaluation") != OVER_TIME:
        return Decision(
            True, f"{entry['name']}: skill {entry['skill']:.3f} over time, in place of a provisional champion"
        )
    if same_recipe(champion.get("recipe"), entry["recipe"]):
        return _refresh(entry, leaderboard, champion)
    return _challenge(entry, leaderboard, champion)


def _provisional(entry: Mapping[str, Any], champion: Mapping[str, Any] | None) -> Decision:
    """Folds by coin say how a model carries over to other coins, not to other days: no skill gate applies."""
    if champion is not None and champion.get("evaluation") == OVER_TIME:
        return Decision(False, "evaluated by coin: never replaces a champion that was evaluated over time")
    return Decision(
        True,
        f"{entry['name']}: provisional, evaluated by coin (skill {_shown(entry['skill'])}); too few dates for folds over time",
    )


def _reject_unknown_features(entry: Mapping[str, Any], declared: Sequence[str]) -> str | None:
    recipe = entry["recipe"] or {}
    features = list(recipe.get("features", ()))
    unknown = [name for name in features if name not in declared]
    if not features:
        return f"{entry['name']}: no declared features"
    if unknown:
        return f"{entry['name']}: features that are not declared: {', '.join(unknown)}"
    if features != [name for name in declared if name in set(features)]:
        return f"{entry['name']}: features out of their declared order"
    columns = TABLES[INPUT_TABLE].schema.columns
    unheld = [name for name in features if name not in columns or not str(columns[name].dtype).startswith("float")]
    if unheld:
        return f"{entry['name']}: no numbers of that name in the schema of {INPUT_TABLE}: {', '.join(unheld)}"
    for field, known in (("learner", FORECASTERS), ("target", TARGET_BASELINES)):
        if recipe.get(field) not in known:
            return f"{entry['name']}: {field} {recipe.get(field)!r} is not declared"
    return None


def _folds(
    populations: Mapping[str, Any], leaderboard: Mapping[str, Any]
) -> Iterator[tuple[str, Mapping[str, Any], int, bool]]:
    """Each fold of each population: its name, its measures, its coins, and whether it has rows and coins enough to count."""
    for population in POPULATIONS:
        for fold, coins in zip(populations[population]["folds"], leaderboard["coins"][population], strict=True):
            yield population, fold, coins, fold["rows"] >= LEAST_ROWS and coins >= LEAST_COINS


def _leakage(entry: Mapping[str, Any], leaderboard: Mapping[str, Any]) -> str | None:
    """What is too good to be true, in any view, population or fold that counts."""
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
            return f"{entry['name']}: skill {_shown(fold['skill'])} in fold {fold['fold']} ({population} rows), not above 0"
    return None


def _reject_missing_metrics(entry: Mapping[str, Any], leaderboard: Mapping[str, Any]) -> str:
    """What was too small to count, to stand behind a reason: known caps not at all, all rows not as a sign of leakage."""
    told = [
        f"{population} rows of fold {fold['fold']} ({fold['rows']} of {coins} coins, skill {_shown(fold['skill'])})"
        + (", for leakage" if population == ALL else "")
        for population, fold, coins, counts in _folds(entry["metrics"][WITH_HISTORY], leaderboard)
        if fold["rows"] and not counts
    ]
    return f"; too few to count: {', '.join(told)}" if told else ""


def _shown(skill: float | None) -> str:
    return "undefined" if skill is None else f"{skill:.3f}"


def _rank(entry: Mapping[str, Any]) -> tuple[bool, float]:
    return entry["skill"] is None, -(entry["skill"] or 0.0)


def _other_task(leaderboard: Mapping[str, Any], champion: Mapping[str, Any]) -> str | None:
    return describe_task_mismatch(champion, formula=leaderboard["formula"], horizon_days=leaderboard["horizon_days"])


def _refresh(entry: Mapping[str, Any], leaderboard: Mapping[str, Any], champion: Mapping[str, Any]) -> Decision:
    """The same recipe on newer rows, against what it reached before. That other days may be harder or easier for every
    forecast is told by HAR's skill on both, and decides nothing."""
    before = champion["metrics"]["skill"]
    told = f"skill {entry['skill']:.3f}, before {before:.3f}"
    now_har, before_har = _skill_of(leaderboard, "har"), champion["metrics"].get("skill_har")
    if now_har is not None and before_har is not None:
        told += f" (har {now_har:.3f}, before {before_har:.3f})"
    if entry["skill"] >= before - MARGIN - _ROUNDING:
        return Decision(True, f"{entry['name']} refreshed: {told}")
    return Decision(False, f"{entry['name']} refreshed is worse by more than {MARGIN}: {told}")


def _challenge(entry: Mapping[str, Any], leaderboard: Mapping[str, Any], champion: Mapping[str, Any]) -> Decision:
    holder = _refitted(leaderboard, champion)
    if holder is None:
        return Decision(
            False,
            f"{entry['name']}: the champion's recipe ({champion.get('version')}) was not refitted on these folds, "
            "so the two do not compare",
        )
    told = f"skill {entry['skill']:.3f}, {holder['name']} refitted on the same folds {holder['skill']:.3f}"
    if entry["skill"] >= holder["skill"] + MARGIN - _ROUNDING:
        return Decision(True, f"{entry['name']}: {told}")
    return Decision(False, f"{entry['name']} is not better by {MARGIN}: {told}")


def _refitted(leaderboard: Mapping[str, Any], champion: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The entry of the champion's own recipe, refitted on these folds."""
    return next(
        (entry for entry in leaderboard["candidates"] if same_recipe(entry["recipe"], champion.get("recipe"))), None
    )


def _named(leaderboard: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    for entry in leaderboard["candidates"]:
        if entry["name"] == name:
            return entry
    raise KeyError(f"{name!r} is not a candidate on the leaderboard")


def _skill_of(leaderboard: Mapping[str, Any], name: str) -> float | None:
    return next((entry["skill"] for entry in leaderboard["baselines"] if entry["name"] == name), None)
