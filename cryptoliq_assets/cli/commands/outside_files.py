"""preprocess and train on files outside a home."""

import datetime as dt
from pathlib import Path

import click

from cryptoliq_assets.cli import console, print_line
from cryptoliq_assets.core import Settings


def preprocess_outside(settings: Settings, source: Path, target: Path) -> int:
    """Preprocess files and write the rows; returns the exit code."""
    from cryptoliq_assets.modeling import FilesRejectedError, preprocess_files, snapshot_files, write_rows

    with console.status("reading") as status:
        try:
            made = preprocess_files(
                snapshot_files(source), settings, today=dt.datetime.now(dt.UTC).date(), progress=status.update
            )
        except FilesRejectedError as error:
            raise click.ClickException(str(error)) from error
        status.update("writing")
        path = write_rows(target, made.rows)
    for name, reason in made.rejected.items():
        print_line(("refused", "yellow"), f" {name}: {reason}")
    labelled = int(made.rows["trainable"].sum())
    console.print(
        f"{made.files - len(made.rejected):,} of {made.files:,} file(s): {len(made.rows):,} rows, {labelled:,} of them with a "
        f"target: {path}",
        soft_wrap=True,
    )
    return 1 if made.rejected else 0


def train_outside(settings: Settings, data: Path, out_model: Path) -> None:
    """Train on preprocessed rows and write the model."""
    from cryptoliq_assets.modeling import FilesRejectedError, metadata_path, read_rows, train_rows, write_model

    if out_model.suffix != ".pkl":
        raise click.UsageError(f"--out-model {out_model} has to end in .pkl")
    try:
        rows = read_rows(data)
        model, metadata = train_rows(
            rows, settings, progress=lambda message: console.print(f"  {message}", style="dim")
        )
    except FilesRejectedError as error:
        raise click.ClickException(str(error)) from error
    stored = write_model(out_model, model, metadata)
    skill = stored["metrics"]["skill"]
    shown = "unknown" if skill is None else f"{skill:.3f}"
    if skill is None or skill <= 0:
        print_line(
            ("weak", "yellow"), " the model is no better than the forecast of no change: more days of data are needed"
        )
    console.print(
        f"{stored['model_name']}, skill {shown}: {out_model}, its metadata {metadata_path(out_model).name}; "
        f"`cryptoliq predict --model {out_model} IN.csv OUT.csv` uses it",
        soft_wrap=True,
    )
