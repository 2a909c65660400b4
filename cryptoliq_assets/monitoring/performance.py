"""Live forecast accuracy: forecast vs. actual, by day, by model version and by coin.

Writes reports/forecast_accuracy.json and accuracy_by_coin.csv; checks, findings, metrics and retraining requests read the former.
Add a measure or a check of live accuracy. Backtests belong in `modeling.evaluation`.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cryptoliq_assets.core import Settings, file_exists, neutralize_frame, read_json_object, to_json, write_files
from cryptoliq_assets.forecasting import SUMS, Accuracy, measure, newest_date, read_realized_forecasts, sum_errors
from cryptoliq_assets.modeling.estimators import normalize_model_versions
from cryptoliq_assets.monitoring.alert_kinds import require_alert_kind
from cryptoliq_assets.monitoring.alert_registry import FAIL, OK
from cryptoliq_assets.monitoring.findings import CheckResult, Finding
from cryptoliq_assets.monitoring.reports import ACCURACY_REPORT
from cryptoliq_assets.storage import TableStore

BY_COIN_REPORT = "accuracy_by_coin.csv"
WHERE = "champion"
_SKILL_LOST = require_alert_kind("skill_lost")
_COVERAGE_LOST = require_alert_kind("coverage_lost")
# Days in the report; versions and coins are measured over them.
REPORTED_DAYS = 90
ROLLING_DAYS = 30
# Errors of one day are correlated, so fewer days describe a single market state. A week contains each weekday once.
MIN_DAYS = 7
# The coverage of n independent forecasts at level 0.9 has a standard error of 0.3 / √n: for 300, 0.017, a third of the
# tolerance.
MIN_FORECASTS = 300


@dataclass(frozen=True)
class AccuracyMeasurement:
    """Measured accuracy.

    Attributes:
        report: Content of reports/forecast_accuracy.json.
        by_coin: One row per coin: coin, forecasts, skill, mae, mae_persistence, coverage, bias, last_target_date.
    """

    report: dict[str, Any]
    by_coin: pd.DataFrame


def measure_accuracy(settings: Settings, store: TableStore, *, now: dt.datetime) -> AccuracyMeasurement:
    """Measure the forecasts of the last 90 target dates with actual scores, and write both reports.

    Args:
        settings: Limits and paths.
        store: The tables.
        now: UTC.
    """
    newest = newest_date(store, "forecasts")
    # The oldest reported day needs the 30 days before it.
    reach = dt.timedelta(days=REPORTED_DAYS + ROLLING_DAYS + settings.horizon_days)
    realized = read_realized_forecasts(store, since=newest - reach) if newest else pd.DataFrame()
    measured = make_accuracy_report(realized, settings, now=now)
    write_files(
        {
            settings.reports_dir / ACCURACY_REPORT: to_json(measured.report).encode("utf-8"),
            settings.reports_dir / BY_COIN_REPORT: neutralize_frame(measured.by_coin)
            .to_csv(index=False)
            .encode("utf-8"),
        }
    )
    return measured


def make_accuracy_report(realized: pd.DataFrame, settings: Settings, *, now: dt.datetime) -> AccuracyMeasurement:
    """Return the report on realized forecasts.

    Args:
        realized: See `forecasting.realized_accuracy.match_realized_scores`; may be empty.
        settings: The limits.
        now: UTC.
    """
    if realized.empty:
        report: dict[str, Any] = {"through": None, "days": [], "rolling": None, "last": None, "by_version": []}
        by_coin = pd.DataFrame(columns=["coin", "forecasts", *_MEASURES, "last_target_date"])
    else:
        days = measure_daily_accuracy(realized)
        reported = realized[realized["target_date"] > realized["target_date"].max() - pd.Timedelta(days=REPORTED_DAYS)]
        measured = measure(reported)
        report = {
            "through": days[-1]["target_date"],
            "rolling": days[-1]["rolling"],
            "last": measured.to_dict() if measured else None,
            "by_version": _by_version(reported),
            "days": days,
        }
        by_coin = measure_accuracy_by_coin(reported)
    report = {
        "made_at": now.isoformat(timespec="seconds"),
        "horizon_days": settings.horizon_days,
        "level": settings.intervals.coverage,
        "rolling_days": ROLLING_DAYS,
        **report,
    }
    return AccuracyMeasurement(
        {**report, "conditions": [finding.to_dict() for finding in _make_findings(report, settings)]}, by_coin
    )


def measure_daily_accuracy(realized: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one dictionary per target date of the last 90 days, ascending.

    Args:
        realized: Realized forecasts.

    Returns:
        Measures of the day, and under `rolling` those of the 30 calendar days that end with it.
    """
    sums = sum_errors(realized, ["target_date"])
    since = sums.index[-1] - pd.Timedelta(days=REPORTED_DAYS)
    days = []
    for day, row in sums[sums.index > since].iterrows():
        # Summed again for each day: rolling sums accumulate rounding errors, and a skill is a ratio of two sums.
        window = sums[(sums.index > day - pd.Timedelta(days=ROLLING_DAYS)) & (sums.index <= day)]
        rolling = Accuracy.from_sums(window.sum(), days=len(window)).to_dict()
        days.append({"target_date": str(day.date()), **Accuracy.from_sums(row, days=1).to_dict(), "rolling": rolling})
    return days


