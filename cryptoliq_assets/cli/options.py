"""Options that several commands share.

Add an option here when a second command needs it. `--from` and `--to` are checked before anything runs: Dagster does not.
"""

import functools
import re
from collections.abc import Callable

import click

_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


def month_range(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options `--from` and `--to` to a command.

    Args:
        command: Function with the keyword arguments `first` and `last`: months such as 2025-07 in ascending order, or None.

    Returns:
        The command with both options, which rejects anything else with exit code 2.
    """

    @functools.wraps(command)
    def with_range(*args: object, first: str | None, last: str | None, **options: object) -> None:
        if first and last and first > last:
            raise click.UsageError(f"--from {first} is after --to {last}")
        command(*args, first=first, last=last, **options)

    decorated: Callable[..., None] = with_range
    for flag, name, text in (("--to", "last", "Last month."), ("--from", "first", "First month.")):
        decorated = click.option(flag, name, callback=_parse_month, metavar="YYYY-MM", help=text)(decorated)
    return decorated


def _parse_month(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and (not _MONTH.fullmatch(value) or value < "1000"):
        raise click.BadParameter(f"{value!r} is not a month like 2025-07")
    return value
