"""Figures of the monitoring reports on /metrics. They are the same in every worker, so they are not summed.

A missing report has no figures; one that cannot be read is reported by `cryptoliq_report_unreadable`. Add the figures of a new report
to `_FIGURES`. Metrics of requests and predictions belong in `serving.metrics`.
"""

import datetime as dt
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

from cryptoliq_assets.core import Location, Settings, StoreUnavailableError, file_state, read_json
from cryptoliq_assets.monitoring import (
    ACCURACY_REPORT,
    DRIFT_REPORT,
    FAIL,
    INCIDENTS_REPORT,
    MONITOR_REPORTS,
    OK,
    PREDICTION_REPORT,
    WARN,
    Finding,
    MonitorReport,
    require_alert_kind,
)
from cryptoliq_assets.monitoring.data import age_days, check_data_age, check_days
from cryptoliq_assets.storage import TableStore

# Minimum time between two reads of the reports: several scrapers may request them at once.
_CACHED_SECONDS = 5.0
_LEVELS = {OK: 0.0, WARN: 1.0, FAIL: 2.0}
# Each coin is a time series of its own, so only the worst coins have one.
_MAX_COINS = 20

_DATA_STALE = require_alert_kind("data_stale")
_DAYS_MISSING = require_alert_kind("days_missing")
_MONITOR_BROKEN = require_alert_kind("monitor_broken")

# Name, help text, labels and value.
_Sample = tuple[str, str, dict[str, str], float]