def measure_accuracy_by_coin(realized: pd.DataFrame) -> pd.DataFrame:
    """Return one row per coin, the largest mean absolute error first."""
    sums = sum_errors(realized, ["coin"])
    last = realized.groupby("coin", observed=True)["target_date"].max()
    rows = [
        {"coin": coin, **Accuracy.from_sums(row, days=0).to_dict(), "last_target_date": str(last[coin].date())}
        for coin, row in zip(sums.index, sums[list(SUMS)].to_dict("records"), strict=True)
    ]
    frame = pd.DataFrame(rows)[["coin", "forecasts", *_MEASURES, "last_target_date"]]
    return frame.sort_values(["mae", "coin"], ascending=[False, True], ignore_index=True)


_MEASURES = ["skill", "mae", "mae_persistence", "coverage", "bias"]


def check_skill(report: Mapping[str, Any], settings: Settings) -> CheckResult:
    """Check the 30-day skill: FAIL at or below the minimum; OK with too few forecasts.

    Args:
        report: See `make_accuracy_report`.
        settings: The minimum.
    """
    minimum = settings.performance.min_skill
    rolling = _enough(report)
    if rolling is None:
        return _too_few(report)
    skill = rolling["skill"]
    lost = skill is not None and skill <= minimum
    text = "undefined: persistence had no error" if skill is None else f"{skill:.3f} (FAIL at {minimum:g} or below)"
    since = _bad_since(report, lambda day: day["skill"] is not None and day["skill"] <= minimum) if lost else None
    return CheckResult(
        FAIL if lost else OK,
        f"30-day skill against persistence is {text}; {_counted(rolling, report)}",
        since,
        {
            "skill": skill,
            "mae": rolling["mae"],
            "mae_persistence": rolling["mae_persistence"],
            **_size(rolling, report),
        },
    )


def check_coverage(report: Mapping[str, Any], settings: Settings) -> CheckResult:
    """Check the 30-day fraction of scores within their intervals: FAIL outside the tolerance; OK with too few forecasts.

    Args:
        report: See `make_accuracy_report`.
        settings: The tolerance.
    """
    rolling = _enough(report)
    if rolling is None:
        return _too_few(report)
    low, high = coverage_bounds(report["level"], settings.performance.coverage_tolerance)
    outside = not low <= rolling["coverage"] <= high
    since = _bad_since(report, lambda day: not low <= day["coverage"] <= high) if outside else None
    return CheckResult(
        FAIL if outside else OK,
        f"{rolling['coverage']:.1%} of scores were within their {report['level']:.0%} intervals over 30 days "
        f"(FAIL outside {low:.1%} to {high:.1%}); {_counted(rolling, report)}",
        since,
        {"coverage": rolling["coverage"], "level": report["level"], "low": low, "high": high, **_size(rolling, report)},
    )


