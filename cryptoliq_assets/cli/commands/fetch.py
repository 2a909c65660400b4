"""fetch: snapshots and history from CoinGecko, as files in data/raw."""

import click

from cryptoliq_assets.cli import console, escape_text, pass_home
from cryptoliq_assets.core import Settings

# Without a terminal a line is shown after so many charts.
_LINE_EVERY = 25


@click.group()
def fetch() -> None:
    """Snapshots and history from CoinGecko, as files in data/raw; `cryptoliq materialize` takes them in."""


@fetch.command()
@click.option("--again", is_flag=True, help="Also where today's snapshot was fetched already: the new one replaces it.")
@pass_home
def snapshot(settings: Settings, again: bool) -> None:
    """Today's market, whole or not at all: the largest coins (CRYPTOLIQ_COINGECKO__TOP_N) by market cap."""
    from cryptoliq_assets.ingestion.coingecko import fetch_snapshot

    _quiet_transport()
    made = fetch_snapshot(settings, refetch=again, log=_say)
    for note in made.notes:
        _say(note)
    for path in made.files:
        console.print(f"wrote {path}", soft_wrap=True)


@fetch.command()
@click.option("--days", default=365, show_default=True, type=click.IntRange(1, 5_000), help="Days back from today.")
@click.option("--top", default=250, show_default=True, type=click.IntRange(1, 20_000), help="Coins, by market cap.")
@click.option("--leave-out-failed", is_flag=True, help="Write the files although some charts did not come.")
@click.option("--again", is_flag=True, help="Also days that have their history: the new files replace it.")
@pass_home
def history(settings: Settings, days: int, top: int, leave_out_failed: bool, again: bool) -> None:
    """The past, a file a day: prices, caps and volumes at midnight UTC. Goes on where an earlier try stopped."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from cryptoliq_assets.ingestion.coingecko import HistoryFetcher, HistoryProgress as Reached

    _quiet_transport()
    columns = [TextColumn("charts"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]}")]
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("charts", total=top, left="")

        def show(reached: Reached) -> None:
            left = "done" if reached.done == reached.wanted else f"about {_duration(reached.seconds_left)} left"
            bar.update(task, completed=reached.done, total=reached.wanted, left=left)
            if not console.is_terminal and (reached.done % _LINE_EVERY == 0 or reached.done == reached.wanted):
                _say(f"{reached.done} of {reached.wanted} charts, {left}")

        asked = HistoryFetcher(
            settings, days, top, leave_out_failed=leave_out_failed, refetch=again, log=_say, report_progress=show
        )
        made = asked.fetch()
    for note in made.notes:
        _say(note)
    where = f", {made.files[0].name} to {made.files[-1].name}" if made.files else ""
    console.print(f"{len(made.files)} files written into {settings.raw_dir}{where}", soft_wrap=True)


def _say(message: str) -> None:
    # Names of coins come from elsewhere: shown, not obeyed.
    console.print(f"  {escape_text(message)}", style="dim", soft_wrap=True)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def _quiet_transport() -> None:
    """No line a request from the HTTP library."""
    import logging

    logging.getLogger("httpx").setLevel(logging.WARNING)
