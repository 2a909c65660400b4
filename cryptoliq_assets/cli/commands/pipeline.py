"""ingest, preprocess, train, forecast, materialize: the stages, and all of them."""

from pathlib import Path

import click

from cryptoliq_assets.cli import (
    console,
    exit_with,
    month_range,
    pass_home,
    print_line,
    require_home,
    running,
    show_forecasts,
    show_leaderboard,
)
from cryptoliq_assets.cli.commands.outside_files import preprocess_outside, train_outside
from cryptoliq_assets.core import Settings, months_between
from cryptoliq_assets.ingestion.landing import import_files, move_accepted, name_conflicts
from cryptoliq_assets.ingestion.reports import find_report
from cryptoliq_assets.orchestration import INGEST_JOB, PREPROCESS_JOB, Runner

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.command()
@click.option(
    "--input-dir",
    "source",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=None,
    help="Take in this folder's files as well, by copies in data/raw.",
)
@click.option(
    "--archive-dir",
    "archive",
    type=_FOLDER,
    default=None,
    help="Move accepted files of --input-dir here; default: they stay.",
)
@pass_home
def ingest(settings: Settings, source: Path | None, archive: Path | None) -> None:
    """Take in the files of data/raw: validate, archive or quarantine, write raw rows.

    With --input-dir another system's folder too: its files go through data/raw like all others; data/archive keeps a copy of
    what is accepted whatever becomes of the original.
    """
    if archive and not source:
        raise click.UsageError("--archive-dir is for the files of --input-dir")
    if source and source.resolve() in (settings.raw_dir, (archive or settings.archive_dir).resolve()):
        raise click.UsageError(f"--input-dir {source} is the drop folder or the archive itself")
    with running(settings) as runner:
        code = _ingest_folder(runner, source, archive) if source else _ingest(runner)
    exit_with(code)


@click.command()
@month_range
@click.option(
    "--input", "source", type=click.Path(exists=True, path_type=Path), help="A snapshot file or a folder of them."
)
@click.option(
    "--out", "target", type=click.Path(path_type=Path), help="With --input: a .csv or .parquet file, or a folder."
)
@click.pass_obj
def preprocess(
    settings: Settings, first: str | None, last: str | None, source: Path | None, target: Path | None
) -> None:
    """Clean, engineer and label: the months that need it, or those given.

    With --input and --out files outside a home, which none is needed for: one row a coin and date, contract's columns,
    features and targets. Exit code 1 when a file is refused.
    """
    if (source is None) != (target is None):
        raise click.UsageError("--input and --out belong together: name the files to read and where to write")
    if source is not None:
        if first or last:
            raise click.UsageError("--from and --to are months of a home; with --input choose the files")
        exit_with(preprocess_outside(settings, source, target))
        return
    require_home(settings)
    with running(settings) as runner:
        ranges = _chosen(runner, first, last)
        runner.refresh(ranges, job=PREPROCESS_JOB)
        done = _months(runner, ranges)
        code = _tell_blocked(runner)
    console.print(f"{done} preprocessed")
    exit_with(code)


@click.command()
@click.option("--data", type=click.Path(exists=True, path_type=Path), help="What `preprocess --input --out` wrote.")
@click.option(
    "--out-model", type=click.Path(dir_okay=False, path_type=Path), help="With --data: the model, a .pkl file."
)
@click.pass_obj
def train(settings: Settings, data: Path | None, out_model: Path | None) -> None:
    """Evaluate and fit the candidates, promote the best that passes the gate.

    With --data and --out-model from a file outside a home: the best candidate is written as FILE.pkl, its metadata as
    FILE.json beside it; `cryptoliq predict --model FILE.pkl` uses it.
    """
    if (data is None) != (out_model is None):
        raise click.UsageError(
            "--data and --out-model belong together: name the rows to learn from and the model to write"
        )
    if data is not None:
        train_outside(settings, data, out_model)
        return
    require_home(settings)
    with running(settings) as runner:
        runner.train()
    show_leaderboard(settings)


@click.command()
@pass_home
def forecast(settings: Settings) -> None:
    """Forecast the newest snapshot with the present champion."""
    with running(settings) as runner:
        runner.require_champion()
        made = runner.forecast()
    console.print("forecasts written" if made else "the newest snapshot is already forecast by the present champion")
    show_forecasts(settings)


