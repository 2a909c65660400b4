"""Command predict: forecast the rows of a CSV file, with the history of each coin."""

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cryptoliq_assets.cli import console, error_console, exit_with, print_error, print_line, require_home
from cryptoliq_assets.core import Settings

if TYPE_CHECKING:
    from rich.progress import Progress

    from cryptoliq_assets.serving.csv import BatchPredictionSummary


@click.command()
@click.argument("source", metavar="IN.csv", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("target", metavar="OUT.csv", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--unit",
    type=click.Choice(["percent", "fraction", "auto"]),
    default="auto",
    show_default=True,
    help="Unit of 1h, 24h and 7d; auto: the column change_unit, otherwise inferred from all rows of the file.",
)
@click.option(
    "--model",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="A model that `train --data --out-model` wrote, instead of the champion; needs no data directory.",
)
@click.pass_obj
def predict(settings: Settings, source: Path, target: Path, unit: str, model: Path | None) -> None:
    """Forecast each row of IN.csv independently with the current champion. Exit code 1 if a row is rejected.

    Columns are as in a snapshot file; price and 24h_volume are required. OUT.csv has the columns of IN.csv and
    liquidity_score, lower, upper, model, model_version, basis (inputs used; "history": the row and the coin's stored days,
    "snapshot": the row only, no stored day in the 3 days before it) and reason (why a row was rejected).
    """
    if not settings.storage.models_url and model is None:
        require_home(settings)
    from cryptoliq_assets.core import explain_missing_home
    from cryptoliq_assets.modeling import load_champion, read_model
    from cryptoliq_assets.modeling.registry import ModelRejectedError
    from cryptoliq_assets.monitoring.service import COMMAND
    from cryptoliq_assets.serving import PredictionLog, Stopwatch, sample_csv_rows
    from cryptoliq_assets.serving.csv import ADDED_COLUMNS, InputRejectedError, predict_file

    if unit != "auto":
        settings = settings.with_values(ingestion={"change_unit": unit})
    if target.exists() and target.samefile(source):
        raise click.UsageError("OUT.csv is IN.csv: name another file")
    if not target.parent.is_dir():
        raise click.UsageError(f"the folder of OUT.csv, {target.parent}, does not exist")
    log, watch = PredictionLog(settings, COMMAND, enabled=explain_missing_home(settings) is None), Stopwatch()
    try:
        with log.record_exceptions("loading the model"):
            champion = load_champion(settings) if model is None else read_model(model)
    except ModelRejectedError as error:
        exit_with(print_error(error))
        return
    if champion is None:
        raise click.ClickException(
            "there is no champion yet: run `cryptoliq train` to train one on the labelled months"
        )
    log.record_model_load(champion)
    for reason in champion.passed_over:
        error_console.print(
            f"! {reason}; {champion.version} is used instead", style="yellow", markup=False, soft_wrap=True
        )
    bar = _make_progress_bar()
    try:
        with bar, log.record_exceptions("forecasting a file", expected=(InputRejectedError,)):
            task = bar.add_task("forecasting", total=None)
            summary = predict_file(
                source,
                target,
                champion=champion,
                settings=settings,
                today=dt.datetime.now(dt.UTC).date(),
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
    except InputRejectedError as error:
        exit_with(print_error(error))
        return
    with target.open(encoding="utf-8", newline="") as lines:
        sample = sample_csv_rows(lines, output_columns=ADDED_COLUMNS)
    rejected = sum(summary.rejected.values())
    log.record_predictions("csv", champion, summary.scores, sample=sample, seconds=watch.seconds(), rejected=rejected)
    _print_summary(summary)
    console.print(f"{champion.model_name} {champion.model_version} → {target}", soft_wrap=True)
    exit_with(1 if summary.rejected else 0)


def _make_progress_bar() -> "Progress":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("forecasting"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


def _print_summary(summary: "BatchPredictionSummary") -> None:
    for doubt in summary.doubts:
        console.print(f"! {doubt}", style="yellow", markup=False, soft_wrap=True)
    counts = ", ".join(f"{count:,} from {basis}" for basis, count in sorted(summary.by_basis.items())) or "none"
    console.print(
        f"{summary.rows:,} row(s) read as {summary.unit or 'unknown unit'}: forecast {counts}", soft_wrap=True
    )
    for code, count in summary.rejected.items():
        print_line(("rejected", "yellow"), f" {count:,}: {code}")
