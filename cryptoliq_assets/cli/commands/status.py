"""Command status: one screen with the state of the data directory, its problems, and the next steps."""

import datetime as dt
import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

from cryptoliq_assets.cli import (
    StoreHangsError,
    exit_with,
    list_store_problems,
    pass_home,
    print_finding,
    print_line,
    read_unless_hanging,
)
from cryptoliq_assets.cli.commands.monitoring import format_closure, format_silence
from cryptoliq_assets.core import Settings, StoreUnavailableError, file_exists
from cryptoliq_assets.forecasting import (
    describe_champion_mismatch,
    describe_missing_days,
    is_training_due,
    month_to_forecast,
    newest_date,
)
from cryptoliq_assets.ingestion.landing import RefreshPlan, find_new_files, list_folder, make_plan, open_catalog
from cryptoliq_assets.modeling.estimators import model_version_of
from cryptoliq_assets.modeling.registry import open_model_store
from cryptoliq_assets.monitoring import (
    ALERT_KINDS,
    DRIFT_REPORT,
    FAIL,
    OK,
    Finding,
    collect_findings,
    read_report_findings,
    worst_finding_level,
)
from cryptoliq_assets.monitoring.alerting import read_state
from cryptoliq_assets.monitoring.data import read_last_verification
from cryptoliq_assets.schemas import DERIVED_TABLES
from cryptoliq_assets.serving import measure_live_accuracy, read_stale_coins
from cryptoliq_assets.storage import InvalidTableError, TableStore

# Printed after the rest, one line per entry.
_LISTS = ("not_well", "to_do", "last_alerts", "problems")
# Keys of the state as they are printed, where they differ.
_LABELS = {
    "home": "data directory",
    "came_true": "forecast accuracy",
    "known until": "data cutoff",
    "refused": "rejected",
    "verified": "integrity",
}
_MAX_LISTED = 8
_MAX_ALERTS = 5
# Of the ten seconds within which the command answers when a store hangs: for the test of the stores, and without an answer afterwards.
_TEST_SECONDS, _HANGING_SECONDS = 3.5, 2.5
_Result = TypeVar("_Result")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@pass_home
def status(settings: Settings, as_json: bool) -> None:
    """Show what the data directory contains, its age, problems and next steps. Exit code 1 if a check fails."""
    state = _read_unless_unavailable(settings)
    is_failed = state["level"] == FAIL
    if as_json:
        click.echo(json.dumps(state, indent=2, default=str))
        exit_with(1 if is_failed else 0)
        return
    for name, value in state.items():
        if name not in _LISTS:
            _print_entry(_format_key(name), _format_value(value))
    for notification in state["last_alerts"]:
        title = ALERT_KINDS[notification["kind"]].title
        _print_entry("alert", f"{notification['at'][:16]} {notification['event']}: {title}: {notification['where']}")
    for problem in state["problems"]:
        _print_entry("problem", problem)
    for finding in map(Finding.from_dict, state["not_well"]):
        print_finding(finding)
    for step in state["to_do"] or ([] if state["not_well"] else ["nothing: all is up to date"]):
        _print_entry("to do", step)
    exit_with(1 if is_failed else 0)


def _print_entry(label: str, value: str) -> None:
    print_line((f"{label:18}", "bold"), f" {value}")


def _format_key(name: str) -> str:
    return _LABELS.get(name, name.replace("_", " "))


def _format_value(value: object) -> str:
    """Format a value in one line: the items of a dictionary or list, a dash for nothing."""
    if isinstance(value, dict):
        return ", ".join(f"{_format_key(key)} {item}" for key, item in value.items()) or "none"
    if isinstance(value, list):
        more = f" and {len(value) - _MAX_LISTED} more" if len(value) > _MAX_LISTED else ""
        return f"{len(value)}: {', '.join(map(str, value[:_MAX_LISTED]))}{more}" if value else "none"
    return "–" if value in (None, "") else str(value)


def _read_unless_unavailable(settings: Settings) -> dict[str, Any]:
    """Return `read_status`; if a store cannot be used or hangs, only which one and why."""
    problems = list_store_problems(settings, seconds=_TEST_SECONDS)
    if not problems:
        try:
            return read_unless_hanging(settings, lambda: read_status(settings), seconds=_HANGING_SECONDS)
        except (StoreHangsError, StoreUnavailableError) as error:
            problems = [str(error)]
    nothing: dict[str, Any] = {name: [] for name in _LISTS}
    step = "make the store available: nothing else can be shown without it"
    return {"home": str(settings.home_dir), "level": FAIL, **nothing, "problems": problems, "to_do": [step]}


