"""Commands ingest, preprocess, train, forecast, and materialize, which runs all of these stages."""

from pathlib import Path

import click

from cryptoliq_assets.cli import (
    console,
    exit_with,
    month_range,
    open_runner,
    pass_home,
    print_forecasts,
    print_leaderboard,
    print_line,
    require_home,
)
from cryptoliq_assets.cli.commands.external_files import preprocess_external, train_external
from cryptoliq_assets.core import Settings, is_remote, months_between
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
    help="Also ingest the files of this folder, by copying them to data/raw.",
)
@click.option(
    "--archive-dir",
    "archive",
    type=_FOLDER,
    default=None,
    help="Move accepted files of --input-dir here; default: they remain.",
)
@pass_home
def ingest(settings: Settings, source: Path | None, archive: Path | None) -> None:
    """Ingest the files of data/raw: validate, archive or quarantine, write raw rows.

    With --input-dir also the files of another system's folder, through data/raw like all others. data/archive contains a
    copy of each accepted file, even if the original is moved or deleted.
    """
    if archive and not source:
        raise click.UsageError("--archive-dir requires --input-dir")
    kept = archive or settings.archive_dir
    if source and source.resolve() in (settings.raw_dir, None if is_remote(kept) else kept.resolve()):
        raise click.UsageError(f"--input-dir {source} must not be the drop folder or the archive")
    with open_runner(settings) as runner:
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
    """Clean, compute features and labels: of the months that need it, or of the given months.

    With --input and --out, files outside a data directory: one row per coin and date, with the columns of the contract,
    features and targets. Exit code 1 if a file is rejected.
    """
    if (source is None) != (target is None):
        raise click.UsageError("--input and --out must be given together: the files to read, and where to write")
    if source is not None and target is not None:
        if first or last:
            raise click.UsageError("--from and --to select months of a data directory; with --input select the files")
        exit_with(preprocess_external(settings, source, target))
        return
    require_home(settings)
    with open_runner(settings) as runner:
        ranges = _select_ranges(runner, first, last)
        runner.refresh(ranges, job=PREPROCESS_JOB)
        months = _format_months(runner, ranges)
        code = _print_blocked_months(runner)
    console.print(f"{months} preprocessed")
    exit_with(code)


@click.command()
@click.option(
    "--data", type=click.Path(exists=True, path_type=Path), help="File that `preprocess --input --out` wrote."
)
@click.option(
    "--out-model", type=click.Path(dir_okay=False, path_type=Path), help="With --data: the model to write, a .pkl file."
)
@click.pass_obj
def train(settings: Settings, data: Path | None, out_model: Path | None) -> None:
    """Evaluate and fit the candidates, and promote the best one that meets the promotion criteria.

    With --data and --out-model, from a file outside a data directory: the best candidate is written as FILE.pkl, its
    metadata as FILE.json in the same folder; `cryptoliq predict --model FILE.pkl` uses it.
    """
    if (data is None) != (out_model is None):
        raise click.UsageError(
            "--data and --out-model must be given together: the rows to train on, and the model to write"
        )
    if data is not None and out_model is not None:
        train_external(settings, data, out_model)
        return
    require_home(settings)
    with open_runner(settings) as runner:
        runner.train()
    print_leaderboard(settings)


@click.command()
@pass_home
def forecast(settings: Settings) -> None:
    """Forecast the newest snapshot with the current champion."""
    with open_runner(settings) as runner:
        runner.require_champion()
        is_new = runner.forecast()
    console.print("forecasts written" if is_new else "the newest snapshot was already forecast by the current champion")
    print_forecasts(settings)