def coverage_bounds(level: float, tolerance: float) -> tuple[float, float]:
    """Return the coverage that is accepted, within [0, 1].

    Example:
        >>> coverage_bounds(0.9, 0.05)
        (0.85, 0.95)
    """
    return round(max(level - tolerance, 0.0), 6), round(min(level + tolerance, 1.0), 6)


def read_accuracy_report(settings: Settings) -> dict[str, Any] | None:
    """Read reports/forecast_accuracy.json.

    Returns:
        The report, None before the first.

    Raises:
        ValueError: It cannot be read.
    """
    path = settings.reports_dir / ACCURACY_REPORT
    return read_json_object(path) if file_exists(path) else None


def retraining_run_key(settings: Settings) -> str | None:
    """Return the run key of a `train` run if `performance.retrain_on_failure` is set and 30-day skill or coverage fails.

    The key contains the newest target date, so one day requests at most one run.

    Returns:
        The key, None if no run is needed.
    """
    try:
        report = read_accuracy_report(settings) if settings.performance.retrain_on_failure else None
        if report is None or report["through"] is None:
            return None
        checks = {"skill": check_skill(report, settings), "coverage": check_coverage(report, settings)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # An unreadable report does not request a training; it is the finding report_broken.
        return None
    failing = [name for name, check in checks.items() if check.level == FAIL]
    return f"accuracy/{report['through']}/{'+'.join(failing)}" if failing else None


def _make_findings(report: Mapping[str, Any], settings: Settings) -> list[Finding]:
    """Return skill_lost and coverage_lost; a champion that lost its skill also misses its intervals, so only the skill is raised."""
    skill, coverage = check_skill(report, settings), check_coverage(report, settings)
    if skill.level == FAIL and coverage.level == FAIL:
        what = f"{coverage.what}; explained by the lost skill"
        coverage = CheckResult(OK, what, None, coverage.figures | {"outside": True})
    return [skill.to_finding(_SKILL_LOST, WHERE), coverage.to_finding(_COVERAGE_LOST, WHERE)]


def _by_version(realized: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the measures by model version, in the order of their first target dates."""
    versions = []
    for version, rows in realized.groupby(normalize_model_versions(realized["model_version"]), sort=False):
        dates, accuracy = rows["target_date"], measure(rows)
        assert accuracy is not None
        span = {"first_target_date": str(dates.min().date()), "last_target_date": str(dates.max().date())}
        versions.append({"model_version": str(version), **span, **accuracy.to_dict()})
    return sorted(versions, key=lambda entry: (entry["first_target_date"], entry["model_version"]))


def _enough(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the last 30 days if they have enough forecasts."""
    rolling = report["rolling"]
    sufficient = rolling and rolling["days"] >= MIN_DAYS and rolling["forecasts"] >= MIN_FORECASTS
    return rolling if sufficient else None


def _too_few(report: Mapping[str, Any]) -> CheckResult:
    rolling = report["rolling"] or {"forecasts": 0, "days": 0}
    what = (
        f"{rolling['forecasts']} forecasts of {rolling['days']} days have actual scores within 30 days; at least "
        f"{MIN_FORECASTS} forecasts of {MIN_DAYS} days are needed"
    )
    return CheckResult(OK, what, figures=_size(rolling, report))


def _bad_since(report: Mapping[str, Any], bad: Callable[[Mapping[str, Any]], bool]) -> str:
    """Return the first target date of the period, up to the newest, in which the 30-day figure is bad."""
    since = report["through"]
    for day in reversed(report["days"]):
        if not bad(day["rolling"]):
            break
        since = day["target_date"]
    return since


def _counted(rolling: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    return f"{rolling['forecasts']:,} forecasts of {rolling['days']} days up to {report['through']}"


def _size(rolling: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    return {"forecasts": rolling["forecasts"], "days": rolling["days"], "through": report["through"]}
