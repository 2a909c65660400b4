"""Views of a data directory that only the dashboard displays: all models, and data health, read from the files as they are now.

Values are plain, as in `views`. `problems` lists reports that cannot be read: a damaged file must not hide the others.
"""

import datetime as dt
from typing import Any

from cryptoliq_assets.core import Location, Settings, file_exists, read_json_object
from cryptoliq_assets.forecasting import measure, measure_accuracy_by_day, newest_date, read_realized_forecasts
from cryptoliq_assets.ingestion.landing import open_catalog
from cryptoliq_assets.modeling.registry import ModelRejectedError, ModelStore, open_model_store
from cryptoliq_assets.monitoring import DRIFT_REPORT, FAIL, OK, Finding, collect_findings
from cryptoliq_assets.monitoring.alerting import Incident, read_state
from cryptoliq_assets.storage import TableStore

# Live accuracy covers these last days: forecasts of a year ago say nothing about the current model.
ACCURACY_DAYS = 90
SNAPSHOT_DAYS = 180
_MAX_FILES = 30
_MAX_ISSUES = 5
_MAX_NOTICES = 20
_VERSION_FIELDS = (
    "version",
    "current",
    "model_name",
    "model_version",
    "evaluation",
    "provisional",
    "known_until",
    "promoted_at",
    "promotion_reason",
    "metrics",
    "problem",
)


def build_models_view(settings: Settings) -> dict[str, Any]:
    """Build the view of all models.

    Args:
        settings: Settings of the data directory.

    Returns:
        versions: the stored versions, newest first; ledger: its entries, newest first; leaderboard: of the last training; by_coin:
        MAE and mean absolute prediction of each coin on held-out dates; problems.
    """
    store = open_model_store(settings)
    problems: list[str] = []
    leaderboard = _read_report(settings.reports_dir / "metrics.json", command="cryptoliq train", problems=problems)
    return {
        "versions": [{name: entry[name] for name in _VERSION_FIELDS if name in entry} for entry in store.entries()],
        "ledger": store.ledger.entries()[::-1],
        "leaderboard": leaderboard,
        "by_coin": _read_holdout_by_coin(settings, store, problems),
        "problems": problems,
    }


def _read_holdout_by_coin(settings: Settings, store: ModelStore, problems: list[str]) -> list[dict[str, Any]]:
    """Metrics of each coin on the held-out dates of the last training, for the current model's spec, the worst first."""
    from cryptoliq_assets.modeling.evaluation import by_coin_path, read_by_coin
    from cryptoliq_assets.schemas import WITH_HISTORY

    path = by_coin_path(settings.reports_dir)
    try:
        spec = (store.current() or {}).get("recipe", {}).get("name")
        if spec is None or not file_exists(path):
            return []
        rows = read_by_coin(path, columns=["coin", "model", "view", "rows", "mae", "mean_absolute_prediction"])
    except (ModelRejectedError, OSError, ValueError) as error:
        problems.append(f"{path.name} cannot be shown ({error}); `cryptoliq train` writes it again")
        return []
    rows = rows[(rows["model"] == spec) & (rows["view"] == WITH_HISTORY)].sort_values("mae", ascending=False)
    return rows.drop(columns=["model", "view"]).astype({"coin": object}).to_dict("records")


def build_health_view(settings: Settings, store: TableStore, *, today: dt.date | None = None) -> dict[str, Any]:
    """Build the view of data health: freshness, completeness, received files, accuracy, drift, and alerts.

    Args:
        settings: Settings of the data directory.
        store: Its tables.
        today: Date to assess; default: the current date (UTC).

    Returns:
        age_days: days from the newest snapshot to `today`; missing_days: dates without a snapshot between the first and the newest,
        newest first; snapshots: coins per date of the last 180 days; stale: coins absent from the newest snapshot; files: number by
        state, and the last ones with their reports; accuracy: of the realized forecasts of the last 90 days; drift:
        reports/drift_report.json, None if it does not exist; conditions: findings that are not ok, failures first; incidents,
        notices: open incidents, and the last notifications; closed, silences: incidents that a user closed and that have not
        recovered, and kinds whose notifications are suspended.
    """
    today = today or dt.datetime.now(dt.UTC).date()
    problems: list[str] = []
    counts = _count_coins_by_day(store)
    days = [dt.date.fromisoformat(day) for day in sorted(counts)]
    span = (days[-1] - days[0]).days + 1 if days else 0
    available = set(days)
    missing = [day for back in range(span) if (day := days[-1] - dt.timedelta(days=back)) not in available]
    since = days[-1] - dt.timedelta(days=SNAPSHOT_DAYS - 1) if days else today
    forecasts = _read_report(settings.reports_dir / "forecasts.json", command="cryptoliq forecast", problems=problems)
    accuracy, by_day = measure_live_accuracy(store)
    alerts = read_state(settings)
    problems += [alerts.read_error] if alerts.read_error else []
    # For another date: the end of that date.
    now = dt.datetime.now(dt.UTC) if today == dt.datetime.now(dt.UTC).date() else _end_of_day(today)
    findings = collect_findings(settings, now, store=store)
    not_ok = [finding for finding in findings if finding.level != OK]
    return {
        "newest_snapshot": days[-1].isoformat() if days else None,
        "first_snapshot": days[0].isoformat() if days else None,
        "age_days": (today - days[-1]).days if days else None,
        "days": len(days),
        "missing_days": [day.isoformat() for day in missing],
        "snapshots": [{"date": str(day), "coins": counts[str(day)]} for day in days if day >= since],
        "stale": forecasts.get("stale", []) if forecasts else [],
        "stale_on": forecasts.get("date") if forecasts else None,
        "files": _files_view(settings),
        "accuracy": accuracy,
        "accuracy_by_day": by_day,
        "drift": _read_report(settings.reports_dir / DRIFT_REPORT, command=None, problems=problems),
        "looked_at": alerts.evaluated_at,
        "conditions": [_format_finding(finding) for finding in sorted(not_ok, key=lambda each: each.level != FAIL)],
        "conditions_looked_at": len(findings),
        "incidents": [_format_finding(incident) for incident in alerts.open],
        "closed": [_format_closed(incident) for incident in alerts.closed.values()],
        "silences": [{"kind": kind, **silence} for kind, silence in alerts.silenced(now).items()],
        "notices": alerts.notices[::-1][:_MAX_NOTICES],
        "problems": problems,
    }