def read_status(settings: Settings) -> dict[str, Any]:
    """Read the state of a data directory. Nothing is written.

    Args:
        settings: Settings of the data directory.

    Returns:
        The values that `cryptoliq status --json` prints.
    """
    store, catalog = TableStore(settings), open_catalog(settings)
    now = dt.datetime.now(dt.UTC)
    today = now.date()
    newest = newest_date(store, "raw_snapshots")
    models = open_model_store(settings)
    version, rejections = models.latest_valid_version()
    champion = models.metadata(version) if version else None
    plan = make_plan(settings, catalog, store=store, today=today)
    # Without the change time: status reads no file, and in a copy of the data directory every change time differs.
    unknown = find_new_files(list_folder(settings.raw_dir), catalog, by_change=False)
    files = catalog.files()
    # One damaged month must not hide everything else.
    damaged: list[str] = []
    accuracy, _ = _read_unless_damaged(lambda: measure_live_accuracy(store), damaged) or (None, [])
    alerts = read_state(settings)
    findings = collect_findings(settings, now, store=store)
    not_well = sorted((finding for finding in findings if finding.level != OK), key=_failures_first)
    to_do = _list_refresh_steps(plan, unknown=len(unknown))
    to_do += _read_unless_damaged(lambda: _list_model_steps(settings, store, champion, newest), damaged) or []
    pointer = models.pointer().problem
    to_do += [f"the pointer to the champion: {pointer}"] if pointer else []
    to_do += [
        f"a model was rejected: {reason}; `cryptoliq models verify`, then restore it or roll back"
        for reason in rejections
        if reason != pointer
    ]
    if newest is None and not unknown and all(file.state == "refused" for file in files):
        to_do.append(f"drop snapshot files into {settings.raw_dir}, or try `cryptoliq demo`")
    return {
        "home": str(settings.home_dir),
        "newest_snapshot": f"{newest} ({(today - newest).days} day(s) old)" if newest else None,
        "files": {state: sum(file.state == state for file in files) for state in ("accepted", "superseded", "refused")},
        "months": {table: len(store.months(table)) for table in DERIVED_TABLES},
        "champion": _describe_champion(champion) if champion else None,
        "came_true": _describe_accuracy(accuracy) if accuracy else None,
        "stale_coins": read_stale_coins(settings),
        "drift": _describe_drift(settings),
        "verified": _describe_verification(settings),
        "open_incidents": [incident.key for incident in alerts.open],
        "incident_ids": {incident.key: incident.id for incident in alerts.open},
        "closed_incidents": [
            f"{incident.id} {key}, {format_closure(incident)}" for key, incident in alerts.closed.items()
        ],
        "silenced": [f"{kind} {format_silence(silence)}" for kind, silence in alerts.silenced(now).items()],
        "last_alerts": alerts.notices[::-1][:_MAX_ALERTS],
        "problems": [*dict.fromkeys(filter(None, (*damaged, alerts.read_error, models.ledger.problem())))],
        "level": FAIL if damaged else worst_finding_level(findings),
        "not_well": [finding.to_dict() | {"id": finding.id} for finding in not_well],
        "to_do": to_do,
    }


def _describe_champion(champion: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": champion["version"],
        "model version": model_version_of(champion),
        "skill": round(champion["metrics"]["skill"] or 0.0, 3),
        "evaluation": champion["evaluation"],
        "known until": champion["known_until"],
    }


def _describe_accuracy(accuracy: dict[str, Any]) -> dict[str, Any]:
    return {
        "forecasts": accuracy["forecasts"],
        "days": accuracy["days"],
        "skill": None if accuracy["skill"] is None else round(accuracy["skill"], 3),
        "coverage": round(accuracy["coverage"], 3),
    }


def _list_refresh_steps(plan: RefreshPlan, *, unknown: int) -> list[str]:
    """Return what to do about files and months. unknown: number of files that are not registered yet."""
    to_do = []
    if unknown or plan.waiting:
        to_do.append(f"{unknown + len(plan.waiting)} file(s) are waiting in data/raw: `cryptoliq materialize`")
    elif plan.months:
        to_do.append(
            f"{len(plan.months)} month(s) are older than their inputs, or of an earlier version: `cryptoliq materialize`"
        )
    return to_do + [f"{month} was not computed: {reason}" for month, reason in plan.blocked.items()]


def _read_unless_damaged(read: Callable[[], _Result], damaged: list[str]) -> _Result | None:
    """Return the result of `read`; None if it reads a damaged month, which is added to `damaged`."""
    try:
        return read()
    except InvalidTableError as error:
        damaged.append(str(error))
        return None


def _list_model_steps(
    settings: Settings, store: TableStore, champion: dict[str, Any] | None, newest: dt.date | None
) -> list[str]:
    """Return what to train or to forecast. newest: date of the newest snapshot."""
    other_task = describe_champion_mismatch(settings)
    to_do = [f"the champion has another task: {other_task}"] if other_task else []
    if is_training_due(settings, store, provisional_too=True):
        to_do.append(f"there is no {'champion of this task' if other_task else 'valid champion'}: `cryptoliq train`")
    elif newest is not None and (champion is None or other_task):
        to_do += [f"no champion yet: {needed}" for needed in [describe_missing_days(settings, store)] if needed]
    elif month_to_forecast(settings, store):
        to_do.append("the newest snapshot is not forecast yet: `cryptoliq forecast`")
    return to_do


def _describe_verification(settings: Settings) -> str:
    """Return when stored data was last verified, and the result."""
    try:
        last = read_last_verification(settings)
    except OSError as error:
        return str(error)
    if last is None:
        return "never: `cryptoliq verify`"
    result = f"damaged: {', '.join(last['damaged'][:_MAX_LISTED])}" if last["damaged"] else "all valid"
    return f"{last['made_at'][:16]}, {last['checked']:,} items{' deeply' if last['deep'] else ''}, {result}"


def _describe_drift(settings: Settings) -> str | None:
    """Return the findings of the drift report in one line; None without a report."""
    path = settings.reports_dir / DRIFT_REPORT
    if not file_exists(path):
        return None
    findings = read_report_findings(path)
    problems = [finding for finding in findings if finding.level != OK]
    summary = "; ".join(f"{finding.title}: {finding.where}" for finding in problems)
    return f"{worst_finding_level(findings)}: {summary}" if problems else f"{len(findings)} checks passed"


def _failures_first(finding: Finding) -> bool:
    return finding.level != FAIL
