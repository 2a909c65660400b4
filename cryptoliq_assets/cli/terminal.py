"""What all commands share in what they show: one console, progress of a run, tables, and how an error is told."""

import functools
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cryptoliq_assets.core import Settings

# Where there is no terminal to fit, tables are as wide as they need.
console = Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 130)
errors = Console(stderr=True, highlight=False, markup=False)

_STEPS = {
    "raw_snapshots": "taking in files",
    "cleaned_snapshots": "cleaning",
    "engineered_features": "engineering features",
    "labels": "labelling",
    "backtest": "keeping out-of-fold forecasts",
    "leaderboard": "ranking the candidates",
    "champion": "choosing the champion",
    "forecasts": "forecasting",
    "roll_back": "rolling back",
    "incidents": "raising alarms",
}


@contextmanager
def running(settings: Settings) -> Iterator["Runner"]:  # noqa: F821
    """A runner whose steps and messages show as they come."""
    from cryptoliq_assets.modeling.estimators import MODEL_NAMES
    from cryptoliq_assets.orchestration import Runner

    labels = _STEPS | {name: f"training {model}" for name, model in MODEL_NAMES.items()}
    with console.status("starting") as status:

        def step(name: str) -> None:
            label = labels.get(name, name.replace("_", " "))
            status.update(label)
            if not console.is_terminal and name in labels:
                console.print(f"· {label}")

        def say(message: str, level: int) -> None:
            if message.startswith("Dependencies for step"):
                # Dagster's own list of what a failed step holds up; the reason follows at the end.
                return
            message = escape_text(message, keep="\n")
            if level >= logging.WARNING:
                console.print(f"! {message}", style="yellow")
            else:
                console.print(f"  {message}", style="dim")

        yield Runner(settings, on_message=say, on_step=step)


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table; numbers to the right."""
    console.print(title, style="italic", soft_wrap=True)
    shown = Table()
    rows = [list(row) for row in rows]
    for index, name in enumerate(columns):
        numeric = all(isinstance(row[index], (int, float)) or row[index] is None for row in rows)
        shown.add_column(name, justify="right" if numeric and rows else "left")
    for row in rows:
        shown.add_row(*(Text(_cell(value)) for value in row))
    console.print(shown)


def print_line(*parts: str | tuple[str, str]) -> None:
    """Print one line of texts and (text, style) pairs; what comes from files is neither markup nor obeyed."""
    shown = [escape_text(part) if isinstance(part, str) else (escape_text(part[0]), part[1]) for part in parts]
    console.print(Text.assemble(*shown), soft_wrap=True)


def print_error(error: BaseException) -> int:
    """Tell a person what went wrong; returns the exit code."""
    errors.print(Text.assemble(("error:", "red"), escape_text(f" {error}", keep="\n")), soft_wrap=True)
    # A plain ValueError is about an argument; those derived from it (InvalidTableError, bad JSON, …) about content.
    return 2 if type(error) is ValueError else 1


def escape_text(text: str, *, keep: str = "") -> str:
    """Text as it may be shown: signs that a terminal would obey (file names hold any) become escapes, but for `keep`."""
    return "".join(
        sign if sign.isprintable() or sign in keep else sign.encode("unicode_escape").decode() for sign in text
    )


class NoHome(click.ClickException):
    """A command was called on a folder that is no home; exit code 2."""

    exit_code = 2


def require_home(settings: Settings) -> None:
    """Raise NoHome where the home does not exist, cannot be read or was never set up. Nothing is created."""
    from cryptoliq_assets.core import explain_missing_home

    problem = explain_missing_home(settings)
    if problem:
        raise NoHome(
            f"{problem}: it is no home of cryptoliq. Name the home with --home or CRYPTOLIQ_HOME, or make one there with "
            f"`cryptoliq --home {settings.home_dir} setup`"
        )


def pass_home(command: Callable[..., Any]) -> Callable[..., Any]:
    """Pass the settings to a command that works on a home, as `click.pass_obj` does; raises NoHome where there is none."""

    @click.pass_obj
    @functools.wraps(command)
    def on_home(settings: Settings, *args: Any, **options: Any) -> Any:
        require_home(settings)
        return command(settings, *args, **options)

    return on_home


def exit_with(code: int) -> None:
    if code:
        sys.exit(code)


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        # + 0.0 makes one zero of the two.
        return f"{round(value, 3) + 0.0:.3f}"
    return f"{value:,}" if isinstance(value, int) else escape_text(str(value))