def _format_finding(finding: Finding | Incident) -> dict[str, Any]:
    """Format a finding or an incident for display."""
    since = finding.since or (
        finding.opened_at.isoformat(timespec="minutes") if isinstance(finding, Incident) else None
    )
    fields = {name: getattr(finding, name) for name in ("id", "kind", "level", "title", "where", "what")}
    return {**fields, "to_do": finding.remedy, "since": since}


def _format_closed(incident: Incident) -> dict[str, Any]:
    """Format an incident that a user closed."""
    at = incident.closed_at.isoformat(timespec="minutes") if incident.closed_at else None
    return {**_format_finding(incident), "closed_at": at, "by": incident.closed_by, "reason": incident.closed_reason}


def _end_of_day(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), dt.UTC)


def read_stale_coins(settings: Settings) -> list[str]:
    """Read which coins have no forecast because they are absent from the newest snapshot.

    Args:
        settings: Settings of the data directory.

    Returns:
        Names of the coins; empty if the forecast report is missing or cannot be read.
    """
    report = _read_report(settings.reports_dir / "forecasts.json", command=None, problems=[]) or {}
    return [str(entry["coin"]) for entry in report.get("stale", [])]


def measure_live_accuracy(store: TableStore) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """Measure the accuracy of realized forecasts.

    Args:
        store: Tables of the data directory.

    Returns:
        Metrics of the last ACCURACY_DAYS days (None if no forecast is realized), and metrics of each target date.
    """
    newest = newest_date(store, "forecasts")
    if newest is None:
        return None, []
    realized = read_realized_forecasts(store, since=newest - dt.timedelta(days=ACCURACY_DAYS - 1))
    metrics = measure(realized)
    by_day = [{"target_date": str(day), **daily.to_dict()} for day, daily in measure_accuracy_by_day(realized).items()]
    return (metrics.to_dict() if metrics else None), by_day


def _count_coins_by_day(store: TableStore) -> dict[str, int]:
    """Number of coins per date of the raw table, by ISO date; read from the fingerprints of the month files only."""
    stamps = (store.stamp("raw_snapshots", month) for month in store.months("raw_snapshots"))
    return {day: count for stamp in stamps if stamp for day, count in stamp.counts.items()}


def _files_view(settings: Settings) -> dict[str, Any]:
    """Received files: number by state, and the last ones and the last rejected ones, newest first, with their reports."""
    received = open_catalog(settings).files()
    states = ("waiting", "accepted", "refused", "superseded")
    latest, rejected = (
        received[::-1][:_MAX_FILES],
        [file for file in received[::-1] if file.state == "refused"][:_MAX_FILES],
    )
    entries = {}
    for file in {file.arrival: file for file in [*latest, *rejected]}.values():
        report = _read_validation_report(settings.validation_dir / f"{file.name}.json", arrival=file.arrival)
        entries[file.arrival] = {
            "file": file.name.encode("utf-8", "backslashreplace").decode("utf-8"),
            "arrived_at": file.arrived_at,
            "state": file.state,
            "reason": file.reason,
            "rows_read": report.get("rows_read"),
            "rows_kept": report.get("rows_kept"),
            "rows_refused": report.get("rows_refused", {}),
            "issues": report.get("issues", [])[:_MAX_ISSUES],
        }
    return {
        "counts": {state: sum(file.state == state for file in received) for state in states},
        "latest": [entries[file.arrival] for file in latest],
        "refused": [entries[file.arrival] for file in rejected],
    }


def _read_validation_report(path: Location, *, arrival: int) -> dict[str, Any]:
    """Report of this version of a file; empty if it belongs to another version or cannot be read."""
    try:
        report = read_json_object(path)
    except (OSError, ValueError):
        return {}
    return report if report.get("arrival") == arrival else {}


def _read_report(path: Location, *, command: str | None, problems: list[str]) -> dict[str, Any] | None:
    """Read a report; None if it does not exist, or cannot be read, which is added to `problems`."""
    if not file_exists(path):
        return None
    try:
        report = read_json_object(path)
    except (OSError, ValueError) as error:
        advice = f"; `{command}` writes it again" if command else ""
        problems.append(f"{path.name} cannot be read ({error}){advice}")
        return None
    return report
