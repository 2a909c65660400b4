"""The drift report: the state of the feed and of the champion's inputs, as one value for JSON and HTML.

Add what the report contains. Statistics belong in `measure`, and presentation in `html`.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from cryptoliq_assets.core import Location, Settings, center_by_day, month_of, months_between
from cryptoliq_assets.forecasting import newest_date
from cryptoliq_assets.modeling import (
    PREDICTIONS,
    REFERENCE,
    SCORE,
    Champion,
    Reference,
    drift_features,
    load_champion,
    make_reference,
)
from cryptoliq_assets.modeling.registry import ModelRejectedError
from cryptoliq_assets.monitoring.alert_kinds import require_alert_kind
from cryptoliq_assets.monitoring.drift.measure import FeatureDrift, make_drift_finding, measure_drift, summarize_drift
from cryptoliq_assets.monitoring.feed import FeedDiagnosis, make_feed_findings, measure_feed, read_feed_history
from cryptoliq_assets.monitoring.findings import Finding
from cryptoliq_assets.monitoring.isolation import make_failure_finding, make_success_finding
from cryptoliq_assets.monitoring.reports import DRIFT_REPORT
from cryptoliq_assets.schemas import FEATURE_NAMES
from cryptoliq_assets.storage import TableStore

_KEYS = ["coin", "date", "sound"]
_MARKET_MOVE = require_alert_kind("market_move")
# The part of the monitor that compares the champion's inputs with their reference.
DRIFT = "drift of the champion"


@dataclass(frozen=True)
class DriftReport:
    """The content of the report.

    Attributes:
        made_at: UTC.
        newest: Date of the newest snapshot, None if there is none.
        findings: Of the feed and of the drift.
        metrics: See `measure_feed`, up to the newest snapshot.
        days: Days whose drift was measured.
        left_out: By excluded day, its feed faults.
        moves: Days of market moves.
        champion: Its version.
        reference: Distributions in training.
        reference_from: Source of the reference, in words.
        no_drift: Why drift was not measured, None if it was.
        drifts: By feature.
        score: Scores of the measured days minus the median of their day.
    """

    made_at: dt.datetime
    newest: dt.date | None
    findings: list[Finding]
    metrics: pd.DataFrame
    days: list[dt.date] = field(default_factory=list)
    left_out: dict[dt.date, list[str]] = field(default_factory=dict)
    moves: list[dt.date] = field(default_factory=list)
    champion: str | None = None
    reference: Reference | None = None
    reference_from: str | None = None
    no_drift: str | None = None
    drifts: list[FeatureDrift] = field(default_factory=list)
    score: np.ndarray = field(default_factory=lambda: np.array([]))

    def to_dict(self) -> dict[str, Any]:
        """Return the content of reports/drift_report.json."""
        reference = None
        if self.reference is not None:
            reference = {key: value for key, value in self.reference.to_dict().items() if key != "distributions"}
            reference["from"] = self.reference_from
        return {
            "made_at": self.made_at.isoformat(timespec="seconds"),
            "newest_snapshot": self.newest,
            "champion": self.champion,
            "days": self.days,
            "days_left_out": {day.isoformat(): kinds for day, kinds in self.left_out.items()},
            "market_moves": self.moves,
            "reference": reference,
            "not_measured": self.no_drift,
            "overall": summarize_drift(self.drifts),
            "drift": [drift.to_dict() for drift in self.drifts],
            "feed": [
                {"date": day.date()} | {name: _finite(value) for name, value in signs.items()}
                for day, signs in self.metrics.iterrows()
            ],
            "conditions": [finding.to_dict() for finding in self.findings],
        }


def drift_report_paths(reports_dir: Location) -> tuple[Location, Location]:
    """Return the paths of the JSON report and of the HTML page."""
    return reports_dir / DRIFT_REPORT, (reports_dir / DRIFT_REPORT).with_suffix(".html")


def make_drift_report(settings: Settings, store: TableStore, *, now: dt.datetime) -> DriftReport:
    """Diagnose the newest snapshot and measure the drift of the last days.

    Args:
        settings: The limits.
        store: The tables.
        now: UTC.

    Returns:
        The report; without findings if there is no snapshot.
    """
    newest = newest_date(store, "raw_snapshots")
    if newest is None:
        return DriftReport(
            now, None, [], measure_feed(store.read("raw_snapshots", [])), no_drift="there is no snapshot yet"
        )
    signs, diagnoses = read_feed_history(settings, store, newest=newest, days=settings.drift.window_days)
    feed = make_feed_findings(diagnoses.get(newest))
    try:
        report = _measured(settings, store, now=now, newest=newest, diagnoses=diagnoses, signs=signs)
        moved = report.moves[-1].isoformat() if report.moves else None
        drift = [make_drift_finding(report.drifts, moved=moved), make_success_finding(DRIFT)]
    except Exception as error:  # An error of the drift must not hide faults of the feed.
        drift = [make_failure_finding(DRIFT, error)]
        report = DriftReport(now, newest, [], signs, no_drift=drift[0].what)
    report.findings.extend([*feed, *drift])
    return report


def _measured(
    settings: Settings,
    store: TableStore,
    *,
    now: dt.datetime,
    newest: dt.date,
    diagnoses: Mapping[dt.date, FeedDiagnosis],
    signs: pd.DataFrame,
) -> DriftReport:
    """Return the report without findings: drift of the valid rows of the last days without feed faults."""
    left_out = {
        day: diagnosis.invalidating_faults for day, diagnosis in diagnoses.items() if diagnosis.invalidating_faults
    }
    days = [day for day in diagnoses if day not in left_out]
    found: dict[str, Any] = {
        "days": days,
        "left_out": left_out,
        "moves": [day for day, diagnosis in diagnoses.items() if _MARKET_MOVE in diagnosis.raised_kinds],
    }
    try:
        champion, reason = load_champion(settings), "there is no champion yet"
    except ModelRejectedError as error:
        champion, reason = None, f"no stored model loads: {error.reason}"
    if champion is None:
        return DriftReport(now, newest, [], signs, no_drift=reason, **found)
    found["champion"] = champion.version
    names = drift_features(list(dict.fromkeys([*champion.metadata["features"], SCORE])))
    rows = _read_valid_rows(store, champion, days) if days else pd.DataFrame()
    if rows.empty:
        return DriftReport(now, newest, [], signs, no_drift="no valid row on a day without feed faults", **found)
    reference, source = find_reference(champion, store, days=settings.drift.reference_days)
    if reference is None:
        return DriftReport(now, newest, [], signs, no_drift=source, **found)
    values, dates = _values(rows, names, champion), rows["date"].to_numpy()
    coins = rows["coin"].nunique()
    drifts = measure_drift(reference, values, dates, coins=coins, settings=settings)
    found |= {"reference": reference, "reference_from": source, "drifts": drifts}
    return DriftReport(now, newest, [], signs, score=center_by_day(values[SCORE], dates), **found)


def find_reference(champion: Champion, store: TableStore, *, days: int) -> tuple[Reference | None, str]:
    """Return the champion's reference.

    Args:
        champion: The model.
        store: The tables.
        days: Number of days up to the end of training.

    Returns:
        The reference from its metadata, or computed from the tables for champions of releases without references; and its source.
        None, with the reason, if the tables do not contain the end of training.
    """
    stored = champion.metadata.get(REFERENCE)
    if stored is not None:
        return Reference.from_dict(stored), "stored with the champion"
    last = dt.date.fromisoformat(champion.metadata["training"]["last_date"])
    span = [last - dt.timedelta(days=back) for back in reversed(range(days))]
    rows = _read_valid_rows(store, champion, span)
    if rows.empty:
        return None, f"{champion.version} has no reference, and the tables have no row of the days up to {last}"
    names = drift_features(list(dict.fromkeys([*champion.metadata["features"], SCORE])))
    values = _values(rows, names, champion)
    reference = make_reference(values, rows["date"].to_numpy(), coins=int(rows["coin"].nunique()))
    return reference, f"computed from the stored tables: {champion.version} was promoted before references were stored"


def _read_valid_rows(store: TableStore, champion: Champion, days: list[dt.date]) -> pd.DataFrame:
    """Read the valid feature rows of some days, with all columns that the champion reads."""
    # All features: for a coin that returns after a gap, the champion also reads the columns behind its own features.
    columns = list(dict.fromkeys([*_KEYS, *champion.metadata["features"], *FEATURE_NAMES]))
    rows = store.read("engineered_features", months_between(month_of(days[0]), month_of(days[-1])), columns=columns)
    wanted = rows["date"].isin([pd.Timestamp(day) for day in days]) & rows["sound"]
    return rows[wanted].reset_index(drop=True)


def _values(rows: pd.DataFrame, names: list[str], champion: Champion) -> dict[str, np.ndarray]:
    values = {name: rows[name].to_numpy(dtype=float) for name in names}
    return values | {PREDICTIONS: champion.predict(rows)["predicted"].to_numpy(dtype=float)}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
