"""Intervals: the quantile worked by hand, tables by kind of row, and coverage that holds on the fold after."""

import numpy as np
import pytest

from cryptoliq_assets.models.evaluation import evaluate
from cryptoliq_assets.models.folds import make_folds
from cryptoliq_assets.models.intervals import ConformalTable, calibrate, calibrate_last, coverage_report, groups_of
from cryptoliq_assets.models.recipes import CANDIDATES


def test_of_99_residuals_the_90th_is_the_half_width_at_90_percent():
    # ceil((99 + 1) * 0.9) = 90: the 90th smallest of 1, 2, …, 99.
    residuals = np.arange(1.0, 100.0) * np.where(np.arange(99) % 2, 1, -1)
    table = calibrate(residuals, np.full(99, "1-50"), level=0.9)
    assert table.half_widths["pooled"] == 90.0


def test_five_residuals_give_the_largest_and_never_an_empty_table():
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
    # A bare request of a bucket never seen gets the bare requests' table, not that of rows with history.
    assert table.half_width(np.array(["without_history:unknown"]))[0] == pytest.approx(1.645 * 0.05, rel=0.08)
    assert ConformalTable.from_dict(table.to_dict()) == table


def test_seven_days_are_young_and_eight_are_not_and_a_bare_request_is_neither():
    bucket, days = np.array([0, 0, 5, 1]), np.array([7, 8, 30, 1])
    assert groups_of(bucket, days).tolist() == ["young", "1-50", "unknown", "young"]
    assert groups_of(bucket, days, history=False).tolist() == [
        "without_history:1-50",
        "without_history:1-50",
        "without_history:unknown",
        "without_history:51-200",
    ]


def test_coverage_is_of_folds_after_the_first_and_near_nominal_where_nothing_changes(rows):
    evaluation = evaluate(CANDIDATES["linear_regression"], rows, make_folds(rows))
    # Residuals without drift: what the method must cover whatever the model.
    evaluation.forecasts["with_history"][:] = rows.y[evaluation.rows] + np.random.default_rng(2).normal(
        scale=0.05, size=len(evaluation.rows)
    )
    report = coverage_report(evaluation, rows, level=0.9)
    assert [fold["fold"] for fold in report["folds"]] == [2, 3, 4]
    assert report["pooled"]["with_history"]["coverage"] == pytest.approx(0.9, abs=0.02)
    assert report["pooled"]["with_history"]["rows"] == (evaluation.fold > 1).sum()
    assert report["pooled"]["young"]["rows"] == (evaluation.fold > 1).sum()


def test_the_served_table_comes_from_the_last_fold(rows):
    evaluation = evaluate(CANDIDATES["linear_regression"], rows, make_folds(rows))
    last = int((evaluation.fold == 4).sum())
    table = calibrate_last(evaluation, rows, level=0.9)
    whole = rows.days_seen[evaluation.rows[evaluation.fold == 4]] >= 8
    assert table.counts["pooled"] == whole.sum()
    assert table.counts["young"] >= last * 0.99
