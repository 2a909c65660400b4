"""What a home has to show of all its models and of the soundness of its data: plain values, read as they are now.

Reports that cannot be read are told in words, under `problems`: one damaged file must not hide what the others say.
"""

import datetime as dt
from pathlib import Path
from typing import Any

from cryptoliq_assets.core import Settings, read_json_object
from cryptoliq_assets.forecasting import measure, measure_accuracy_by_day, newest_date, read_realized_forecasts
from cryptoliq_assets.ingestion.landing import open_catalog
from cryptoliq_assets.modeling.registry import ModelRejectedError, ModelStore, open_model_store
from cryptoliq_assets.monitoring import FAIL, OK, Finding, collect_findings
from cryptoliq_assets.monitoring.alerting import Incident, read_state
from cryptoliq_assets.storage import TableStore

# Live accuracy is that of these last days: what a model said a year ago is no news of the present one.
ACCURACY_DAYS = 90
SNAPSHOT_DAYS = 180
_FILES = 30
_ISSUES = 5
_NOTICES = 20
_STORED = (
    "version",
    "current",
    "model_name",
    "model_version",
    "evaluation",
    "provisional",
    "known_until",
    "promoted_at",
)
_STORED += ("promotion_reason", "metrics", "problem")


def build_models_view(settings: Settings) -> dict[str, Any]:
    """versions: stored ones, newest first; ledger: its entries, newest first; leaderboard: that of the last training;
    by_coin: MAE and mean absolute prediction of each coin on its days held out."""
    store = open_model_store(settings)
    problems: list[str] = []
    leaderboard = _report(settings.reports_dir / "metrics.json", made_by="cryptoliq train", problems=problems)
    return {
        "versions": [{name: entry[name] for name in _STORED if name in entry} for entry in store.entries()],
        "ledger": store.ledger.entries()[::-1],
        "leaderboard": leaderboard,
        "by_coin": _holdout_by_coin(settings, store, problems),
        "problems": problems,
    }


def _holdout_by_coin(settings: Settings, store: ModelStore, problems: list[str]) -> list[dict[str, Any]]:
    """Each coin's measures on the days held out in the last training, of the current model's recipe, the worst first."""
    from cryptoliq_assets.modeling.evaluation import by_coin_path, read_by_coin
    from cryptoliq_assets.schemas import WITH_HISTORY

    path = by_coin_path(settings.reports_dir)
    try:
        recipe = (store.current() or {}).get("recipe", {}).get("name")
        if recipe is None or not path.exists():
            return []
        rows = read_by_coin(path, columns=["coin", "model", "view", "rows", "mae", "mean_absolute_prediction"])
    except (ModelRejectedError, OSError, ValueError) as error:
        problems.append(f"{path.name} cannot be shown ({error}); `cryptoliq train` writes it again")
        return []
    rows = rows[(rows["model"] == recipe) & (rows["view"] == WITH_HISTORY)].sort_values("mae", ascending=False)
    return rows.drop(columns=["model", "view"]).astype({"coin": object}).to_dict("records")


def build_health_view(settings: Settings, store: TableStore, *, today: dt.date | None = None) -> dict[str, Any]:
    """How new and how whole the data is, what became of the last files, and how forecasts came true.

    age_days: days from the newest snapshot to `today` (default: now, UTC); missing_days: days without one, newest
    first, between the first and the newest; snapshots: coins a day of the last 180 days; stale: coins absent from the
    newest snapshot; files: how many by state, the last ones with their reports; accuracy: of the last 90 days of
    forecasts that came true; drift: reports/drift_report.json, None while nothing has made it; findings: those of all
    that is looked at which are not well, the failures first; incidents, notices: what is open, and what was told last;
    closed, silences: incidents that somebody closed and that have not recovered, kinds that are not delivered for a time.
    """
    today = today or dt.datetime.now(dt.UTC).date()
    problems: list[str] = []
    counts = _snapshot_counts(store)
    days = [dt.date.fromisoformat(day) for day in sorted(counts)]
    span = (days[-1] - days[0]).days + 1 if days else 0
    there = set(days)
    missing = [day for back in range(span) if (day := days[-1] - dt.timedelta(days=back)) not in there]
    since = days[-1] - dt.timedelta(days=SNAPSHOT_DAYS - 1) if days else today
    forecasts = _report(settings.reports_dir / "forecasts.json", made_by="cryptoliq forecast", problems=problems)
    accuracy, by_day = measure_live_accuracy(store)
    alarms = read_state(settings)
    problems += [alarms.read_error] if alarms.read_error else []
    # On another day than now, when that day has ended.
    now = dt.datetime.now(dt.UTC) if today == dt.datetime.now(dt.UTC).date() else _end_of(today)
    findings = collect_findings(settings, now, store=store)
    not_well = [finding for finding in findings if finding.level != OK]
    return {
        "newest_snapshot": days[-1].isoformat() if days else None,
        "first_snapshot": days[0].isoformat() if days else None,
        "age_days": (today - days[-1]).days if days else None,
        "days": len(days),
        "missing_days": [day.isoformat() for day in missing],
        "snapshots": [{"date": str(day), "coins": counts[str(day)]} for day in days if day >= since],
        "stale": forecasts.get("stale", []) if forecasts else [],
        "stale_on": forecasts.get("date") if forecasts else None,
        "files": _files(settings),
        "accuracy": accuracy,
        "accuracy_by_day": by_day,
        "drift": _report(settings.reports_dir / "drift_report.json", made_by=None, problems=problems),
        "looked_at": alarms.evaluated_at,
        "conditions": [_told(finding) for finding in sorted(not_well, key=lambda each: each.level != FAIL)],
        "conditions_looked_at": len(findings),
        "incidents": [_told(incident) for incident in alarms.open],
        "closed": [_closed(incident) for incident in alarms.closed.values()],
        "silences": [{"kind": kind, **silence} for kind, silence in alarms.silenced(now).items()],
        "notices": alarms.notices[::-1][:_NOTICES],
        "problems": problems,
    }