@click.command()
@month_range
@click.option("--train", "retrain", is_flag=True, help="Train even if there is a champion.")
@click.pass_obj
def materialize(settings: Settings, first: str | None, last: str | None, retrain: bool) -> None:
    """Run end to end: ingest new files, refresh tables, train if there is no champion, forecast the newest snapshot.

    Without a range, only the months that need it; with --from or --to, all months of the range.
    """
    with open_runner(settings) as runner:
        runner.register_files()
        waiting = runner.waiting_arrivals()
        ranges = _select_ranges(runner, first, last)
        runner.refresh(ranges)
        code = _print_blocked_months(runner)
        # Training would fail: without the raw rows of a month, its features cannot be checked for look-ahead.
        if retrain or (not code and runner.is_training_due()):
            runner.train()
        runner.forecast()
        if not code:
            runner.complete_training_tables()
        code = max(code, _print_rejected_files(runner, waiting))
        remaining = runner.waiting_arrivals()
        months = _format_months(runner, ranges)
    console.print(f"{months} refreshed" if ranges else _nothing_new(settings))
    if remaining:
        console.print(f"{len(remaining)} file(s) of other months are waiting: `cryptoliq materialize` ingests them")
    print_leaderboard(settings)
    print_forecasts(settings)
    exit_with(code)


def _select_ranges(runner: Runner, first: str | None, last: str | None) -> list[tuple[str, str]]:
    """Return the requested ranges, otherwise those of the months that need it; an invalid range is wrong usage."""
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
    copied = import_files(source, settings, runner.catalog)
    code = max(code, _ingest(runner))
    for name, reason in copied.skipped.items():
        print_line(("rejected", "yellow"), f" {name}: {reason}")
    if archive:
        moved = move_accepted(source, archive, copied, settings, runner.catalog)
        console.print(f"{len(moved)} file(s) moved from {source} to {archive}", soft_wrap=True)
    return 1 if copied.skipped else code


def _ingest(runner: Runner) -> int:
    runner.register_files()
    waiting = runner.waiting_arrivals()
    plan = runner.plan()
    # Even if no file is waiting: a run may have died between catalog and tables.
    runner.refresh(plan.raw_ranges, job=INGEST_JOB)
    code = max(_print_rejected_files(runner, waiting), _print_blocked_months(runner))
    if waiting:
        console.print(f"{len(waiting)} file(s) read")
    elif plan.raw_months:
        console.print(f"{_format_months(runner, plan.raw_ranges)} completed from files ingested before")
    else:
        console.print(f"nothing new in {runner.settings.raw_dir}")
    return code


def _print_rejected_files(runner: Runner, waiting: list[int]) -> int:
    """Print the files that were rejected or skipped in this run, with the reason; returns 1 if there are any, otherwise 0."""
    rejected = runner.rejected_files(waiting)
    reasons = {file.name: file.reason for file in rejected} | runner.skipped_files
    for name, reason in reasons.items():
        print_line(("rejected", "yellow"), f" {name}: {reason}")
    folder = runner.settings.validation_dir
    # A file that could not be read has no report, and was not moved.
    if any(find_report(folder, file.name, file.arrival) for file in rejected):
        print_line(f"reports are in {folder}, rejected files in {runner.settings.quarantine_dir}")
    return 1 if reasons else 0


def _print_blocked_months(runner: Runner) -> int:
    """Print the months that cannot be computed from the stored data, with the reason; returns 1 if there are any, otherwise 0."""
    blocked = runner.plan().blocked
    for month, reason in blocked.items():
        print_line(("damaged", "red"), f" {month} was not computed: {reason}")
    return 1 if blocked else 0


def _nothing_new(settings: Settings) -> str:
    return f"nothing new in {settings.raw_dir}, and every month is up to date"


def _format_months(runner: Runner, ranges: list[tuple[str, str]]) -> str:
    """Format the months of the ranges that have rows."""
    requested = {month for first, last in ranges for month in months_between(first, last)}
    existing = sorted(requested & set(runner.store.months("raw_snapshots")))
    if not existing:
        return f"no data in {ranges[0][0]} to {ranges[-1][1]}: nothing" if ranges else "no month"
    return f"{len(existing)} month(s) from {existing[0]} to {existing[-1]}"
