"""status: one screen: what is there, how new it is, what there is to do."""

import datetime as dt
import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

from cryptoliq_assets.cli import exit_with, pass_home, print_finding, print_line
from cryptoliq_assets.cli.commands.monitoring import closed_by, silenced_by
from cryptoliq_assets.core import Settings
from cryptoliq_assets.forecasting import (
    describe_champion_mismatch,
    describe_missing_days,
    is_training_due,
    month_to_forecast,
    newest_date,
)
from cryptoliq_assets.ingestion.landing import find_new_files, list_folder, make_plan, open_catalog
from cryptoliq_assets.modeling.estimators import model_version_of
from cryptoliq_assets.modeling.registry import open_model_store
from cryptoliq_assets.monitoring import (
    ALERT_KINDS,
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

# Shown below the rest, a line each.
_LISTS = ("not_well", "to_do", "last_alerts", "problems")
_LISTED = 8
_ALERTS = 5
_Read = TypeVar("_Read")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@pass_home
def status(settings: Settings, as_json: bool) -> None:
    """What is there, how new it is, what is not well, and what there is to do; exit code 1 where something fails."""
    state = read_status(settings)
    failed = state["level"] == FAIL
    if as_json:
        click.echo(json.dumps(state, indent=2, default=str))
        exit_with(1 if failed else 0)
        return
    for name, value in state.items():
        if name not in _LISTS:
            _line(name, _shown(value))
    for notice in state["last_alerts"]:
        _line("alert", f"{notice['at'][:16]} {notice['event']}: {ALERT_KINDS[notice['kind']].title}: {notice['where']}")
    for problem in state["problems"]:
        _line("problem", problem)
    for finding in map(Finding.from_dict, state["not_well"]):
        print_finding(finding)
    for line in state["to_do"] or ([] if state["not_well"] else ["nothing: all is up to date"]):
        _line("to do", line)
    exit_with(1 if failed else 0)


def _line(name: str, value: str) -> None:
    print_line((f"{name.replace('_', ' '):18}", "bold"), f" {value}")


def _shown(value: object) -> str:
    """A value as it is read: a dictionary's items side by side, a dash where there is nothing."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items()) or "none"
    if isinstance(value, list):
        more = f" and {len(value) - _LISTED} more" if len(value) > _LISTED else ""
        return f"{len(value)}: {', '.join(map(str, value[:_LISTED]))}{more}" if value else "none"
    return "–" if value in (None, "") else str(value)


def read_status(settings: Settings) -> dict:
    """The state of a home; reads only."""
    store, catalog = TableStore(settings), open_catalog(settings)
    now = dt.datetime.now(dt.UTC)
    today = now.date()
    newest = newest_date(store, "raw_snapshots")
    models = open_model_store(settings)
    version, refused = models.latest_valid_version()
    champion = models.metadata(version) if version else None
    plan = make_plan(settings, catalog, store=store, today=today)
    # It reads no file, so it takes none for new that was perhaps only copied.
    unknown = find_new_files(list_folder(settings.raw_dir), catalog, by_change=False)
    files = catalog.files()
    # One damaged month must not hide everything else.
    damaged: list[str] = []
    accuracy, _ = _unless_damaged(lambda: measure_live_accuracy(store), damaged) or (None, [])
    alarms = read_state(settings)
    found = collect_findings(settings, now, store=store)
    not_well = sorted((finding for finding in found if finding.level != OK), key=_fails_first)
    to_do = []
    if unknown or plan.waiting:
        to_do.append(f"{len(unknown) + len(plan.waiting)} file(s) wait in data/raw: `cryptoliq materialize`")
    elif plan.months:
        to_do.append(
            f"{len(plan.months)} month(s) are older than what they are made from, or of an earlier version: `cryptoliq materialize`"
        )
    to_do += [f"{month} is not made: {reason}" for month, reason in plan.blocked.items()]
    to_do += _unless_damaged(lambda: _models_to_do(settings, store, champion, newest), damaged) or []
    pointer = models.pointer().problem
    to_do += [f"the pointer to the champion: {pointer}"] if pointer else []
    to_do += [
        f"a model is refused: {reason}; `cryptoliq models verify`, then restore it or roll back"
        for reason in refused
        if reason != pointer
    ]
    if newest is None and not unknown and all(file.state == "refused" for file in files):
        to_do.append(f"drop snapshot files into {settings.raw_dir}, or try `cryptoliq demo`")
    return {
        "home": str(settings.home_dir),
        "newest_snapshot": f"{newest} ({(today - newest).days} day(s) old)" if newest else None,
        "files": {state: sum(file.state == state for file in files) for state in ("accepted", "superseded", "refused")},
        "months": {table: len(store.months(table)) for table in DERIVED_TABLES},
        "champion": {
            "version": champion["version"],
            "model version": model_version_of(champion),
            "skill": round(champion["metrics"]["skill"] or 0.0, 3),
            "evaluation": champion["evaluation"],
            "known until": champion["known_until"],
        }
        if champion
        else None,
        "came_true": {
            "forecasts": accuracy["forecasts"],
            "days": accuracy["days"],
            "skill": None if accuracy["skill"] is None else round(accuracy["skill"], 3),
            "coverage": round(accuracy["coverage"], 3),
        }
        if accuracy
        else None,
        "stale_coins": read_stale_coins(settings),
        "drift": _drift(settings),
        "verified": _verified(settings),
        "open_incidents": [incident.key for incident in alarms.open],
        "incident_ids": {incident.key: incident.id for incident in alarms.open},
        "closed_incidents": [f"{incident.id} {key}, {closed_by(incident)}" for key, incident in alarms.closed.items()],
        "silenced": [f"{kind} {silenced_by(silence)}" for kind, silence in alarms.silenced(now).items()],
        "last_alerts": alarms.notices[::-1][:_ALERTS],
        "problems": [*dict.fromkeys(filter(None, (*damaged, alarms.problem, models.ledger.problem())))],
        "level": FAIL if damaged else worst_finding_level(found),
        "not_well": [finding.to_dict() | {"id": finding.id} for finding in not_well],
        "to_do": to_do,
    }


def _unless_damaged(read: Callable[[], _Read], damaged: list[str]) -> _Read | None:
    """What `read` returns; None where a month that it takes is damaged, which is added to `damaged`."""
    try:
        return read()
    except InvalidTableError as error:
        damaged.append(str(error))
        return None


def _models_to_do(
    settings: Settings, store: TableStore, champion: dict[str, Any] | None, newest: dt.date | None
) -> list[str]:
    """What there is to train and to forecast. newest: date of the newest snapshot."""
    other = describe_champion_mismatch(settings)
    to_do = [f"the champion has another task: {other}"] if other else []
    if is_training_due(settings, store, provisional_too=True):
        to_do.append(f"there is no {'champion of this task' if other else 'sound champion'}: `cryptoliq train`")
    elif newest is not None and (champion is None or other):
        to_do += [f"no champion yet: {needed}" for needed in [describe_missing_days(settings, store)] if needed]
    elif month_to_forecast(settings, store):
        to_do.append("the newest snapshot is not forecast: `cryptoliq forecast`")
    return to_do


def _verified(settings: Settings) -> str:
    """When what is stored was last verified, and what was found."""
    try:
        last = read_last_verification(settings)
    except OSError as error:
        return str(error)
    if last is None:
        return "never: `cryptoliq verify`"
    found = f"damaged: {', '.join(last['damaged'][:_LISTED])}" if last["damaged"] else "all sound"
    return f"{last['made_at'][:16]}, {last['checked']:,} items{' deeply' if last['deep'] else ''}, {found}"


def _drift(settings: Settings) -> str | None:
    """What the drift report says, in a line; None where there is none."""
    path = settings.reports_dir / "drift_report.json"
    if not path.exists():
        return None
    found = read_report_findings(path)
    bad = [finding for finding in found if finding.level != OK]
    told = "; ".join(f"{finding.title}: {finding.where}" for finding in bad)
    return f"{worst_finding_level(found)}: {told}" if bad else f"none of {len(found)} conditions"


def _fails_first(finding: Finding) -> bool:
    return finding.level != FAIL
