"""The command line: `cryptoliq …`. Each command runs the same assets as Dagster's UI, in this process.

Add a line to `COMMANDS` for a new command. Exit codes: 0 success, 1 rejected input or a failed run, 2 wrong usage.
"""

import importlib
import logging
import os
import sqlite3
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import click
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from cryptoliq_assets.core import Settings, variable_name

# Command to its module in `cli.commands`, with a function of the same name. A module is imported when its command is
# called: `cryptoliq --help` must not import Dagster and the model libraries.
COMMANDS: dict[str, str] = {
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
    "cluster": "servers",
    "status": "status",
    "monitor": "monitoring",
    "verify": "verify",
    "alerts": "monitoring",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"cryptoliq_assets.cli.commands.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Data directory with data/, models/, reports/; default: CRYPTOLIQ_HOME, else the current folder.",
)
@click.version_option(package_name="cryptoliq")
@click.pass_context
def cli(ctx: click.Context, home: Path | None) -> None:
    """Forecast tomorrow's liquidity of every coin, from daily snapshots."""
    # Imported here: `cryptoliq --help` must not import numpy.
    from cryptoliq_assets.labels import check_formula

    try:
        ctx.obj = Settings(home_dir=home) if home else Settings()
        check_formula(ctx.obj)
    except ValidationError as error:
        raise click.UsageError(format_settings_error(error)) from error
    # A wrong formula, or a line of the `.env` file that cannot be read.
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def main() -> None:
    """Run the command of `sys.argv`, and print errors as messages.

    Raises:
        SystemExit: With the exit code.
    """
    try:
        cli(prog_name="cryptoliq")
    except ValidationError as error:
        # A command that loads the definitions reads the settings before the group does.
        click.UsageError(format_settings_error(error)).show()
        sys.exit(2)
    except (OSError, RuntimeError, ValueError, sqlite3.Error) as error:
        from cryptoliq_assets.cli.terminal import print_error

        sys.exit(print_error(error))


def script() -> None:
    """Run `main`, then end the process at once, after flushing its output: the entry point of the `cryptoliq` script.

    At the end of an interpreter, threads of native libraries are sometimes stopped in the wrong order. That aborts a process
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
        # The reader of the output may have ended.
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def format_settings_error(error: ValidationError) -> str:
    """Name each invalid variable, its value unless it is a secret, and what was expected.

    Args:
        error: Validation error of the settings.

    Returns:
        One sentence part per variable, separated by semicolons.
    """
    details: Iterable[ErrorDetails] = error.errors()
    # The value of an unknown setting or of a whole section may be, or contain, a secret.
    public = Settings.declarations().keys() - Settings.secrets()
    return "; ".join(
        f"{variable_name(detail['loc'])} is "
        f"{repr(str(detail['input'])) if detail['loc'] in public else 'invalid'}: {_format_expectation(detail)}"
        for detail in details
    )


def _format_expectation(detail: ErrorDetails) -> str:
    if detail["type"] == "extra_forbidden":
        return "unknown setting"
    return detail["msg"].removeprefix("Value error, ")


if __name__ == "__main__":
    main()
