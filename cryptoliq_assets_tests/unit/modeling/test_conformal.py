"""Split-conformal intervals: quantiles by hand, tables by kind of row, and coverage on the next fold."""

import numpy as np
import pytest

from cryptoliq_assets.modeling.datasets.splits import folds_over_time, make_folds
from cryptoliq_assets.modeling.datasets.training_set import TrainingSet
from cryptoliq_assets.modeling.estimators import CANDIDATES
from cryptoliq_assets.modeling.evaluation.conformal import (
    SplitConformalIntervals,
    calibrate,
    calibrate_last,
    calibration_rows,
    coverage_report,
)
from cryptoliq_assets.modeling.evaluation.cross_validation import Evaluation, evaluate
from cryptoliq_assets.modeling.evaluation.interval_coverage import standard_error as _standard_error
from cryptoliq_assets.modeling.evaluation.interval_groups import assign_interval_groups
from cryptoliq_assets.schemas.groups import VIEWS
from cryptoliq_assets_tests.support.training_rows import toy_rows


def test_the_90th_of_99_residuals_is_the_half_width_at_90():
    # ceil((99 + 1) * 0.9) = 90: the 90th smallest of 1, 2, …, 99.
    residuals = np.arange(1.0, 100.0) * np.where(np.arange(99) % 2, 1, -1)
    table = calibrate(residuals, np.full(99, "1-50"), level=0.9)
    assert table.half_widths["pooled"] == 90.0


def test_with_five_residuals_the_largest_is_the_half_width():
    table = calibrate(np.array([0.1, -0.2, 0.3, 0.05, 0.0]), np.full(5, "unknown"), level=0.9)
    lower, upper = table.interval(np.array([0.5]), np.array(["1-50"]))
    assert (lower[0], upper[0]) == (pytest.approx(0.2), pytest.approx(0.8))


def test_no_residual_is_an_error():
    with pytest.raises(ValueError, match="no residuals"):
        calibrate(np.empty(0), np.empty(0, dtype=str), level=0.9)


def test_each_kind_of_row_has_a_table_of_its_own():
    rng = np.random.default_rng(1)
    spread = {"1-50": 0.01, "above_1000": 0.1, "young": 0.2, "without_history:1-50": 0.05}
    groups = np.repeat(list(spread), 2_000)
    residuals = rng.normal(size=8_000) * np.repeat(list(spread.values()), 2_000)
    table = calibrate(residuals, groups, level=0.9)
    for group, deviation in spread.items():
        assert table.half_width(np.array([group]))[0] == pytest.approx(1.645 * deviation, rel=0.08)
    # A request without history of an unknown bucket uses the table without history, not that of rows with history.
    assert table.half_width(np.array(["without_history:unknown"]))[0] == pytest.approx(1.645 * 0.05, rel=0.08)
    assert SplitConformalIntervals.from_dict(table.to_dict()) == table


def test_two_to_seven_days_are_short_history():
    bucket, days = np.array([0, 0, 5, 1, 5]), np.array([7, 8, 30, 1, 1])
    known = np.zeros(5)
    assert assign_interval_groups(bucket, days, change_24h=known, change_7d=known).tolist() == [
        "young",
        "1-50",
        "unknown",
        "without_history:51-200",
        "without_history:unknown",
    ]


def test_a_row_with_a_missing_change_has_a_group_of_its_own():
    bucket, days = np.array([0, 1, 5, 2, 3]), np.array([90, 7, 1, 8, 1])
    nan = np.nan
    groups = assign_interval_groups(
        bucket, days, change_24h=np.array([0.1, nan, nan, nan, 0.0]), change_7d=np.array([nan, 0.1, nan, nan, nan])
    )
    assert groups.tolist() == [
        "no_7d",
        "young:no_24h",
        "without_history:no_changes",
        "no_changes",
        "without_history:no_7d",
    ]


def test_a_row_with_a_missing_change_uses_residuals_of_its_kind():
    groups = np.repeat(["1-50", "no_7d", "young:no_7d"], [500, 150, 20])
    table = calibrate(np.repeat([0.01, 0.2, 0.4], [500, 150, 20]), groups, level=0.9)
    assert table.counts["pooled"] == 500
    assert table.source_of("no_7d") == "no_7d"
    assert table.source_of("young:no_7d") == table.source_of("without_history:no_changes") == "partial:pooled"
    assert table.half_widths["partial:pooled"] == 0.4


