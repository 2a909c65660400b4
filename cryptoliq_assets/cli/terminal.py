"""Console output of all commands: console, progress of a run, tables, error messages.

Add what several commands print. Results of the pipeline belong in `result_tables.py`.
"""

import functools
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cryptoliq_assets.core import Settings

if TYPE_CHECKING:
    from cryptoliq_assets.orchestration import Runner

# Without a terminal, tables are as wide as they need to be.
console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 130)
error_console = Console(stderr=True, highlight=False, markup=False)


@contextmanager
def open_runner(settings: Settings) -> Iterator["Runner"]:
    """Open a runner whose steps and messages are printed while it runs.

    Args:
        settings: Settings of the data directory.

    Yields:
        The runner.
    """
    from cryptoliq_assets.orchestration import STEP_LABELS, Runner

    with console.status("starting") as status:

        def show_step(name: str) -> None:
            label = STEP_LABELS.get(name, name.replace("_", " "))
            status.update(label)
            if not console.is_terminal and name in STEP_LABELS:
                console.print(f"· {label}")

        def show_message(message: str, level: int) -> None:
            if message.startswith("Dependencies for step"):
                # Dagster's list of the steps that a failed step blocks; the reason follows at the end.
                return
            message = escape_text(message, keep="\n")
            if level >= logging.WARNING:
                console.print(f"! {message}", style="yellow")
            else:
                console.print(f"  {message}", style="dim")

        yield Runner(settings, on_message=show_message, on_step=show_step)


def print_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table with numbers aligned to the right.

    Args:
        title: Line above the table.
        columns: Column headings.
        rows: One value per column; None is shown as a dash, a float with three decimals.
    """
    console.print(title, style="italic", soft_wrap=True)
    output = Table()
    cells = [list(row) for row in rows]
    for index, name in enumerate(columns):
        is_numeric = all(isinstance(row[index], (int, float)) or row[index] is None for row in cells)
        output.add_column(name, justify="right" if is_numeric and cells else "left")
    for row in cells:
        output.add_row(*(Text(_format_cell(value)) for value in row))
    console.print(output)


def print_line(*parts: str | tuple[str, str]) -> None:
    """Print one line of texts and (text, style) pairs, escaped: text from files is neither markup nor a control sequence."""
    escaped = [escape_text(part) if isinstance(part, str) else (escape_text(part[0]), part[1]) for part in parts]
    console.print(Text.assemble(*escaped), soft_wrap=True)


def print_error(error: BaseException) -> int:
    """Print an error.

    Args:
        error: The exception.

    Returns:
        The exit code: 2 for wrong usage, otherwise 1.
    """
    error_console.print(Text.assemble(("error:", "red"), escape_text(f" {error}", keep="\n")), soft_wrap=True)
    # A plain ValueError is about an argument; its subclasses (invalid tables, bad JSON, …) are about content.
    return 2 if type(error) is ValueError else 1


def escape_text(text: str, *, keep: str = "") -> str:
    r"""Escape characters that a terminal interprets; file names may contain any.

    Args:
        text: Text of any origin.
        keep: Characters that are not escaped.

    Returns:
        Printable text.

    Example:
        >>> print(escape_text("a\tb"))
        a\tb
    """
    return "".join(
        sign if sign.isprintable() or sign in keep else sign.encode("unicode_escape").decode() for sign in text
    )


class MissingHomeError(click.ClickException):
    """A command was called on a folder that is no data directory; exit code 2."""

    exit_code = 2


def require_home(settings: Settings) -> None:
    """Check that the data directory exists and was set up. Nothing is created.

    Args:
        settings: Settings with the data directory.

    Raises:
        MissingHomeError: If it does not exist, cannot be read or was never set up.
    """
    from cryptoliq_assets.core import explain_missing_home

    problem = explain_missing_home(settings)
    if problem:
        raise MissingHomeError(
            f"{problem}: it is not a cryptoliq data directory. Name one with --home or CRYPTOLIQ_HOME, or set it up with "
            f"`cryptoliq --home {settings.home_dir} setup`"
        )


def pass_home(command: Callable[..., Any]) -> Callable[..., Any]:
    """Pass the settings to a command that needs a data directory, like `click.pass_obj`.

    Args:
        command: Function with the settings as its first argument.

    Returns:
        The command; it raises MissingHomeError without a data directory.
    """

    @click.pass_obj
    @functools.wraps(command)
    def with_home(settings: Settings, *args: Any, **options: Any) -> Any:
        require_home(settings)
        return command(settings, *args, **options)

    return with_home


def exit_with(code: int) -> None:
    """End the command with an exit code other than 0; 0 continues."""
    if code:
        sys.exit(code)


def _format_cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        # + 0.0 turns -0.0 into 0.0.
        return f"{round(value, 3) + 0.0:.3f}"
    return f"{value:,}" if isinstance(value, int) else escape_text(str(value))
