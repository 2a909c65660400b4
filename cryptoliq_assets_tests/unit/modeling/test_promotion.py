"""Promotion criteria: which candidates are promoted or rejected, and the reason."""

import copy

import pytest

from cryptoliq_assets.modeling.estimators import CANDIDATES, CHAMPION_SPEC
from cryptoliq_assets.modeling.registry.promotion import decide_promotion, evaluate_candidates

FEATURES = list(CANDIDATES["xgboost"].features)


def entry(name: str, skills: list[float], *, spec: dict | None = None, r2: float = 0.85) -> dict:
    folds = [{"fold": n, "rows": 100, "skill": s, "r2": r2} for n, s in enumerate(skills, start=1)]
    empty = [{"fold": n, "rows": 0, "skill": None, "r2": None} for n, _ in enumerate(skills, start=1)]
    spec = spec or CANDIDATES.get(name, CANDIDATES["xgboost"]).to_dict()
    return {
        "name": name,
        "skill": sum(skills) / len(skills),
        "recipe": spec,
        "metrics": {"with_history": {"all": {"folds": folds}, "known_cap": {"folds": empty}}},
    }


def full_entry(name: str, skills: list[float]) -> dict:
    """Make an entry with all views, in which every fold has rows."""
    candidate = entry(name, skills)
    full = candidate["metrics"]["with_history"]["all"]
    metrics = {
        view: {population: copy.deepcopy(full) for population in ("all", "known_cap")}
        for view in ("with_history", "young", "without_history")
    }
    return candidate | {"metrics": metrics}


def board(*candidates: dict, evaluation: str = "over_time", har: float = 0.2, coins: int = 5) -> dict:
    best = max(candidates, key=lambda candidate: candidate["skill"])
    folds = max(len(candidate["metrics"]["with_history"]["all"]["folds"]) for candidate in candidates)
    return {
        "evaluation": evaluation,
        "formula": "kyle_obizhaeva",
        "horizon_days": 1,
        "coins": {population: [coins] * folds for population in ("all", "known_cap")},
        "best": best["name"],
        "candidates": list(candidates),
        "baselines": [{"name": "har", "skill": har}],
    }


def champion(name: str, skill: float, *, evaluation: str = "over_time", har: float | None = 0.2) -> dict:
    return {
        "version": "XGBoost_2024-01-01_v1",
        "evaluation": evaluation,
        "formula": "kyle_obizhaeva",
        "horizon_days": 1,
        "recipe": CANDIDATES[name].to_dict(),
        "metrics": {"skill": skill, "skill_har": har},
    }


def test_the_first_champion_needs_skill_in_every_fold():
    assert decide_promotion(board(entry("xgboost", [0.1, 0.3]))).promote
    rejected = decide_promotion(board(entry("xgboost", [0.5, 0.0])))
    assert not rejected.promote
    assert rejected.reason == "xgboost: skill 0.000 in fold 2 (all rows), not above 0"


def test_undefined_skill_is_not_skill():
    candidate = entry("xgboost", [0.3])
    candidate["metrics"]["with_history"]["all"]["folds"][0]["skill"] = None
    assert "undefined" in decide_promotion(board(candidate)).reason


@pytest.mark.parametrize(
    ("skills", "r2", "measure"), [([0.3, 0.71], 0.9, "skill 0.710"), ([0.3, 0.3], 0.995, "r2 0.995")]
)
def test_implausible_skill_is_leakage_and_fails_the_run(skills, r2, measure):
    decision = decide_promotion(board(entry("xgboost", skills, r2=r2)))
    assert decision.leakage
    assert not decision.promote
    assert measure in decision.reason