def test_coverage_is_near_nominal_after_the_first_fold(rows):
    evaluation = evaluate(CANDIDATES["linear_regression"], rows, make_folds(rows))
    # Residuals without drift, which the method must cover for any model.
    evaluation.forecasts["with_history"][:] = rows.y[evaluation.rows] + np.random.default_rng(2).normal(
        scale=0.05, size=len(evaluation.rows)
    )
    report = coverage_report(evaluation, rows, level=0.9)
    assert [fold["fold"] for fold in report["folds"]] == [2, 3, 4]
    assert report["pooled"]["with_history"]["coverage"] == pytest.approx(0.9, abs=0.02)
    assert report["pooled"]["with_history"]["rows"] == (evaluation.fold > 1).sum()
    # A row reduced to its first day has no history, and is reported as such.
    later = evaluation.rows[evaluation.fold > 1]
    assert report["pooled"]["young"]["rows"] == (rows.days_of("young")[later] > 1).sum()
    assert report["pooled"]["without_history"]["rows"] == len(later)


def test_the_served_table_comes_from_the_last_fold(rows):
    evaluation = evaluate(CANDIDATES["linear_regression"], rows, make_folds(rows))
    last = evaluation.rows[evaluation.fold == 4]
    table = calibrate_last(evaluation, rows, level=0.9)
    assert table.counts["pooled"] == (rows.days_seen[last] >= 8).sum()
    shortened, actual = rows.days_of("young")[last], rows.days_seen[last]
    assert table.counts["young"] == (shortened > 1).sum() + ((actual > 1) & (actual < 8)).sum()
    # Each row counts once, in whichever view it has no history.
    assert table.counts["without_history:pooled"] == len(last)


def with_residuals(rows: TrainingSet, *, count: int, origin: int, by_day: dict[int, float]) -> Evaluation:
    """Make an evaluation whose forecasts have the given error on each tested day."""
    folds = folds_over_time(rows, count=count, first_origin=rows.date[origin])
    tested = np.concatenate([fold.test for fold in folds])
    predicted = rows.y[tested] - np.array([by_day[int(row)] for row in tested])
    return Evaluation(
        name="toy",
        spec=None,
        evaluation="over_time",
        folds=tuple(fold.describe() for fold in folds),
        rows=tested,
        fold=np.concatenate([np.full(len(fold.test), fold.number) for fold in folds]),
        forecasts=dict.fromkeys(VIEWS, predicted),
        references={},
        metrics={},
        seconds=0.0,
    )


def test_only_residuals_known_before_the_fold_calibrate_it():
    # Twelve days; fold 1 tests days 4 to 7, fold 2 days 8 to 11. The labels of days 4, 5, 6, 7 are of days 7, 8, 9, 10:
    # before day 8 only that of day 4 is known, and its residual is 1. The others, 100, would cover everything.
    rows = toy_rows(list(range(12)), horizon=3)
    evaluation = with_residuals(
        rows, count=2, origin=4, by_day={4: 1.0, 5: 100.0, 6: 100.0, 7: 100.0, 8: 0.5, 9: 2.0, 10: 2.0, 11: 2.0}
    )

    assert evaluation.rows[calibration_rows(evaluation, rows, 2)].tolist() == [4]
    assert not calibration_rows(evaluation, rows, 1).any()
    (fold,) = coverage_report(evaluation, rows, level=0.9)["folds"]
    assert fold["fold"] == 2
    for view in VIEWS:
        assert fold["groups"][view]["mean_width"] == 2.0
        assert fold["groups"][view]["coverage"] == 0.25


def test_at_horizon_one_the_previous_folds_last_day_is_purged():
    rows = toy_rows(list(range(12)))
    evaluation = with_residuals(rows, count=2, origin=4, by_day=dict.fromkeys(range(12), 1.0))
    assert evaluation.rows[calibration_rows(evaluation, rows, 2)].tolist() == [4, 5, 6]


def test_without_known_labels_an_earlier_fold_calibrates():
    # Blocks 6-9, 10-13, 14-17, five days ahead. Before day 10 the labels up to day 4 are known: of no tested day. Before
    # day 14 those up to day 8: three of the first block, none of the second.
    rows = toy_rows(list(range(18)), horizon=5)
    evaluation = with_residuals(rows, count=3, origin=6, by_day=dict.fromkeys(range(18), 1.0))
    assert evaluation.rows[calibration_rows(evaluation, rows, 3)].tolist() == [6, 7, 8]
    assert [fold["fold"] for fold in coverage_report(evaluation, rows, level=0.9)["folds"]] == [3]


