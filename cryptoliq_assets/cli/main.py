"""The command line: `cryptoliq …`. Each command runs the same assets that the UI shows, in this process.

Exit codes: 0 done, 1 refused input or a failed run, 2 wrong usage.
"""

import importlib
import logging
import os
import sqlite3
import sys
from contextlib import suppress
from pathlib import Path

import click
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from cryptoliq_assets.core import Settings, variable_name

# Command → module and function. Loaded when called: `cryptoliq --help` must not import Dagster and the learners.
_COMMANDS = {
    "demo": "home",
    "setup": "home",
    "simulate": "home",
    "fetch": "fetch",
    "ingest": "pipeline",
    "validate": "validate",
    "preprocess": "pipeline",
    "train": "pipeline",
    "forecast": "pipeline",
    "materialize": "pipeline",
    "predict": "predict",
    "models": "models",
    "serve": "servers",
    "export": "export",
    "ui": "home",
    "app": "servers",
    "status": "status",
    "monitor": "monitoring",
    "verify": "verify",
    "alerts": "monitoring",
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        return getattr(importlib.import_module(f"cryptoliq_assets.cli.commands.{_COMMANDS[name]}"), name)


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Folder with data/, models/, reports/; default: CRYPTOLIQ_HOME, else the current folder.",
)
@click.version_option(package_name="cryptoliq")
@click.pass_context
def cli(ctx: click.Context, home: Path | None) -> None:
    """Tomorrow's liquidity of every coin, from daily snapshots."""
    try:
        ctx.obj = Settings(home_dir=home) if home else Settings()
    except ValidationError as error:
        raise click.UsageError(settings_problem(error)) from error
    # Not at the top: `cryptoliq --help` must not import numpy.
    from cryptoliq_assets.labels import check_formula

    try:
        check_formula(ctx.obj)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def main() -> None:
    """Entry point of the `cryptoliq` script."""
    try:
        cli(prog_name="cryptoliq")
    except ValidationError as error:
        # A command that loads the definitions reads the settings before the group does.
        click.UsageError(settings_problem(error)).show()
        sys.exit(2)
    except (OSError, RuntimeError, ValueError, sqlite3.Error) as error:
        from cryptoliq_assets.cli.terminal import print_error

        sys.exit(print_error(error))


def script() -> None:
    """The `cryptoliq` script: `main`, then the end of the process at once, with what it printed.

    Native libraries' threads are at times taken down in the wrong order while an interpreter ends, which aborts a process
    whose work is done ("terminate called without an active exception") and turns its exit code into a signal.
    """
    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            click.echo(end.code, err=True)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        # Whoever read the output may have gone.
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def settings_problem(error: ValidationError) -> str:
    """Name each wrong variable, its value (except of a secret), and what was expected."""
    return "; ".join(
        f"{variable_name(fault['loc'])} is {'invalid' if fault['loc'] in Settings.SECRETS else repr(str(fault['input']))}: "
        f"{_expectation(fault)}"
        for fault in error.errors()
    )


def _expectation(fault: ErrorDetails) -> str:
    if fault["type"] == "extra_forbidden":
        return "there is no such setting"
    return fault["msg"].removeprefix("Value error, ")


if __name__ == "__main__":
    main()
