"""Command verify: compare all stored data with its checksums, and name the remedy of each damaged item."""

from contextlib import nullcontext

import click

from cryptoliq_assets.cli import console, exit_with, pass_home, print_line
from cryptoliq_assets.core import Settings


@click.command()
@click.option("--deep", is_flag=True, help="Also read all rows of all months, and load all models.")
@click.option(
    "--repair",
    is_flag=True,
    help="Rebuild a damaged catalog, restore archived files from data/raw, move damaged months aside.",
)
@pass_home
def verify(settings: Settings, deep: bool, repair: bool) -> None:
    """Verify integrity: compare archive, tables, models, audit log and catalog with their checksums. Exit code 1 on damage.

    The result is written to reports/verify.json, and `cryptoliq status` shows it.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from cryptoliq_assets.monitoring.data import verify_home
    from cryptoliq_assets.orchestration.resources import hold_locks

    lock = hold_locks(settings, log=console.print) if repair else nullcontext()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with lock, Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("verifying", total=None)
        result = verify_home(
            settings,
            deep=deep,
            repair=repair,
            progress=lambda kind, done, total: bar.update(task, description=kind, completed=done, total=total),
        )
    for message in result.repaired:
        print_line(("repaired", "green"), f" {message}")
    for item in result.damaged:
        print_line(("damaged", "red"), f" {item.kind} {item.path}: {item.problem}")
        print_line("  remedy: ", item.remedy)
    counts = ", ".join(f"{count:,} {kind}" for kind, count in result.checked.items())
    console.print(f"{counts} item(s) checked{' deeply' if deep else ''}, {len(result.damaged)} damaged", soft_wrap=True)
    exit_with(1 if result.damaged else 0)