@click.command()
@month_range
@click.option("--train", "retrain", is_flag=True, help="Train again although there is a champion.")
@click.pass_obj
def materialize(settings: Settings, first: str | None, last: str | None, retrain: bool) -> None:
    """All of it: new files in, tables refreshed, a champion where there is none, forecasts of the newest snapshot.

    Without a range, the months that need it; with --from or --to, those months whether they need it or not.
    """
    with running(settings) as runner:
        runner.register_files()
        waiting = runner.waiting_arrivals()
        ranges = _chosen(runner, first, last)
        runner.refresh(ranges)
        code = _tell_blocked(runner)
        # Without the raw rows of a month nothing shows that its features look at no later day: that training would fail.
        if retrain or (not code and runner.is_training_due()):
            runner.train()
        runner.forecast()
        code = max(code, _tell_refused(runner, waiting))
        left = runner.waiting_arrivals()
        done = _months(runner, ranges)
    console.print(f"{done} refreshed" if ranges else _nothing_new(settings))
    if left:
        console.print(f"{len(left)} file(s) of other months still wait: `cryptoliq materialize` takes them in")
    show_leaderboard(settings)
    show_forecasts(settings)
    exit_with(code)


def _chosen(runner: Runner, first: str | None, last: str | None) -> list[tuple[str, str]]:
    """The ranges asked for, or those of the months that need it; a range that cannot be is wrong usage."""
    if not first and not last:
        return runner.plan().ranges
    try:
        return runner.month_ranges(first, last)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _ingest_folder(runner: Runner, source: Path, archive: Path | None) -> int:
    settings, code = runner.settings, 0
    runner.register_files()
    if name_conflicts(source, runner.catalog):
        code = _ingest(runner)
    brought = import_files(source, settings, runner.catalog)
    code = max(code, _ingest(runner))
    for name, reason in brought.skipped.items():
        print_line(("refused", "yellow"), f" {name}: {reason}")
    if archive:
        moved = move_accepted(source, archive, brought, settings, runner.catalog)
        console.print(f"{len(moved)} file(s) moved from {source} to {archive}", soft_wrap=True)
    return 1 if brought.skipped else code


def _ingest(runner: Runner) -> int:
    runner.register_files()
    waiting = runner.waiting_arrivals()
    plan = runner.plan()
    # Also where nothing waits: a run may have died between the catalog and the tables.
    runner.refresh(plan.raw_ranges, job=INGEST_JOB)
    code = max(_tell_refused(runner, waiting), _tell_blocked(runner))
    if waiting:
        console.print(f"{len(waiting)} file(s) read")
    elif plan.raw_months:
        console.print(f"{_months(runner, plan.raw_ranges)} brought up to what had been read before")
    else:
        console.print(f"nothing new in {runner.settings.raw_dir}")
    return code


def _tell_refused(runner: Runner, waiting: list[int]) -> int:
    """Name the files that were refused or passed over just now, and why; 1 when there are any."""
    refused = runner.rejected_files(waiting)
    reasons = {file.name: file.reason for file in refused} | runner.skipped_files
    for name, reason in reasons.items():
        print_line(("refused", "yellow"), f" {name}: {reason}")
    folder = runner.settings.validation_dir
    # A file that could not be read has no report, and lies where it lay.
    if any(find_report(folder, file.name, file.arrival) for file in refused):
        print_line(f"reports lie in {folder}, refused files in {runner.settings.quarantine_dir}")
    return 1 if reasons else 0


def _tell_blocked(runner: Runner) -> int:
    """Name the months that cannot be made from what is stored, and why; 1 when there are any."""
    blocked = runner.plan().blocked
    for month, reason in blocked.items():
        print_line(("damaged", "red"), f" {month} is not made: {reason}")
    return 1 if blocked else 0


def _nothing_new(settings: Settings) -> str:
    return f"nothing new in {settings.raw_dir}, and every month is up to date"


def _months(runner: Runner, ranges: list[tuple[str, str]]) -> str:
    """The months of the ranges that hold rows, in words."""
    asked = {month for first, last in ranges for month in months_between(first, last)}
    there = sorted(asked & set(runner.store.months("raw_snapshots")))
    if not there:
        return f"no data in {ranges[0][0]} to {ranges[-1][1]}: nothing" if ranges else "no month"
    return f"{len(there)} month(s) from {there[0]} to {there[-1]}"