@pytest.mark.parametrize("view", ["with_history", "young", "without_history"])
@pytest.mark.parametrize("population", ["all", "known_cap"])
@pytest.mark.parametrize(("measure", "value"), [("skill", 0.701), ("r2", 0.991)])
def test_leakage_of_any_candidate_fails_the_run(view, population, measure, value):
    for name in ("xgboost", "random_forest"):
        leaderboard = board(full_entry("xgboost", [0.3, 0.3]), full_entry("random_forest", [0.2, 0.2]))
        assert decide_promotion(leaderboard).promote
        leaking = next(candidate for candidate in leaderboard["candidates"] if candidate["name"] == name)
        leaking["metrics"][view][population]["folds"][1][measure] = value
        decision = decide_promotion(leaderboard)
        assert (decision.promote, decision.leakage) == (False, True)
        assert f"{name}: {measure} {value} in fold 2 ({population} rows, {view}) is above" in decision.reason


def test_folds_by_coin_are_not_checked_for_leakage():
    assert decide_promotion(board(entry("xgboost", [0.9], r2=0.999), evaluation="by_coin")).promote


def test_a_challenger_must_be_better_by_a_hundredth():
    current = champion("random_forest", 0.6)
    better = board(entry("xgboost", [0.311, 0.311]), entry("random_forest", [0.3, 0.3]))
    assert decide_promotion(better, champion=current).promote
    slightly_better = decide_promotion(
        board(entry("xgboost", [0.309, 0.309]), entry("random_forest", [0.3, 0.3])), champion=current
    )
    assert not slightly_better.promote
    assert "refitted on the same folds 0.300" in slightly_better.reason


def test_a_champion_that_was_not_refitted_is_not_compared():
    decision = decide_promotion(board(entry("xgboost", [0.5])), champion=champion("random_forest", 0.1))
    assert not decision.promote
    assert "not refitted on these folds" in decision.reason


@pytest.mark.parametrize(("now", "promoted"), [(0.35, True), (0.3499, False), (0.5, True)])
def test_a_refresh_may_lose_at_most_a_hundredth(now, promoted):
    assert decide_promotion(board(entry("xgboost", [now])), champion=champion("xgboost", 0.36)).promote is promoted


@pytest.mark.parametrize(("har", "now", "promoted"), [(0.15, 0.31, False), (0.25, 0.36, True)])
def test_the_change_of_har_is_reported_but_not_decisive(har, now, promoted):
    decision = decide_promotion(board(entry("xgboost", [now]), har=har), champion=champion("xgboost", 0.36))
    assert decision.promote is promoted
    assert f"(har {har:.3f}, before 0.200)" in decision.reason


def test_without_a_better_challenger_the_champion_is_refreshed():
    leaderboard = board(entry("xgboost", [0.305]), entry("random_forest", [0.3]))
    rejected, refreshed = evaluate_candidates(leaderboard, champion=champion("random_forest", 0.305))
    assert (rejected.candidate, rejected.promote) == ("xgboost", False)
    assert "not better by 0.01" in rejected.reason
    assert (refreshed.candidate, refreshed.promote) == ("random_forest", True)
    assert "random_forest refreshed: skill 0.300, before 0.305" in refreshed.reason


def test_a_rejected_challenger_does_not_prevent_a_refresh():
    leaderboard = board(entry("xgboost", [0.7, -0.01]), entry("random_forest", [0.3, 0.3]))
    decisions = evaluate_candidates(leaderboard, champion=champion("random_forest", 0.3))
    assert [decision.promote for decision in decisions] == [False, True]


def test_a_better_challenger_is_the_only_decision():
    leaderboard = board(entry("xgboost", [0.305]), entry("random_forest", [0.3]))
    worse = evaluate_candidates(leaderboard, champion=champion("random_forest", 0.4))
    assert [(decision.candidate, decision.promote) for decision in worse] == [
        ("xgboost", False),
        ("random_forest", False),
    ]
    better = board(entry("xgboost", [0.4]), entry("random_forest", [0.3]))
    decisions = evaluate_candidates(better, champion=champion("random_forest", 0.3))
    assert [decision.candidate for decision in decisions] == ["xgboost"]
    against_itself = evaluate_candidates(leaderboard, champion=champion("xgboost", 0.4))
    assert [(decision.candidate, decision.promote) for decision in against_itself] == [
        ("xgboost", False),
        ("random_forest", False),
    ]


def result(decisions) -> list[tuple[str, bool]]:
    return [(decision.candidate, decision.promote) for decision in decisions]


