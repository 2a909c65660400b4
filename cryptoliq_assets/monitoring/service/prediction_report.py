"""Prediction report: daily statistics of the service, and whether predictions stopped or requests fail.

Add a check of the service. Reading its files belongs in `app_log`.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cryptoliq_assets.core import Settings, file_exists, to_json, write_files
from cryptoliq_assets.monitoring.alert_kinds import require_alert_kind
from cryptoliq_assets.monitoring.alert_registry import FAIL, OK, WARN, Level
from cryptoliq_assets.monitoring.findings import CheckResult, Finding
from cryptoliq_assets.monitoring.reports import PREDICTION_REPORT
from cryptoliq_assets.monitoring.service.app_log import read_daily_stats
from cryptoliq_assets.monitoring.service.prediction_stats import API, APP, COMMAND, DailyPredictionStats
from cryptoliq_assets.monitoring.service.shared_predictions import publish_predictions
from cryptoliq_assets.monitoring.service.stored_days import store_days

PREDICTION_CSV_REPORT = "prediction_metrics.csv"
WHERE = "service"
_PREDICTIONS_STOPPED = require_alert_kind("predictions_stopped")
_SERVICE_ERRORS = require_alert_kind("service_errors")
_HOUR = dt.timedelta(hours=1)
# Fewer predictions in a window are a trial of the service, not regular use.
MIN_USUAL = 10
# Windows with use among the seven before at the same time of day, so that one day does not define what is usual.
MIN_WINDOWS = 3
# Without traffic for longer, the service is out of use, and an alert was sent before.
RETIRED_DAYS = 14
# Fewer failures in a day are individual requests.
MIN_FAILED = 5
_FAIL_FACTOR = 5.0


@dataclass(frozen=True)
class PredictionMetrics:
    """Daily statistics.

    Attributes:
        report: Content of reports/prediction_metrics.json.
        days: One row per day, see `DailyPredictionStats.figures`.
    """

    report: dict[str, Any]
    days: pd.DataFrame


def measure_predictions(settings: Settings, *, now: dt.datetime) -> PredictionMetrics:
    """Read the new lines of the service's files and write reports/prediction_metrics.csv and .json.

    Args:
        settings: Limits and paths.
        now: UTC.
    """
    # What a killed process left.
    publish_predictions(settings)
    days = read_daily_stats(settings, now=now, complete=True)
    table = pd.DataFrame([day.figures() for day in days.values()], columns=list(DailyPredictionStats("").figures()))
    report = {
        "made_at": now.isoformat(timespec="seconds"),
        "last": list(days.values())[-1].figures() if days else None,
        "holdout": read_holdout_errors(settings),
        "conditions": [finding.to_dict() for finding in _make_findings(days, settings, now)],
        # The next evaluation continues from these.
        "tallies": [day.to_dict() for day in days.values()],
    }
    store_days(settings, {day: to_json(stats.to_dict()) for day, stats in days.items()})
    write_files(
        {
            settings.reports_dir / PREDICTION_CSV_REPORT: table.to_csv(index=False).encode("utf-8"),
            settings.reports_dir / PREDICTION_REPORT: to_json(report).encode("utf-8"),
        }
    )
    return PredictionMetrics(report, table)


def find_service_problems(settings: Settings, now: dt.datetime) -> list[Finding]:
    """Return predictions_stopped and service_errors as of `now` (UTC); only new lines are read."""
    return _make_findings(read_daily_stats(settings, now=now), settings, now)


def check_traffic(
    days: Mapping[str, DailyPredictionStats], settings: Settings, *, now: dt.datetime, source: str = API
) -> CheckResult:
    """Check for prediction volume: FAIL without a prediction for `service_monitor.no_traffic_hours` at a time of usual traffic.

    Traffic is usual if at least three of the seven windows at the same hours before the last prediction had ten or more
    predictions, and so had the one of the same weekday, if the statistics go back that far. Requests that failed are traffic.

    Args:
        days: Statistics by ISO date.
        settings: The limit.
        now: UTC.
        source: Entry point.
    """
    last = max((seconds for day in days.values() if (seconds := day.last_of(source)) is not None), default=None)
    if last is None:
        name = "service" if source == API else source
        return CheckResult(OK, f"the {name} has not predicted yet", figures={"predictions": 0})
    at = dt.datetime.fromtimestamp(last, dt.UTC)
    hour, length = _hour_of(now), settings.service_monitor.no_traffic_hours
    rows = _count(days, lambda day: day.hours_of(source))
    # The current hour and the complete ones before it.
    recent = rows(hour, length + 1)
    figures: dict[str, Any] = {"predictions": recent, "hours": length, "last_at": at.isoformat(timespec="seconds")}
    if recent:
        return CheckResult(OK, f"{recent:,} predictions in the last {length} hours", figures=figures)
    message = f"no prediction since {at:%Y-%m-%d %H:%M} UTC"
    failed = _count(days, lambda day: day.failed)(hour, length + 1) if source == API else 0
    if failed:
        return CheckResult(
            OK, f"{message}; {failed:,} requests were received and failed", figures=figures | {"failed": failed}
        )
    if now - at > dt.timedelta(days=RETIRED_DAYS):
        return CheckResult(OK, f"{message}: out of use for more than {RETIRED_DAYS} days", figures=figures)
    ago = next(back for back in range(1, RETIRED_DAYS + 2) if _before(hour, back) - length * _HOUR <= at)
    usual = [rows(_before(hour, ago + back), length) for back in range(7)]
    week = _before(hour, -(-ago // 7) * 7)
    first = min(day.day for day in days.values() if sum(day.hours_of(source)))
    same_weekday = rows(week, length) >= MIN_USUAL or (week - length * _HOUR).date().isoformat() < first
    busy = sum(count >= MIN_USUAL for count in usual)
    stopped = busy >= MIN_WINDOWS and same_weekday
    figures |= {"usual": sorted(usual)[len(usual) // 2], "windows_with_use": busy}
    return CheckResult(
        FAIL if stopped else OK,
        f"{message}; {busy} of the 7 previous windows of {length} hours at this time of day had {MIN_USUAL} or more",
        at.isoformat(timespec="seconds") if stopped else None,
        figures,
    )


def check_errors(days: Mapping[str, DailyPredictionStats], settings: Settings, *, now: dt.datetime) -> CheckResult:
    """Check the fraction of prediction requests of the last 24 hours with a status of 500 or more.

    Args:
        days: Statistics by ISO date.
        settings: The limit.
        now: UTC.
    """
    hour = _hour_of(now)
    failed = _count(days, lambda day: day.failed)(hour, 24)
    answered = _count(days, lambda day: day.answered)(hour, 24)
    error_rate = failed / (failed + answered) if failed else 0.0
    limit = settings.service_monitor.max_error_rate
    level: Level = OK
    if failed >= MIN_FAILED and error_rate > limit:
        level = FAIL if error_rate > _FAIL_FACTOR * limit else WARN
    return CheckResult(
        level,
        f"{failed:,} of {failed + answered:,} requests of the last 24 hours failed: {error_rate:.1%} "
        f"(WARN above {limit:.1%}, FAIL above {_FAIL_FACTOR * limit:.1%}, from {MIN_FAILED} failures)",
        _first_failure(days, hour) if level != OK else None,
        {"failed": failed, "answered": answered, "error_rate": error_rate},
    )


def read_holdout_errors(settings: Settings) -> dict[str, Any] | None:
    """Read mean absolute error and mean absolute prediction per coin on held-out days of the champion's spec, from the backtest.

    Returns:
        The figures, None before the first training.
    """
    # Not at the top: they import the machine learning libraries, which a status page does not need.
    from cryptoliq_assets.modeling.evaluation import by_coin_path, read_by_coin
    from cryptoliq_assets.modeling.registry import ModelRejectedError, open_model_store
    from cryptoliq_assets.schemas import WITH_HISTORY

    path = by_coin_path(settings.reports_dir)
    if not file_exists(path):
        return None
    store = open_model_store(settings)
    version = store.current_version()
    try:
        spec = store.metadata(version).get("recipe", {}) if version else {}
    except ModelRejectedError:
        # `model_health` reports a champion that cannot be read.
        spec = {}
    rows = read_by_coin(path, columns=["coin", "model", "view", "rows", "mae", "mean_absolute_prediction"])
    rows = rows[(rows["view"] == WITH_HISTORY) & (rows["model"] == spec.get("name"))]
    if rows.empty:
        return None
    rows = rows.sort_values("mae", ascending=False)
    # Absent in files of earlier releases.
    predicted = rows.get("mean_absolute_prediction", pd.Series(dtype=float))
    return {
        "model": spec["name"],
        "version": version,
        "rows": int(rows["rows"].sum()),
        "mae": float((rows["mae"] * rows["rows"]).sum() / rows["rows"].sum()),
        "mae_by_coin": {str(coin): float(mae) for coin, mae in zip(rows["coin"], rows["mae"], strict=True)},
        "mean_absolute_prediction_by_coin": {
            str(rows.at[place, "coin"]): float(value) for place, value in predicted.items()
        },
    }


def _make_findings(days: Mapping[str, DailyPredictionStats], settings: Settings, now: dt.datetime) -> list[Finding]:
    return [
        check_traffic(days, settings, now=now).to_finding(_PREDICTIONS_STOPPED, WHERE),
        *_stopped_elsewhere(days, settings, now),
        check_errors(days, settings, now=now).to_finding(_SERVICE_ERRORS, WHERE),
    ]


def _stopped_elsewhere(days: Mapping[str, DailyPredictionStats], settings: Settings, now: dt.datetime) -> list[Finding]:
    """Check app and command if they are in use. Daily forecasts that stop are stale data or a failed run."""
    used = [source for source in (APP, COMMAND) if any(day.last_of(source) is not None for day in days.values())]
    return [
        check_traffic(days, settings, now=now, source=source).to_finding(_PREDICTIONS_STOPPED, source)
        for source in used
    ]


def _hour_of(now: dt.datetime) -> dt.datetime:
    return now.astimezone(dt.UTC).replace(minute=0, second=0, microsecond=0)


def _before(hour: dt.datetime, days: int) -> dt.datetime:
    return hour - dt.timedelta(days=days)


def _count(
    days: Mapping[str, DailyPredictionStats], of: Callable[[DailyPredictionStats], list[int]]
) -> Callable[[dt.datetime, int], int]:
    """Return a function that counts the `length` hours up to and including the one that begins at `hour`."""

    def count(hour: dt.datetime, length: int) -> int:
        hours = [hour - back * _HOUR for back in range(length)]
        return sum(of(days[day])[each.hour] for each in hours if (day := each.date().isoformat()) in days)

    return count


def _first_failure(days: Mapping[str, DailyPredictionStats], hour: dt.datetime) -> str:
    """Return the first of the last 24 hours in which a request failed."""
    failed = _count(days, lambda day: day.failed)
    hours = [hour - back * _HOUR for back in range(23, -1, -1)]
    return next(each for each in hours if failed(each, 1)).isoformat(timespec="seconds")
