"""models: the model store from the command line: what is there, back to an earlier one, does each one load."""

from typing import TYPE_CHECKING

import click

from cryptoliq_assets.cli import console, exit_with, pass_home, print_error, print_line, running, table
from cryptoliq_assets.core import Settings

if TYPE_CHECKING:
    from cryptoliq_assets.modeling.registry import ModelStore

_LINES = 10


@click.group()
def models() -> None:
    """The stored models: list them, roll back to an earlier one, verify that each loads."""


@models.command("list")
@pass_home
def list_models(settings: Settings) -> None:
    """Every stored version, newest first, and the last lines of the ledger."""
    from cryptoliq_assets.modeling.estimators import model_version_of
    from cryptoliq_assets.modeling.registry import open_model_store

    store = open_model_store(settings)
    entries = store.entries()
    if not entries:
        console.print(f"no model in {store.folder}: `cryptoliq train` makes one", soft_wrap=True)
        return
    _tell_pointer(store)
    table(
        f"Models in {store.folder}",
        ["model", "version", "current", "skill", "evaluation", "known until", "promoted at"],
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
    lines = store.ledger.entries()[-_LINES:]
    table(
        f"The last {len(lines)} line(s) of the ledger",
        ["at", "event", "model", "reason"],
        [
            [str(e.get("at", ""))[:16], e.get("event"), e.get("version") or e.get("candidate"), e.get("reason")]
            for e in lines
        ],
    )


@models.command()
@click.option("--to", metavar="VERSION", default=None, help="Default: the newest sound version before the current one.")
@click.option("--reason", metavar="TEXT", default=None, help="Why, for the ledger.")
@pass_home
def rollback(settings: Settings, to: str | None, reason: str | None) -> None:
    """Make an earlier version current again; forecasts and services use it from their next look on."""
    from cryptoliq_assets.modeling.registry import open_model_store
    from cryptoliq_assets.orchestration import RunFailedError

    store = open_model_store(settings)
    before = store.current_version()
    try:
        with running(settings) as runner:
            runner.rollback(to, reason=reason)
    except RunFailedError as error:
        exit_with(print_error(error))
    console.print(f"{before} → {store.current_version()}: recorded in {store.ledger.path}", soft_wrap=True)
    console.print("forecasts by it: `cryptoliq forecast`")


@models.command()
@pass_home
def verify(settings: Settings) -> None:
    """Load every stored version through every check. Exit code 1 when one is refused, or the pointer is lost or wrong."""
    from cryptoliq_assets.modeling.registry import open_model_store

    store = open_model_store(settings)
    with console.status("loading every version"):
        verdicts = store.verify()
    sound = _tell_pointer(store)
    if not verdicts:
        console.print(f"no model in {store.folder}: `cryptoliq train` makes one", soft_wrap=True)
    for verdict in verdicts:
        state = ("loads", "green") if verdict.problem is None else ("refused", "red")
        print_line(state, f"  {verdict.version}{' (current)' if verdict.current else ''}")
        if verdict.problem:
            console.print(f"  {verdict.problem}", soft_wrap=True, markup=False)
    exit_with(0 if sound and not any(verdict.problem for verdict in verdicts) else 1)


def _tell_pointer(store: "ModelStore") -> bool:
    """Say what is wrong with the pointer to the current version and with the ledger; True where nothing is."""
    problems = {"pointer": store.pointer().problem, "ledger": store.ledger.problem()}
    for name, problem in problems.items():
        if problem:
            print_line((name, "red"), f"  {problem}")
    return not any(problems.values())