def test_the_first_candidate_that_passes_is_promoted():
    leaderboard = board(
        entry("linear_regression", [0.2, 0.2]), entry("xgboost", [0.7, -0.01]), entry("random_forest", [0.3, 0.3])
    )
    decisions = evaluate_candidates(leaderboard)
    assert result(decisions) == [("xgboost", False), ("random_forest", True)]
    assert decisions[0].reason == "xgboost: skill -0.010 in fold 2 (all rows), not above 0"
    assert result(evaluate_candidates(leaderboard, champion=champion("linear_regression", 0.2))) == result(decisions)
    # Folds by coin have no skill criterion, but undeclared targets are rejected, and the next candidate is provisional.
    by_coin = copy.deepcopy(leaderboard) | {"evaluation": "by_coin"}
    by_coin["candidates"][1]["recipe"]["target"] = "change_from_tomorrow"
    assert result(evaluate_candidates(by_coin)) == [("xgboost", False), ("random_forest", True)]


def test_without_skill_in_every_fold_each_candidate_is_rejected():
    leaderboard = board(entry("xgboost", [0.2, -0.1]), entry("random_forest", [0.1, -0.1]))
    for current in (None, champion("linear_regression", 0.1)):
        assert result(evaluate_candidates(leaderboard, champion=current)) == [
            ("xgboost", False),
            ("random_forest", False),
        ]


def test_folds_by_coin_give_one_rejection_for_all():
    leaderboard = board(entry("xgboost", [0.2]), entry("random_forest", [0.1]), evaluation="by_coin")
    assert result(evaluate_candidates(leaderboard, champion=champion("xgboost", 0.1))) == [("xgboost", False)]


def test_leakage_in_a_lower_ranked_candidate_fails_the_run():
    leaderboard = board(entry("xgboost", [0.3]), entry("random_forest", [0.2], r2=0.995))
    (decision,) = evaluate_candidates(leaderboard)
    assert (decision.promote, decision.leakage) == (False, True)


def test_a_retired_specification_is_only_refreshed():
    retired = entry(CHAMPION_SPEC, [0.5]) | {"recipe": CANDIDATES["xgboost"].to_dict() | {"half_life_days": 3.0}}
    leaderboard = board(retired, entry("xgboost", [0.3])) | {"best": "xgboost"}
    current = champion("xgboost", 0.5) | {"recipe": retired["recipe"]}
    assert result(evaluate_candidates(leaderboard, champion=current)) == [(CHAMPION_SPEC, True)]
    assert result(evaluate_candidates(leaderboard, champion=current | {"evaluation": "by_coin"})) == [("xgboost", True)]


@pytest.mark.parametrize("other", [{"formula": "amihud"}, {"horizon_days": 7}])
def test_a_champion_of_another_task_counts_as_none(other):
    current = champion("xgboost", 0.9) | other
    worse = board(entry("xgboost", [0.1]))
    assert not decide_promotion(worse, champion=champion("xgboost", 0.9)).promote
    (decision,) = evaluate_candidates(worse, champion=current)
    assert decision.promote
    assert decision.reason.startswith(
        "xgboost: skill 0.100, the first champion; not compared, because the task differs"
    )
    assert "the settings require kyle_obizhaeva 1 day(s) ahead" in decision.reason
    task = f"{current['formula']} {current['horizon_days']} day(s) ahead"
    assert f"XGBoost_2024-01-01_v1 forecasts {task}" in decision.reason
    # The criteria of a first champion apply: skill in every fold.
    assert not decide_promotion(board(entry("xgboost", [0.3, 0.0])), champion=current).promote
    assert result(evaluate_candidates(board(entry("xgboost", [0.1]), evaluation="by_coin"), champion=current)) == [
        ("xgboost", True)
    ]


def set_fold(leaderboard: dict, *, rows: int, coins: int, skill: float | None, population: str = "known_cap") -> dict:
    """Set rows and coins of the second fold in a population, and the skill of each candidate there."""
    for candidate in leaderboard["candidates"]:
        candidate["metrics"]["with_history"][population]["folds"][1] |= {"rows": rows, "skill": skill}
    leaderboard["coins"][population] = [5, coins]
    return leaderboard


