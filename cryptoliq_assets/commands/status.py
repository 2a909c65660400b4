"""status: one screen: what is there, how new it is, what there is to do."""

import datetime as dt
import json

import click

from cryptoliq_assets.commands.console import say
from cryptoliq_assets.commands.results import realised_accuracy
from cryptoliq_assets.forecasts.due import days_needed, forecasts_due, mismatch, newest_date, training_due
from cryptoliq_assets.io.tables import TableStore
from cryptoliq_assets.models.store import store_of
from cryptoliq_assets.raw.catalogue import Catalogue
from cryptoliq_assets.raw.folder import look_at, unknown_files
from cryptoliq_assets.raw.planning import make_plan
from cryptoliq_assets.schemas.tables import DERIVED_TABLES
from cryptoliq_assets.settings import Settings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.pass_obj
def status(settings: Settings, as_json: bool) -> None:
    """What is there, how new it is, and what there is to do."""
    state = read_status(settings)
    if as_json:
        click.echo(json.dumps(state, indent=2, default=str))
        return
    for name, value in state.items():
        if name == "to_do":
            continue
        shown = ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, dict) else value
        say((f"{name.replace('_', ' '):18}", "bold"), f" {'–' if shown in (None, '') else shown}")
    for line in state["to_do"] or ["nothing: all is up to date"]:
        say((f"{'to do':18}", "bold"), f" {line}")


def read_status(settings: Settings) -> dict:
    """The state of a home; reads only."""
    store, catalogue = TableStore(settings), Catalogue(settings.catalogue_path)
    today = dt.datetime.now(dt.UTC).date()
    newest = newest_date(store, "raw_snapshots")
    models = store_of(settings)
    version, refused = models.newest_intact()
    champion = models.metadata(version) if version else None
    plan = make_plan(settings, catalogue, store=store, today=today)
    # It reads no file, so it takes none for new that was perhaps only copied.
    unknown = unknown_files(look_at(settings.raw_dir), catalogue, by_change=False)
    files = catalogue.files()
    accuracy = realised_accuracy(settings)
    to_do = []
    if unknown or plan.waiting:
        to_do.append(f"{len(unknown) + len(plan.waiting)} file(s) wait in data/raw: `cryptoliq materialize`")
    elif plan.months:
        to_do.append(f"{len(plan.months)} month(s) are older than what they are made from: `cryptoliq materialize`")
    other = mismatch(settings)
    if other:
        to_do.append(f"the champion has another task: {other}")
    if training_due(settings, store, provisional_too=True):
        to_do.append(f"there is no {'champion of this task' if other else 'sound champion'}: `cryptoliq train`")
    elif newest is not None and (champion is None or other):
        to_do += [f"no champion yet: {needed}" for needed in [days_needed(settings, store)] if needed]
    elif forecasts_due(settings, store):
        to_do.append("the newest snapshot is not forecast: `cryptoliq forecast`")
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
        "home": str(settings.home),
        "newest_snapshot": f"{newest} ({(today - newest).days} day(s) old)" if newest else None,
        "files": {state: sum(file.state == state for file in files) for state in ("accepted", "superseded", "refused")},
        "months": {table: len(store.months(table)) for table in DERIVED_TABLES},
        "champion": {
            "version": champion["version"],
            "skill": round(champion["metrics"]["skill"] or 0.0, 3),
            "evaluation": champion["evaluation"],
            "known until": champion["known_until"],
        }
        if champion
        else None,
        "came_true": {
            "forecasts": accuracy.forecasts,
            "days": accuracy.days,
            "skill": round(accuracy.skill, 3),
            "coverage": round(accuracy.coverage, 3),
        }
        if accuracy
        else None,
        "to_do": to_do,
    }
