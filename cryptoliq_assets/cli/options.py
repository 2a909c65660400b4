"""--from and --to: a range of months, checked before anything runs, for Dagster does not check it."""

import functools
import re
from collections.abc import Callable

import click

_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


def month_range(command: Callable[..., None]) -> Callable[..., None]:
    """Options --from and --to, handed over as `first` and `last`: months like 2025-07 in their order, or None."""

    @functools.wraps(command)
    def checked(*args: object, first: str | None, last: str | None, **options: object) -> None:
        if first and last and first > last:
            raise click.UsageError(f"--from {first} lies after --to {last}")
        command(*args, first=first, last=last, **options)

    for flag, name, text in (("--to", "last", "Last month."), ("--from", "first", "First month.")):
        checked = click.option(flag, name, callback=_month, metavar="YYYY-MM", help=text)(checked)
    return checked


def _month(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    if value is not None and (not _MONTH.fullmatch(value) or value < "1000"):
        raise click.BadParameter(f"{value!r} is not a month like 2025-07")
    return value