class MonitorMetrics:
    """Prometheus collector of one data directory.

    Args:
        settings: Settings of the data directory.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._store = TableStore(settings)
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._reports: dict[MonitorReport, tuple[tuple[Any, ...], Any]] = {}
        self._is_unavailable = False

    def render(self) -> bytes:
        """Return the response to a scrape, in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Collect all figures; called by the registry."""
        with self._lock:
            if time.monotonic() - self._read_at >= _CACHED_SECONDS:
                self._refresh_reports()
                self._read_at = time.monotonic()
            contents = {report: content for report, (_, content) in self._reports.items()}
        now = dt.datetime.now(dt.UTC)
        samples: list[_Sample] = []
        worst: dict[str, float] = {}
        unreadable: dict[str, float] = {}
        if self._is_unavailable:
            worst[_MONITOR_BROKEN] = _LEVELS[FAIL]
        try:
            samples = self._collect_freshness(now)
            worst |= self._check_freshness(now)
        except Exception:  # A table that cannot be read must not hide the other figures; the level reports it.
            worst[_MONITOR_BROKEN] = _LEVELS[FAIL]
        for report, content in contents.items():
            try:
                figures, findings = _read_figures(report, content, now), _read_findings(report, content)
            # Damaged, from another version, or edited.
            except (ValueError, KeyError, TypeError, AttributeError):
                unreadable[report.name] = 1.0
                continue
            unreadable[report.name] = 0.0
            samples += figures
            for finding in findings:
                worst[finding.kind] = max(worst.get(finding.kind, 0.0), _LEVELS[finding.level])
        yield from _make_families(samples)
        yield _make_family("report_unreadable", "1 if a monitoring report cannot be read.", "report", unreadable)
        yield _make_family("condition", "Worst level of an alert kind: 0 ok, 1 warn, 2 fail.", "kind", worst)

    def _collect_freshness(self, now: dt.datetime) -> list[_Sample]:
        newest = check_data_age(self.settings, self._store, now=now).figures["newest_snapshot"]
        if newest is None:
            return []
        age = age_days(dt.date.fromisoformat(newest), now=now) * 86_400.0
        missing = check_days(self._store).figures["missing_30"]
        return [
            ("data_age_seconds", "Time since the beginning of the newest snapshot's date.", {}, age),
            ("missing_days", "Days without a snapshot among the 30 days up to the newest one.", {}, float(missing)),
        ]

    def _check_freshness(self, now: dt.datetime) -> dict[str, float]:
        """Levels of the checks that need no report, by kind: data becomes stale even if no run writes reports."""
        findings = {
            _DATA_STALE: check_data_age(self.settings, self._store, now=now),
            _DAYS_MISSING: check_days(self._store),
        }
        return {kind: _LEVELS[finding.level] for kind, finding in findings.items()}

    def _refresh_reports(self) -> None:
        """Read the reports that have changed since the last read; those of the last read stay while their store does not answer."""
        reports = {}
        for report in MONITOR_REPORTS:
            path = self.settings.reports_dir / report.file
            try:
                version = file_state(path)
                cached = self._reports.get(report)
                reports[report] = cached if cached and cached[0] == version else (version, _read_report(path))
            except FileNotFoundError:
                continue
            except StoreUnavailableError:
                self._is_unavailable = True
                return
        self._is_unavailable, self._reports = False, reports


def _accuracy_figures(report: Any, now: dt.datetime) -> Iterator[_Sample]:
    yield _report_age(ACCURACY_REPORT, report, now)
    rolling = report["rolling"]
    if rolling is None:
        return
    fields = {
        "live_skill": ("skill", "Skill of the forecasts realized within 30 days, relative to persistence."),
        "live_coverage": ("coverage", "Fraction of actual scores within their intervals, 30 days."),
        "live_mae": ("mae", "Mean absolute error of forecasts, 30 days, in score."),
        "live_mae_persistence": ("mae_persistence", "Mean absolute error of persistence, 30 days, in score."),
        "live_forecasts": ("forecasts", "Forecasts realized within 30 days."),
    }
    for name, (field, help_text) in fields.items():
        if rolling[field] is not None:
            yield name, help_text, {}, float(rolling[field])
    yield "live_level", "Nominal coverage of intervals.", {}, float(report["level"])


def _prediction_figures(report: Any, now: dt.datetime) -> Iterator[_Sample]:
    yield _report_age(PREDICTION_REPORT, report, now)
    last = report["last"]
    fields = {
        "day_predictions": ("predictions", "Predictions of the newest day in the prediction log."),
        "day_mean_score": ("mean_score", "Mean score predicted on that day."),
        "day_out_of_range_share": (
            "share_out_of_range",
            "Fraction of that day's predictions with a field out of range.",
        ),
        "day_error_rate": ("error_rate", "Fraction of that day's prediction requests that failed."),
        "day_foreign_lines": ("foreign_lines", "Malformed lines in that day's prediction log."),
    }
    for name, (field, help_text) in fields.items() if last else ():
        if last[field] is not None:
            yield name, help_text, {}, float(last[field])
    for quantile in ("0.5", "0.9", "0.99") if last else ():
        seconds = last[f"seconds_p{float(quantile) * 100:g}"]
        if seconds is not None:
            yield (
                "day_request_seconds",
                "Duration of that day's single requests in seconds.",
                {"quantile": quantile},
                seconds,
            )
    holdout = report["holdout"]
    if holdout:
        yield "holdout_mae", "Mean absolute error of the champion's spec on held-out dates.", {}, float(holdout["mae"])
        for coin, mae in list(holdout["mae_by_coin"].items())[:_MAX_COINS]:
            yield (
                "holdout_coin_mae",
                f"Mean absolute error on held-out dates of the {_MAX_COINS} worst coins.",
                {"coin": coin},
                float(mae),
            )


def _drift_figures(report: Any, now: dt.datetime) -> Iterator[_Sample]:
    yield _report_age(DRIFT_REPORT, report, now)
    overall = report.get("overall") or {}
    for statistic, value in overall.items() if isinstance(overall, dict) else [("psi", overall)]:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            help_text = "Drift of the last days relative to the champion's training data, over all features."
            yield "drift_overall", help_text, {"statistic": statistic}, float(value)


def _incident_figures(report: Any, now: dt.datetime) -> Iterator[_Sample]:
    levels = [incident["level"] for incident in report["incidents"].values() if incident["open"]]
    for level in (WARN, FAIL):
        yield "incidents_open", "Incidents that have not recovered.", {"level": level}, float(levels.count(level))


# By file; all other reports have findings only.
_FIGURES = {
    ACCURACY_REPORT: _accuracy_figures,
    PREDICTION_REPORT: _prediction_figures,
    DRIFT_REPORT: _drift_figures,
    INCIDENTS_REPORT: _incident_figures,
}


def _read_figures(report: MonitorReport, content: Any, now: dt.datetime) -> list[_Sample]:
    figures = _FIGURES.get(report.file)
    return list(figures(content, now)) if figures else []


def _read_findings(report: MonitorReport, content: Any) -> list[Finding]:
    return [Finding.from_dict(value) for value in content["conditions"]] if report.has_findings else []


def _report_age(file: str, report: Any, now: dt.datetime) -> _Sample:
    age = (now - dt.datetime.fromisoformat(report["made_at"])).total_seconds()
    labels = {"report": MonitorReport(file).name}
    return "report_age_seconds", "Time since a monitoring report was written.", labels, age


def _read_report(path: Location) -> Any:
    """Return the report; None, which no report contains, if it cannot be read."""
    try:
        return read_json(path)
    except (OSError, ValueError):
        return None


def _make_families(samples: Iterable[_Sample]) -> list[GaugeMetricFamily]:
    """Group samples by name."""
    families: dict[str, GaugeMetricFamily] = {}
    for name, help_text, labels, value in samples:
        if name not in families:
            families[name] = GaugeMetricFamily(f"cryptoliq_{name}", help_text, labels=list(labels))
        families[name].add_metric(list(labels.values()), value)
    return list(families.values())


def _make_family(name: str, help_text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"cryptoliq_{name}", help_text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