def test_serving_uses_every_residual_of_the_last_fold():
    rows = toy_rows(list(range(12)), horizon=3)
    evaluation = with_residuals(rows, count=2, origin=4, by_day={row: float(row) for row in range(12)})
    table = calibrate_last(evaluation, rows, level=0.9)
    # Days 8 to 11 in four views each, although the label of day 11 is of day 14.
    assert table.counts == {"pooled": 16}
    assert table.half_widths == {"pooled": 11.0}


def test_a_small_group_uses_the_pool_and_reports_it():
    rng = np.random.default_rng(3)
    groups = np.repeat(["above_1000", "1-50"], [500, 99])
    table = calibrate(rng.normal(size=599), groups, level=0.9)
    result = table.explain(np.array(["1-50", "above_1000", "without_history:1-50"]))
    assert result["residuals"].tolist() == [599, 500, 599]
    assert result["own"].tolist() == [False, True, False]
    assert table.source_of("1-50") == "pooled"


def test_sixty_rows_without_history_have_their_own_half_width():
    # As many rows as with full history: their residuals, ten times as large, are as reliable as those of the pool.
    residuals = np.concatenate([np.full(60, 0.01), np.full(60, 0.1)])
    groups = np.repeat(["1-50", "without_history:1-50"], 60)
    table = calibrate(residuals, groups, level=0.9)
    assert table.half_width(np.array(["without_history:1-50", "1-50"])).tolist() == [0.1, 0.01]
    # Three rows compared with sixty are too few.
    few = calibrate(residuals[:63], groups[:63], level=0.9)
    assert few.source_of("without_history:1-50") == "pooled"


def test_the_report_has_the_smallest_residual_count(rows):
    evaluation = evaluate(CANDIDATES["linear_regression"], rows, make_folds(rows))
    report = coverage_report(evaluation, rows, level=0.9)
    counts = [fold["groups"]["young"]["residuals"] for fold in report["folds"]]
    assert report["pooled"]["young"]["residuals"] == min(counts)
    # All of fold 1 but its last day: rows shortened to a short history, and twice the few that really have one.
    known = evaluation.rows[calibration_rows(evaluation, rows, 2)]
    actual = (rows.days_seen[known] > 1) & (rows.days_seen[known] < 8)
    assert counts[0] == (rows.days_of("young")[known] > 1).sum() + actual.sum()
    assert report["pooled"]["young"]["own"] is True
    assert report["pooled"]["unknown"]["own"] is False


def test_rows_with_a_missing_change_need_their_own_residuals(rows):
    evaluation = evaluate(CANDIDATES["linear_regression"], rows, make_folds(rows))
    report = coverage_report(evaluation, rows, level=0.9)
    result = report["pooled"]["partial"]
    assert result["coverage"] == pytest.approx(0.9, abs=0.03)
    missed = np.abs(rows.y[evaluation.rows] - evaluation.forecasts["partial"])[evaluation.fold > 1]
    assert np.mean(missed <= report["pooled"]["with_history"]["mean_width"] / 2) < 0.8


def test_the_standard_error_counts_a_day_as_one_draw():
    covered = np.array([1.0, 1.0, 0.0, 0.0])
    # Two days, one fully covered and one not: 0.5 ± 0.5. Four independent draws: sqrt(4/3 · 4 · 0.25) / 4.
    assert _standard_error(covered, np.array([1, 1, 2, 2])) == pytest.approx(0.5)
    assert _standard_error(covered, np.arange(4)) == pytest.approx(0.2887, abs=1e-4)
    assert _standard_error(covered, np.zeros(4)) is None


def test_the_report_names_whose_residuals_a_group_was_given(rows):
    pooled = coverage_report(evaluate(CANDIDATES["linear_regression"], rows, make_folds(rows)), rows, level=0.9)[
        "pooled"
    ]
    assert (pooled["1-50"]["own"], pooled["1-50"]["source"]) == (True, "1-50")
    assert (pooled["unknown"]["own"], pooled["unknown"]["source"]) == (False, "pooled")
    assert 0 < pooled["with_history"]["standard_error"] < 0.05
