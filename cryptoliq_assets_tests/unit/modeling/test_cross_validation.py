"""Cross-validation: out of fold, on the same folds for all models, and without rows of the future."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cryptoliq_assets.modeling.datasets.splits import make_folds
from cryptoliq_assets.modeling.estimators import CANDIDATES, CHAMPION_SPEC
from cryptoliq_assets.modeling.evaluation.backtest import measure_coins
from cryptoliq_assets.modeling.evaluation.cross_validation import evaluate, evaluate_baseline, make_backtest_rows
from cryptoliq_assets.modeling.evaluation.leaderboard import (
    bucket_table,
    find_entry,
    leaderboard_table,
    make_leaderboard,
)
from cryptoliq_assets.schemas.groups import VIEWS
from cryptoliq_assets.simulation.market import simulate_market
from cryptoliq_assets_tests.support.training_rows import tables_of, training_set_of

LINEAR = CANDIDATES["linear_regression"]


@pytest.fixture(scope="module")
def evaluation(rows):
    return evaluate(LINEAR, rows, make_folds(rows))


def test_every_row_after_the_first_origin_is_forecast_once(evaluation, rows):
    assert sorted(evaluation.rows) == np.flatnonzero(rows.date >= rows.dates[89 // 3]).tolist()
    assert np.isfinite(evaluation.predicted).all()
    assert np.isfinite(evaluation.forecasts["without_history"]).all()


def test_skill_by_fold_is_what_the_out_of_fold_table_gives(evaluation, rows):
    folds = list(make_backtest_rows(evaluation, rows))
    table = pd.concat(folds)
    first = folds[0]
    assert [frame["fold"].unique().tolist() for frame in folds] == [[fold["fold"]] for fold in evaluation.folds]
    expected = (
        1
        - ((first["realised"] - first["predicted"]) ** 2).sum()
        / ((first["realised"] - first["persistence"]) ** 2).sum()
    )
    assert evaluation.metrics["with_history"]["all"]["folds"][0]["skill"] == pytest.approx(expected)
    assert (table["target_date"] - table["date"]).dt.days.unique().tolist() == [1]


def test_known_caps_are_a_subset_and_buckets_add_up(evaluation):
    metrics = evaluation.metrics["with_history"]
    assert metrics["known_cap"]["mean"]["rows"] < metrics["all"]["mean"]["rows"]
    assert sum(bucket["rows"] for bucket in metrics["all"]["buckets"].values()) == metrics["all"]["mean"]["rows"]
    assert metrics["known_cap"]["buckets"]["unknown"]["rows"] <= metrics["all"]["buckets"]["unknown"]["rows"]


def test_a_line_is_reported_for_each_fold(rows):
    lines = []
    evaluate(LINEAR, rows, make_folds(rows, count=2), progress=lines.append)
    assert [line.split(" (")[0] for line in lines] == [
        "linear_regression: fold 1 of 2",
        "linear_regression: fold 2 of 2",
    ]


def test_two_days_are_evaluated_against_the_mean_change_too():
    rows = training_set_of(tables_of(simulate_market(coins=300, days=9, end=dt.date(2024, 3, 9), seed=5)))
    rows = rows.take(np.flatnonzero(rows.date == rows.dates[-1]))
    folds = make_folds(rows)
    evaluations = [evaluate(spec, rows, folds) for spec in CANDIDATES.values()]
    evaluations.append(evaluate_baseline("har", rows, folds))
    board = make_leaderboard(evaluations, generated_at="now", horizon_days=1, formula="kyle_obizhaeva")
    assert board["evaluation"] == "by_coin"
    assert board["provisional"]
    means = find_entry(board, board["best"])["metrics"]["with_history"]["all"]["mean"]
    assert means["skill_vs_mean_change"] is not None
    assert len(board["folds"]) == 4


def test_the_best_candidate_is_first_and_baselines_are_separate(evaluation, rows):
    folds = make_folds(rows)
    board = make_leaderboard(
        [evaluate_baseline("persistence", rows, folds), evaluation, evaluate_baseline("har", rows, folds)],
        generated_at="2024-03-30T00:00:00+00:00",
        horizon_days=1,
        formula="kyle_obizhaeva",
    )
    assert board["best"] == "linear_regression"
    assert [entry["name"] for entry in board["baselines"]] == ["persistence", "har"]
    assert find_entry(board, "har")["metrics"]["with_history"]["all"]["mean"]["mae_vs_har"] == pytest.approx(1.0)
    table = leaderboard_table(board).splitlines()
    assert len(table) == 5
    mean = evaluation.metrics["with_history"]["all"]["mean"]
    cells = dict(zip(*([cell.strip() for cell in line.strip("|").split("|")] for line in table[::2][:2]), strict=True))
    assert cells["model"] == "linear_regression"
    assert {name: cells[name] for name in ("MAE", "RMSE", "R²", "MAE / HAR")} == {
        "MAE": f"{mean['mae']:.3f}",
        "RMSE": f"{mean['rmse']:.3f}",
        "R²": f"{mean['r2']:.3f}",
        "MAE / HAR": f"{mean['mae_vs_har']:.3f}",
    }
    assert table[3].startswith("| persistence | 0.000 |")
    assert "| 1-50 |" in bucket_table(board, "linear_regression")


def test_the_champions_specification_is_never_the_best(evaluation, rows):
    retired = evaluate(replace(LINEAR, name=CHAMPION_SPEC, params={"alpha": 1.0}), rows, make_folds(rows))
    retired.metrics["with_history"]["all"]["mean"]["skill"] = 0.99
    board = make_leaderboard([evaluation, retired], generated_at="now", horizon_days=1, formula="kyle_obizhaeva")
    assert [entry["name"] for entry in board["candidates"]] == ["champion", "linear_regression"]
    assert board["best"] == "linear_regression"


def test_models_of_different_folds_are_not_ranked_together(evaluation, rows):
    other = evaluate_baseline("har", rows, make_folds(rows, count=2))
    with pytest.raises(ValueError, match="different folds"):
        make_leaderboard([evaluation, other], generated_at="now", horizon_days=1, formula="kyle_obizhaeva")


def test_baselines_alone_make_no_leaderboard(rows):
    with pytest.raises(ValueError, match="no candidate"):
        make_leaderboard(
            [evaluate_baseline("har", rows, make_folds(rows))], generated_at="now", horizon_days=1, formula="turnover"
        )


def test_har_has_no_more_history_than_the_view(rows):
    evaluation = evaluate_baseline("har", rows, make_folds(rows))
    for view in VIEWS:
        mean = evaluation.metrics[view]["all"]["mean"]
        # The reference is the forecast of HAR for the same view, which has the same history.
        assert mean["mae_vs_har"] == 1.0
        coins = measure_coins(evaluation, rows, view=view)
        assert (coins["mae_vs_har"].dropna() == 1.0).all()
    assert (
        evaluation.metrics["without_history"]["all"]["mean"]["mae"]
        > evaluation.metrics["with_history"]["all"]["mean"]["mae"]
    )
