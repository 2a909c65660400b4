"""Commands models list, models rollback and models verify."""

from typing import TYPE_CHECKING

import click

from cryptoliq_assets.cli import console, exit_with, open_runner, pass_home, print_error, print_line, print_table
from cryptoliq_assets.core import Settings

if TYPE_CHECKING:
    from cryptoliq_assets.modeling.registry import ModelStore

_MAX_EVENTS = 10


@click.group()
def models() -> None:
    """Manage stored models: list them, roll back to an earlier one, verify integrity."""


@models.command("list")
@pass_home
def list_models(settings: Settings) -> None:
    """List all stored versions, newest first, and the last events of the audit log."""
    from cryptoliq_assets.modeling.estimators import model_version_of
    from cryptoliq_assets.modeling.registry import open_model_store

    store = open_model_store(settings)
    entries = store.entries()
    if not entries:
        console.print(f"no model in {store.folder}: run `cryptoliq train`", soft_wrap=True)
        return
    _print_problems(store)
    print_table(
        f"Models in {store.folder}",
        ["model", "version", "current", "skill", "evaluation", "data cutoff", "promoted at"],
        [
            [
                entry["version"],
                model_version_of(entry),
                "yes" if entry["current"] else "",
                entry.get("metrics", {}).get("skill"),
                entry.get("evaluation", entry.get("problem", "")),
                entry.get("known_until", ""),
                str(entry.get("promoted_at", ""))[:16],
            ]
            for entry in entries
        ],
    )
    events = store.ledger.entries()[-_MAX_EVENTS:]
    print_table(
        f"Audit log, last {len(events)} event(s)",
        ["time", "event", "model", "reason"],
        [
            [
                str(event.get("at", ""))[:16],
                event.get("event"),
                event.get("version") or event.get("candidate"),
                event.get("reason"),
            ]
            for event in events
        ],
    )


@models.command()
@click.option("--to", metavar="VERSION", default=None, help="Default: the newest valid version before the current one.")
@click.option("--reason", metavar="TEXT", default=None, help="Reason, for the audit log.")
@pass_home
def rollback(settings: Settings, to: str | None, reason: str | None) -> None:
    """Make an earlier version current again; forecasts and services use it from their next check on."""
    from cryptoliq_assets.modeling.registry import open_model_store
    from cryptoliq_assets.orchestration import RunFailedError

    store = open_model_store(settings)
    before = store.current_version()
    try:
        with open_runner(settings) as runner:
            runner.rollback(to, reason=reason)
    except RunFailedError as error:
        exit_with(print_error(error))
    console.print(f"{before} → {store.current_version()}: recorded in {store.ledger.place}", soft_wrap=True)
    console.print("to forecast with it: `cryptoliq forecast`")


@models.command()
@pass_home
def verify(settings: Settings) -> None:
    """Verify integrity: load every stored version. Exit code 1 if one is rejected, or the pointer is missing or wrong."""
    from cryptoliq_assets.modeling.registry import open_model_store

    store = open_model_store(settings)
    with console.status("loading every version"):
        results = store.verify()
    is_consistent = _print_problems(store)
    if not results:
        console.print(f"no model in {store.folder}: run `cryptoliq train`", soft_wrap=True)
    for result in results:
        status = ("loads", "green") if result.problem is None else ("rejected", "red")
        print_line(status, f"  {result.version}{' (current)' if result.current else ''}")
        if result.problem:
            console.print(f"  {result.problem}", soft_wrap=True, markup=False)
    exit_with(0 if is_consistent and not any(result.problem for result in results) else 1)


def _print_problems(store: "ModelStore") -> bool:
    """Print problems of the pointer to the current version and of the audit log; returns True if there are none."""
    problems = {"pointer": store.pointer().problem, "audit log": store.ledger.problem()}
    for name, problem in problems.items():
        if problem:
            print_line((name, "red"), f"  {problem}")
    return not any(problems.values())
