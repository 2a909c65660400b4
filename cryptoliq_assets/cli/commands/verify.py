"""verify: compare everything that is stored with its digest, and say how each damaged item is repaired."""

from contextlib import nullcontext

import click

from cryptoliq_assets.cli import console, exit_with, pass_home, print_line
from cryptoliq_assets.core import Settings


@click.command()
@click.option("--deep", is_flag=True, help="Also read every row of every month, and load every model.")
@click.option(
    "--repair",
    is_flag=True,
    help="Make a damaged catalog again, restore archived files that data/raw still has, set damaged months aside.",
)
@pass_home
def verify(settings: Settings, deep: bool, repair: bool) -> None:
    """Compare archive, tables, models, ledger and catalog with their digests; exit code 1 where something is damaged.

    The result is stored as reports/verify.json; `cryptoliq status` shows it.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from cryptoliq_assets.monitoring.data import verify_home
    from cryptoliq_assets.orchestration.resources import home_lock

    lock = (
        home_lock(settings.lock_path, wait_seconds=settings.run_lock.timeout_seconds, say=console.print)
        if repair
        else nullcontext()
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with lock, Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("verifying", total=None)
        result = verify_home(
            settings,
            deep=deep,
            repair=repair,
            progress=lambda kind, done, total: bar.update(task, description=kind, completed=done, total=total),
        )
    for sentence in result.repaired:
        print_line(("repaired", "green"), f" {sentence}")
    for each in result.damaged:
        print_line(("damaged", "red"), f" {each.kind} {each.path}: {each.problem}")
        print_line("  remedy: ", each.remedy)
    counts = ", ".join(f"{count:,} {kind}" for kind, count in result.checked.items())
    console.print(f"{counts} item(s) checked{' deeply' if deep else ''}, {len(result.damaged)} damaged", soft_wrap=True)
    exit_with(1 if result.damaged else 0)
