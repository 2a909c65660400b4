"""Accuracy as it comes in: what forecasts were worth once their day had come, day by day, by model version and by coin.

reports/forecast_accuracy.json and accuracy_by_coin.csv are written here; checks, findings, metrics and the request for
another training are all read off the former. Pure.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cryptoliq_assets.core import Settings, neutralize_frame, read_json_object, to_json, write_files
from cryptoliq_assets.forecasting import SUMS, Accuracy, measure, newest_date, read_realized_forecasts, sum_errors
from cryptoliq_assets.modeling.estimators import normalize_model_versions
from cryptoliq_assets.monitoring.findings import FAIL, OK, CheckResult, Finding
from cryptoliq_assets.storage import TableStore

ACCURACY_REPORT, BY_COIN_REPORT = "forecast_accuracy.json", "accuracy_by_coin.csv"
WHERE = "champion"
# Days told of; versions and coins are measured over them.
REPORTED_DAYS = 90
ROLLING_DAYS = 30
# Errors of one day go together: a window of fewer days is a tale of one market. A week has each weekday once.
MIN_DAYS = 7
# The coverage of n independent forecasts at level 0.9 has a standard error of 0.3 / √n: of 300, 0.017, a third of the
# slack that is given.
MIN_FORECASTS = 300


@dataclass(frozen=True)
class AccuracyMeasurement:
    """The report, and a row a coin: coin, forecasts, skill, mae, mae_persistence, coverage, bias, last_target_date."""

    report: dict[str, Any]
    by_coin: pd.DataFrame


def measure_accuracy(settings: Settings, store: TableStore, *, now: dt.datetime) -> AccuracyMeasurement:
    """Measure the forecasts whose target date lies in the last 90 days of those that came true, and write both reports."""
    newest = newest_date(store, "forecasts")
    # The oldest day told of has its 30 days before it.
    reach = dt.timedelta(days=REPORTED_DAYS + ROLLING_DAYS + settings.horizon_days)
    realised = read_realized_forecasts(store, since=newest - reach) if newest else pd.DataFrame()
    measured = make_accuracy_report(realised, settings, now=now)
    write_files(
        {
            settings.reports_dir / ACCURACY_REPORT: to_json(measured.report).encode("utf-8"),
            settings.reports_dir / BY_COIN_REPORT: neutralize_frame(measured.by_coin)
            .to_csv(index=False)
            .encode("utf-8"),
        }
    )
    return measured


def make_accuracy_report(realised: pd.DataFrame, settings: Settings, *, now: dt.datetime) -> AccuracyMeasurement:
    """The report on realised forecasts (`forecasting.realized_accuracy.match_realized_scores`); of none, one that says so."""
    if realised.empty:
        report: dict[str, Any] = {"through": None, "days": [], "rolling": None, "last": None, "by_version": []}
        by_coin = pd.DataFrame(columns=["coin", "forecasts", *_MEASURES, "last_target_date"])
    else:
        days = measure_daily_accuracy(realised)
        told = realised[realised["target_date"] > realised["target_date"].max() - pd.Timedelta(days=REPORTED_DAYS)]
        measured = measure(told)
        report = {
            "through": days[-1]["target_date"],
            "rolling": days[-1]["rolling"],
            "last": measured.to_dict() if measured else None,
            "by_version": _by_version(told),
            "days": days,
        }
        by_coin = measure_accuracy_by_coin(told)
    report = {
        "made_at": now.isoformat(timespec="seconds"),
        "horizon_days": settings.horizon_days,
        "level": settings.intervals.coverage,
        "rolling_days": ROLLING_DAYS,
        **report,
    }
    return AccuracyMeasurement(
        {**report, "conditions": [found.to_dict() for found in _make_findings(report, settings)]}, by_coin
    )


def measure_daily_accuracy(realised: pd.DataFrame) -> list[dict[str, Any]]:
    """A dictionary a target date of the last 90 days, rising: measures of the day, and under `rolling` those of the 30
    calendar days that end with it."""
    sums = sum_errors(realised, ["target_date"])
    since = sums.index[-1] - pd.Timedelta(days=REPORTED_DAYS)
    found = []
    for day, row in sums[sums.index > since].iterrows():
        # Summed anew each time: sums that roll carry a rounding error along, and a skill is a ratio of two of them.
        window = sums[(sums.index > day - pd.Timedelta(days=ROLLING_DAYS)) & (sums.index <= day)]
        rolling = Accuracy.from_sums(window.sum(), days=len(window)).to_dict()
        found.append({"target_date": str(day.date()), **Accuracy.from_sums(row, days=1).to_dict(), "rolling": rolling})
    return found


def measure_accuracy_by_coin(realised: pd.DataFrame) -> pd.DataFrame:
    """A row a coin, the largest mean absolute error first."""
    sums = sum_errors(realised, ["coin"])
    last = realised.groupby("coin", observed=True)["target_date"].max()
    rows = [
        {"coin": coin, **Accuracy.from_sums(row, days=0).to_dict(), "last_target_date": str(last[coin].date())}
        for coin, row in zip(sums.index, sums[list(SUMS)].to_dict("records"), strict=True)
    ]
    frame = pd.DataFrame(rows)[["coin", "forecasts", *_MEASURES, "last_target_date"]]
    return frame.sort_values(["mae", "coin"], ascending=[False, True], ignore_index=True)


_MEASURES = ["skill", "mae", "mae_persistence", "coverage", "bias"]


def check_skill(report: Mapping[str, Any], settings: Settings) -> CheckResult:
    """30-day skill: FAIL at or below the least; OK where there are too few forecasts to say."""
    least = settings.performance.min_skill
    known = _enough(report)
    if known is None:
        return _too_few(report)
    skill = known["skill"]
    lost = skill is not None and skill <= least
    told = "undefined: persistence was never wrong" if skill is None else f"{skill:.3f} (FAIL at {least:g} or below)"
    since = _bad_since(report, lambda day: day["skill"] is not None and day["skill"] <= least) if lost else None
    return CheckResult(
        FAIL if lost else OK,
        f"30-day skill against persistence is {told}; {_counted(known, report)}",
        since,
        {"skill": skill, "mae": known["mae"], "mae_persistence": known["mae_persistence"], **_size(known, report)},
    )


def check_coverage(report: Mapping[str, Any], settings: Settings) -> CheckResult:
    """30-day share of scores inside their intervals: FAIL further from the level than the slack; OK with too few."""
    known = _enough(report)
    if known is None:
        return _too_few(report)
    low, high = coverage_bounds(report["level"], settings.performance.coverage_tolerance)
    outside = not low <= known["coverage"] <= high
    since = _bad_since(report, lambda day: not low <= day["coverage"] <= high) if outside else None
    return CheckResult(
        FAIL if outside else OK,
        f"{known['coverage']:.1%} of scores lay inside their {report['level']:.0%} intervals over 30 days "
        f"(FAIL outside {low:.1%} to {high:.1%}); {_counted(known, report)}",
        since,
        {"coverage": known["coverage"], "level": report["level"], "low": low, "high": high, **_size(known, report)},
    )


def coverage_bounds(level: float, slack: float) -> tuple[float, float]:
    """[level - slack, level + slack], no further than what can be: 0.85 to 0.95 at 0.9."""
    return round(max(level - slack, 0.0), 6), round(min(level + slack, 1.0), 6)


def read_accuracy_report(settings: Settings) -> dict[str, Any] | None:
    """reports/forecast_accuracy.json; None where there is none. ValueError where it cannot be read."""
    path = settings.reports_dir / ACCURACY_REPORT
    return read_json_object(path) if path.exists() else None


def retraining_run_key(settings: Settings) -> str | None:
    """A key for one `train` run, where `performance.retrain_on_failure` is set and 30-day skill or coverage fails; else None.

    The key is of the newest target date measured: the same report, made as often as may be, asks once, so a day asks once.
    """
    try:
        report = read_accuracy_report(settings) if settings.performance.retrain_on_failure else None
        if report is None or report["through"] is None:
            return None
        looks = {"skill": check_skill(report, settings), "coverage": check_coverage(report, settings)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # Nobody trains for a report that cannot be read; that it cannot is the finding report_broken.
        return None
    failing = [name for name, look in looks.items() if look.level == FAIL]
    return f"accuracy/{report['through']}/{'+'.join(failing)}" if failing else None


def _make_findings(report: Mapping[str, Any], settings: Settings) -> list[Finding]:
    """One fault raises one kind: a champion that lost its skill misses its intervals as well, and is told of once."""
    skill, coverage = check_skill(report, settings), check_coverage(report, settings)
    if skill.level == FAIL and coverage.level == FAIL:
        told = f"{coverage.what}; the skill is lost, of which this is a part"
        coverage = CheckResult(OK, told, None, coverage.figures | {"outside": True})
    return [skill.to_finding("skill_lost", WHERE), coverage.to_finding("coverage_lost", WHERE)]


def _by_version(realised: pd.DataFrame) -> list[dict[str, Any]]:
    """Measures by model version, in the order of their first target dates."""
    found = []
    for version, rows in realised.groupby(normalize_model_versions(realised["model_version"]), sort=False):
        dates, accuracy = rows["target_date"], measure(rows)
        assert accuracy is not None
        span = {"first_target_date": str(dates.min().date()), "last_target_date": str(dates.max().date())}
        found.append({"model_version": str(version), **span, **accuracy.to_dict()})
    return sorted(found, key=lambda entry: (entry["first_target_date"], entry["model_version"]))


def _enough(report: Mapping[str, Any]) -> dict[str, Any] | None:
    """The last 30 days where they say anything."""
    known = report["rolling"]
    sufficient = known and known["days"] >= MIN_DAYS and known["forecasts"] >= MIN_FORECASTS
    return known if sufficient else None


def _too_few(report: Mapping[str, Any]) -> CheckResult:
    known = report["rolling"] or {"forecasts": 0, "days": 0}
    told = (
        f"{known['forecasts']} forecasts of {known['days']} days have come true within 30 days: nothing is said of fewer "
        f"than {MIN_FORECASTS} of {MIN_DAYS} days"
    )
    return CheckResult(OK, told, figures=_size(known, report))


def _bad_since(report: Mapping[str, Any], bad: Callable[[Mapping[str, Any]], bool]) -> str:
    """First target date of the stretch, up to the newest, in which the 30-day figure was bad."""
    since = report["through"]
    for day in reversed(report["days"]):
        if not bad(day["rolling"]):
            break
        since = day["target_date"]
    return since


def _counted(known: Mapping[str, Any], report: Mapping[str, Any]) -> str:
    return f"{known['forecasts']:,} forecasts of {known['days']} days up to {report['through']}"


def _size(known: Mapping[str, Any], report: Mapping[str, Any]) -> dict[str, Any]:
    return {"forecasts": known["forecasts"], "days": known["days"], "through": report["through"]}
