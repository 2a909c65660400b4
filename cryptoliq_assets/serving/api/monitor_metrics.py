"""The monitor's numbers on /metrics, read from its reports: the same whichever worker is asked, so none are added up.

A report that is absent has no numbers; one that cannot be read says so in `cryptoliq_report_unreadable`.
"""

import datetime as dt
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily

from cryptoliq_assets.core import Settings, read_json
from cryptoliq_assets.monitoring import FAIL, OK, WARN, Finding
from cryptoliq_assets.monitoring.data import age_days, check_data_age, check_days
from cryptoliq_assets.storage import TableStore

# Reports are looked at no more often: several scrapers, and workers, may ask at once.
_CACHED_SECONDS = 5.0
_LEVELS = {OK: 0.0, WARN: 1.0, FAIL: 2.0}
# A label for each coin would be a time series for each: the worst tell most.
_COINS = 20

ACCURACY, PREDICTIONS, DRIFT = "forecast_accuracy", "prediction_metrics", "drift_report"
INCIDENTS, FAILURES, VERIFICATION = "incidents", "monitor_failures", "verify"


class MonitorMetrics:
    """A Prometheus collector of one home."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._store = TableStore(settings)
        self._registry = CollectorRegistry()
        self._registry.register(self)
        self._lock = threading.Lock()
        self._read_at = float("-inf")
        self._reports: dict[str, tuple[tuple[int, int], Any]] = {}

    def text(self) -> bytes:
        """What a scrape gets of it."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        with self._lock:
            if time.monotonic() - self._read_at >= _CACHED_SECONDS:
                self._look()
                self._read_at = time.monotonic()
            reports = {name: report for name, (_, report) in self._reports.items()}
        now = dt.datetime.now(dt.UTC)
        found, worst, unreadable = [], {}, {}
        try:
            found, worst = self._freshness(now), self._looks(now)
        except Exception:  # A table that cannot be read must not take the other numbers away; the level says it.
            worst["monitor_broken"] = _LEVELS[FAIL]
        for name, report in reports.items():
            try:
                samples, told = list(_NUMBERS[name](report, now)), _read_findings(name, report)
            # Damaged, of another version, or written by hand.
            except (ValueError, KeyError, TypeError, AttributeError):
                unreadable[name] = 1.0
                continue
            unreadable[name] = 0.0
            found += samples
            for finding in told:
                worst[finding.kind] = max(worst.get(finding.kind, 0.0), _LEVELS[finding.level])
        yield from _families(found)
        yield _family("report_unreadable", "1 where a report of the monitor cannot be read.", "report", unreadable)
        yield _family("condition", "Worst level of an alert kind: 0 ok, 1 warn, 2 fail.", "kind", worst)

    def _freshness(self, now: dt.datetime) -> list[tuple[str, str, dict[str, str], float]]:
        newest = check_data_age(self.settings, self._store, now=now).figures["newest_snapshot"]
        if newest is None:
            return []
        age = age_days(dt.date.fromisoformat(newest), now=now) * 86_400.0
        missing = check_days(self._store).figures["missing_30"]
        return [
            ("data_age_seconds", "Time since the newest snapshot's date began.", {}, age),
            ("missing_days", "Days without a snapshot of the 30 up to the newest.", {}, float(missing)),
        ]

    def _looks(self, now: dt.datetime) -> dict[str, float]:
        """Levels by kind of what needs no report: data grows old while nothing runs."""
        looks = {
            "data_stale": check_data_age(self.settings, self._store, now=now),
            "days_missing": check_days(self._store),
        }
        return {kind: _LEVELS[look.level] for kind, look in looks.items()}

    def _look(self) -> None:
        """Read the reports that are others than at the last look."""
        looked = {}
        for name in _NUMBERS:
            path = self.settings.reports_dir / f"{name}.json"
            try:
                status = path.stat()
                version = (status.st_mtime_ns, status.st_size)
                before = self._reports.get(name)
                looked[name] = before if before and before[0] == version else (version, _read(path))
            except FileNotFoundError:
                continue
        self._reports = looked


_Sample = tuple[str, str, dict[str, str], float]