@pytest.mark.parametrize("skill", [-0.2, None, 0.75])
@pytest.mark.parametrize(("rows", "coins", "counts"), [(12, 5, False), (400, 4, False), (99, 5, False), (100, 5, True)])
def test_few_known_caps_are_reported_but_not_decisive(rows, coins, counts, skill):
    leaderboard = board(full_entry("xgboost", [0.3, 0.3]), full_entry("random_forest", [0.2, 0.2]))
    decision = decide_promotion(set_fold(leaderboard, rows=rows, coins=coins, skill=skill))
    assert decision.promote is not counts
    skill_text = "undefined" if skill is None else f"{skill:.3f}"
    message = f"too few rows or coins to count: known_cap rows of fold 2 ({rows} of {coins} coins, skill {skill_text})"
    assert (message in decision.reason) is not counts
    if counts:
        assert decision.leakage is (skill == 0.75)
        assert "fold 2 (known_cap rows" in decision.reason


@pytest.mark.parametrize(("skill", "promoted"), [(-0.2, False), (None, False), (0.1, True), (0.75, True)])
def test_few_rows_count_for_skill_but_not_for_leakage(skill, promoted):
    leaderboard = set_fold(board(entry("xgboost", [0.3, 0.3])), rows=12, coins=2, skill=skill, population="all")
    decision = decide_promotion(leaderboard)
    assert (decision.promote, decision.leakage) == (promoted, False)
    assert "too few rows or coins to count: all rows of fold 2 (12 of 2 coins, skill" in decision.reason


def test_after_leakage_no_other_candidate_is_evaluated():
    leaderboard = board(entry("xgboost", [0.71]), entry("random_forest", [0.3]))
    (decision,) = evaluate_candidates(leaderboard, champion=champion("random_forest", 0.3))
    assert decision.leakage


def test_folds_by_coin_never_replace_a_champion_over_time():
    provisional = board(entry("xgboost", [-0.2]), evaluation="by_coin")
    assert decide_promotion(provisional).promote
    assert decide_promotion(provisional, champion=champion("xgboost", 0.1, evaluation="by_coin")).promote
    rejected = decide_promotion(provisional, champion=champion("xgboost", 0.1))
    assert not rejected.promote
    assert "cannot replace" in rejected.reason


def test_folds_over_time_replace_a_provisional_champion():
    current = champion("xgboost", 0.9, evaluation="by_coin")
    assert decide_promotion(board(entry("linear_regression", [0.1])), champion=current).promote


def test_features_must_be_declared_and_in_order():
    unknown = copy.deepcopy(entry("xgboost", [0.3]))
    unknown["recipe"]["features"] = [*FEATURES, "tomorrow"]
    assert decide_promotion(board(unknown)).reason == "xgboost: unknown features: tomorrow"
    swapped = copy.deepcopy(entry("xgboost", [0.3]))
    swapped["recipe"]["features"] = [FEATURES[1], FEATURES[0], *FEATURES[2:]]
    assert decide_promotion(board(swapped)).reason == "xgboost: features not in their declared order"


@pytest.mark.parametrize(("field", "value"), [("target", "change_from_tomorrow"), ("learner", "Oracle")])
def test_forecaster_and_target_must_be_declared(field, value):
    candidate = copy.deepcopy(entry("xgboost", [0.3]))
    candidate["recipe"][field] = value
    assert decide_promotion(board(candidate)).reason == f"xgboost: {field} {value!r} is unknown"


def test_a_feature_must_be_a_float_column_of_the_table():
    candidate = copy.deepcopy(entry("xgboost", [0.3]))
    candidate["recipe"]["features"] = ["coin", FEATURES[0], "tomorrow"]
    decision = decide_promotion(board(candidate), declared=["coin", FEATURES[0], "tomorrow"])
    assert decision.reason == "xgboost: not float columns of engineered_features: coin, tomorrow"
