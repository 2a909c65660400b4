"""preprocess and train on files outside a data directory."""

import datetime as dt
from pathlib import Path

import click

from cryptoliq_assets.cli import console, print_line
from cryptoliq_assets.core import Settings


def preprocess_external(settings: Settings, source: Path, target: Path) -> int:
    """Preprocess snapshot files and write the rows.

    Args:
        settings: Settings; the data directory is not used.
        source: Snapshot file, or folder of them.
        target: CSV or Parquet file, or folder.

    Returns:
        The exit code: 1 if a file was rejected, otherwise 0.

    Raises:
        click.ClickException: If no file could be used.
    """
    from cryptoliq_assets.modeling import FilesRejectedError, preprocess_files, snapshot_files, write_rows

    with console.status("reading") as status:
        try:
            result = preprocess_files(
                snapshot_files(source), settings, today=dt.datetime.now(dt.UTC).date(), progress=status.update
            )
        except FilesRejectedError as error:
            raise click.ClickException(str(error)) from error
        status.update("writing")
        path = write_rows(target, result.rows)
    for name, reason in result.rejected.items():
        print_line(("rejected", "yellow"), f" {name}: {reason}")
    labelled = int(result.rows["trainable"].sum())
    console.print(
        f"{result.files - len(result.rejected):,} of {result.files:,} file(s): {len(result.rows):,} rows, {labelled:,} of them with a "
        f"target: {path}",
        soft_wrap=True,
    )
    return 1 if result.rejected else 0


def train_external(settings: Settings, data: Path, out_model: Path) -> None:
    """Train on preprocessed rows and write the model.

    Args:
        settings: Settings; the data directory is not used.
        data: File that `preprocess --input --out` wrote.
        out_model: Model file to write, ending in .pkl.

    Raises:
        click.ClickException: If the rows cannot be used.
        click.UsageError: If the name of the model file is invalid.
    """
    from cryptoliq_assets.modeling import FilesRejectedError, metadata_path, read_rows, train_rows, write_model

    if out_model.suffix != ".pkl":
        raise click.UsageError(f"--out-model {out_model} must end in .pkl")
    try:
        rows = read_rows(data)
        model, metadata = train_rows(
            rows, settings, progress=lambda message: console.print(f"  {message}", style="dim")
        )
    except FilesRejectedError as error:
        raise click.ClickException(str(error)) from error
    stored = write_model(out_model, model, metadata)
    skill = stored["metrics"]["skill"]
    skill_text = "unknown" if skill is None else f"{skill:.3f}"
    if skill is None or skill <= 0:
        print_line(
            ("weak", "yellow"), " the model is no better than persistence (no change): it needs more days of data"
        )
    console.print(
        f"{stored['model_name']}, skill {skill_text}: {out_model}, its metadata {metadata_path(out_model).name}; "
        f"use it with `cryptoliq predict --model {out_model} IN.csv OUT.csv`",
        soft_wrap=True,
    )