def _accuracy(report: Any, now: dt.datetime) -> Iterator[_Sample]:
    yield _age(ACCURACY, report, now)
    rolling = report["rolling"]
    if rolling is None:
        return
    told = {
        "live_skill": ("skill", "Skill against persistence of forecasts that came true within 30 days."),
        "live_coverage": ("coverage", "Share of scores inside their intervals, 30 days."),
        "live_mae": ("mae", "Mean absolute error of forecasts, 30 days, in score."),
        "live_mae_persistence": ("mae_persistence", "Mean absolute error of no change, 30 days, in score."),
        "live_forecasts": ("forecasts", "Forecasts that came true within 30 days."),
    }
    for name, (field, help_text) in told.items():
        if rolling[field] is not None:
            yield name, help_text, {}, float(rolling[field])
    yield "live_level", "Nominal coverage of intervals.", {}, float(report["level"])


def _predictions(report: Any, now: dt.datetime) -> Iterator[_Sample]:
    yield _age(PREDICTIONS, report, now)
    last = report["last"]
    told = {
        "day_predictions": ("predictions", "Predictions of the newest day in the record."),
        "day_mean_score": ("mean_score", "Mean score predicted on that day."),
        "day_out_of_range_share": ("share_out_of_range", "Share of that day's predictions with a field out of range."),
        "day_error_rate": ("error_rate", "Share of that day's requests to predict that failed."),
        "day_foreign_lines": ("foreign_lines", "Lines of that day's record that are torn or no predictions."),
    }
    for name, (field, help_text) in told.items() if last else ():
        if last[field] is not None:
            yield name, help_text, {}, float(last[field])
    for quantile in ("0.5", "0.9", "0.99") if last else ():
        seconds = last[f"seconds_p{float(quantile) * 100:g}"]
        if seconds is not None:
            yield (
                "day_request_seconds",
                "That day's seconds to answer a single request.",
                {"quantile": quantile},
                seconds,
            )
    holdout = report["holdout"]
    if holdout:
        yield "holdout_mae", "Mean absolute error of the champion's recipe on held-out days.", {}, float(holdout["mae"])
        for coin, mae in list(holdout["mae_by_coin"].items())[:_COINS]:
            yield "holdout_coin_mae", f"The same of the {_COINS} coins with the largest.", {"coin": coin}, float(mae)


def _drift(report: Any, now: dt.datetime) -> Iterator[_Sample]:
    yield _age(DRIFT, report, now)
    overall = report.get("overall") or {}
    for statistic, value in overall.items() if isinstance(overall, dict) else [("psi", overall)]:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            told = "Drift of the last days against the champion's training, all features together."
            yield "drift_overall", told, {"statistic": statistic}, float(value)


def _incidents(report: Any, now: dt.datetime) -> Iterator[_Sample]:
    there = [incident["level"] for incident in report["incidents"].values() if incident["open"]]
    for level in (WARN, FAIL):
        yield "incidents_open", "Incidents that have not recovered.", {"level": level}, float(there.count(level))


def _read_findings(name: str, report: Any) -> list[Finding]:
    """Those that a report tells of; incidents are made of the others' findings."""
    return [] if name == INCIDENTS else [Finding.from_dict(value) for value in report["conditions"]]


def _none(report: Any, now: dt.datetime) -> Iterator[_Sample]:
    """For a report that has findings and no numbers of its own."""
    return iter(())


_NUMBERS = {
    ACCURACY: _accuracy,
    PREDICTIONS: _predictions,
    DRIFT: _drift,
    FAILURES: _none,
    VERIFICATION: _none,
    INCIDENTS: _incidents,
}


def _age(name: str, report: Any, now: dt.datetime) -> _Sample:
    age = (now - dt.datetime.fromisoformat(report["made_at"])).total_seconds()
    return "report_age_seconds", "Time since a report of the monitor was made.", {"report": name}, age


def _read(path: Path) -> Any:
    """The report; None where it cannot be read, which is no report's content."""
    try:
        return read_json(path)
    except (OSError, ValueError):
        return None


def _families(samples: Iterable[_Sample]) -> list[GaugeMetricFamily]:
    """Samples of one name belong together, however they came."""
    families: dict[str, GaugeMetricFamily] = {}
    for name, told, labels, value in samples:
        if name not in families:
            families[name] = GaugeMetricFamily(f"cryptoliq_{name}", told, labels=list(labels))
        families[name].add_metric(list(labels.values()), value)
    return list(families.values())


def _family(name: str, told: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"cryptoliq_{name}", told, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
