"""Findings on the service: predictions that stopped, and failing requests."""

import datetime as dt

import pytest

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.monitoring.service.prediction_report import find_service_problems
from cryptoliq_assets_tests.support.prediction_logs import TODAY, log_event, log_predictions, prediction_line

pytestmark = pytest.mark.usefixtures("new_process")


def finding_level(settings: Settings, kind: str, now: dt.datetime = TODAY) -> str:
    return {found.kind: found.level for found in find_service_problems(settings, now)}[kind]


def log_usage(
    settings: Settings,
    *,
    until: dt.datetime,
    days: int = 10,
    each_hour: int = 3,
    except_weekdays: frozenset = frozenset(),
) -> None:
    """Log predictions of every hour up to a moment, on all weekdays except some."""
    at = until - dt.timedelta(days=days)
    while at <= until:
        if at.weekday() not in except_weekdays:
            log_predictions(settings, *[prediction_line(at)] * each_hour, day=at)
        at += dt.timedelta(hours=1)


def test_predictions_that_fell_to_zero_are_raised(settings):
    last = TODAY - dt.timedelta(hours=8)
    log_usage(settings, until=last)
    (stopped, _) = find_service_problems(settings, TODAY)
    assert (stopped.kind, stopped.level, stopped.since) == ("predictions_stopped", "fail", last.isoformat())
    assert stopped.figures["windows_with_use"] == 7


def test_predictions_with_a_short_pause_are_ok(settings):
    log_usage(settings, until=TODAY - dt.timedelta(hours=5))
    assert finding_level(settings, "predictions_stopped") == "ok"
    log_predictions(settings, prediction_line(TODAY))
    assert finding_level(settings, "predictions_stopped", TODAY + dt.timedelta(hours=5)) == "ok"


def test_a_stop_is_raised_for_two_weeks_and_then_out_of_use(settings):
    log_usage(settings, until=TODAY)
    levels = [
        finding_level(settings, "predictions_stopped", TODAY + dt.timedelta(days=days)) for days in (1, 3, 6, 9, 13, 15)
    ]
    assert levels == ["fail"] * 5 + ["ok"]


def test_a_service_that_never_predicted_raises_nothing(settings):
    assert {found.level for found in find_service_problems(settings, TODAY)} == {"ok"}


def test_a_service_used_on_one_day_only_raises_nothing(settings):
    log_predictions(settings, *[prediction_line(TODAY - dt.timedelta(days=1))] * 50, day=TODAY - dt.timedelta(days=1))
    assert finding_level(settings, "predictions_stopped") == "ok"


def test_a_weekday_service_may_pause_on_weekends_only(settings):
    # 20 August 2025 is a Wednesday.
    log_usage(settings, until=TODAY - dt.timedelta(days=5), days=20, except_weekdays=frozenset({5, 6}))
    log_predictions(settings, *[prediction_line(TODAY - dt.timedelta(days=5))] * 3, day=TODAY - dt.timedelta(days=5))
    saturday = TODAY - dt.timedelta(days=4)
    assert finding_level(settings, "predictions_stopped", saturday) == "ok"
    assert finding_level(settings, "predictions_stopped", saturday + dt.timedelta(days=1)) == "ok"
    assert finding_level(settings, "predictions_stopped", saturday + dt.timedelta(days=2)) == "fail"
    assert finding_level(settings, "predictions_stopped") == "fail"


@pytest.mark.parametrize(
    ("failed", "succeeded", "outcome"), [(4, 0, "ok"), (5, 996, "ok"), (5, 400, "warn"), (6, 90, "fail")]
)
def test_failing_requests_warn_above_1_percent_and_fail_above_5(settings, failed, succeeded, outcome):
    at = TODAY - dt.timedelta(hours=3)
    log_predictions(settings, *[prediction_line(at)] * succeeded, prediction_line(at))
    for _ in range(failed):
        log_event(settings, "failed", at, path="/predict", status=500)
    (_, errors) = find_service_problems(settings, TODAY)
    assert (errors.kind, errors.level) == ("service_errors", outcome)
    assert errors.since == (None if outcome == "ok" else "2025-08-20T09:00:00+00:00")


def test_a_service_whose_requests_all_fail_has_not_stopped(settings):
    log_usage(settings, until=TODAY - dt.timedelta(hours=9))
    for _ in range(200):
        log_event(settings, "failed", TODAY - dt.timedelta(hours=2), path="/predict", status=503)
    assert (finding_level(settings, "predictions_stopped"), finding_level(settings, "service_errors")) == ("ok", "fail")


def test_failures_of_the_day_before_are_over(settings):
    for _ in range(50):
        log_event(settings, "failed", TODAY - dt.timedelta(hours=25), path="/predict", status=500)
    assert finding_level(settings, "service_errors") == "ok"