def _told(found: Finding | Incident) -> dict[str, Any]:
    """What is not well, as it is shown."""
    since = found.since or (found.opened_at.isoformat(timespec="minutes") if isinstance(found, Incident) else None)
    named = {name: getattr(found, name) for name in ("id", "kind", "level", "title", "where", "what")}
    return {**named, "to_do": found.remedy, "since": since}


def _closed(incident: Incident) -> dict[str, Any]:
    """An incident that somebody closed, as it is shown."""
    at = incident.closed_at.isoformat(timespec="minutes") if incident.closed_at else None
    return {**_told(incident), "closed_at": at, "by": incident.closed_by, "reason": incident.closed_reason}


def _end_of(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), dt.UTC)


def read_stale_coins(settings: Settings) -> list[str]:
    """Names of the coins that the newest forecasts leave out; none where that report is absent or cannot be read."""
    report = _report(settings.reports_dir / "forecasts.json", made_by=None, problems=[]) or {}
    return [str(entry["coin"]) for entry in report.get("stale", [])]


def measure_live_accuracy(store: TableStore) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """Accuracy of the last 90 days of forecasts that have come true (None while none has), and of each target date."""
    newest = newest_date(store, "forecasts")
    if newest is None:
        return None, []
    realised = read_realized_forecasts(store, since=newest - dt.timedelta(days=ACCURACY_DAYS - 1))
    measured = measure(realised)
    by_day = [{"target_date": str(day), **found.to_dict()} for day, found in measure_accuracy_by_day(realised).items()]
    return (measured.to_dict() if measured else None), by_day


def _snapshot_counts(store: TableStore) -> dict[str, int]:
    """Coins a day of the raw table, by ISO date, from the stamps alone."""
    stamps = (store.stamp("raw_snapshots", month) for month in store.months("raw_snapshots"))
    return {day: count for stamp in stamps if stamp for day, count in stamp.counts.items()}


def _files(settings: Settings) -> dict[str, Any]:
    """Files received: how many by state; the last ones, newest first, and the last refused ones, with what was found."""
    received = open_catalog(settings).files()
    states = ("waiting", "accepted", "refused", "superseded")
    latest, refused = received[::-1][:_FILES], [file for file in received[::-1] if file.state == "refused"][:_FILES]
    told = {}
    for file in {file.arrival: file for file in [*latest, *refused]}.values():
        report = _validation(settings.validation_dir / f"{file.name}.json", arrival=file.arrival)
        told[file.arrival] = {
            "file": file.name.encode("utf-8", "backslashreplace").decode("utf-8"),
            "arrived_at": file.arrived_at,
            "state": file.state,
            "reason": file.reason,
            "rows_read": report.get("rows_read"),
            "rows_kept": report.get("rows_kept"),
            "rows_refused": report.get("rows_refused", {}),
            "issues": report.get("issues", [])[:_ISSUES],
        }
    return {
        "counts": {state: sum(file.state == state for file in received) for state in states},
        "latest": [told[file.arrival] for file in latest],
        "refused": [told[file.arrival] for file in refused],
    }


def _validation(path: Path, *, arrival: int) -> dict[str, Any]:
    """The report of that version of the file; empty where it is of another, or unreadable."""
    try:
        report = read_json_object(path)
    except (OSError, ValueError):
        return {}
    return report if report.get("arrival") == arrival else {}


def _report(path: Path, *, made_by: str | None, problems: list[str]) -> dict[str, Any] | None:
    """A report as it was written; None where there is none or, told in `problems`, where it cannot be read."""
    if not path.exists():
        return None
    try:
        report = read_json_object(path)
    except (OSError, ValueError) as error:
        anew = f"; `{made_by}` writes it anew" if made_by else ""
        problems.append(f"{path.name} cannot be read ({error}){anew}")
        return None
    return report
