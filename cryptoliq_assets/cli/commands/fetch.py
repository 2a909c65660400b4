"""Commands fetch snapshot and fetch history: files from CoinGecko in data/raw."""

import logging

import click

from cryptoliq_assets.cli import console, escape_text, pass_home
from cryptoliq_assets.core import Settings

# Without a terminal, one line of progress per this many charts.
_CHARTS_PER_LINE = 25


@click.group()
def fetch() -> None:
    """Fetch snapshots and history from CoinGecko as files in data/raw; `cryptoliq materialize` ingests them."""


@fetch.command()
@click.option("--again", is_flag=True, help="Replace today's snapshot if it was fetched already.")
@pass_home
def snapshot(settings: Settings, again: bool) -> None:
    """Fetch today's snapshot, complete or not at all: the largest coins (CRYPTOLIQ_COINGECKO__TOP_N) by market cap."""
    from cryptoliq_assets.ingestion.coingecko import fetch_snapshot

    _silence_http_log()
    result = fetch_snapshot(settings, refetch=again, log=_print_progress)
    for note in result.notes:
        _print_progress(note)
    for path in result.files:
        console.print(f"wrote {path}", soft_wrap=True)


@fetch.command()
@click.option("--days", default=365, show_default=True, type=click.IntRange(1, 5_000), help="Days back from today.")
@click.option("--top", default=250, show_default=True, type=click.IntRange(1, 20_000), help="Coins, by market cap.")
@click.option("--leave-out-failed", is_flag=True, help="Write the files although some charts could not be fetched.")
@click.option("--again", is_flag=True, help="Replace the files of days that have their history.")
@pass_home
def history(settings: Settings, days: int, top: int, leave_out_failed: bool, again: bool) -> None:
    """Fetch past days, one file per day: prices, market caps and volumes at midnight UTC. Resumes an interrupted fetch."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    from cryptoliq_assets.ingestion.coingecko import HistoryFetcher, HistoryProgress

    _silence_http_log()
    columns = [TextColumn("charts"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]}")]
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("charts", total=top, left="")

        def show_progress(progress: HistoryProgress) -> None:
            is_done = progress.done == progress.wanted
            left = "done" if is_done else f"about {_format_duration(progress.seconds_left)} left"
            bar.update(task, completed=progress.done, total=progress.wanted, left=left)
            if not console.is_terminal and (progress.done % _CHARTS_PER_LINE == 0 or is_done):
                _print_progress(f"{progress.done} of {progress.wanted} charts, {left}")

        result = HistoryFetcher(
            settings,
            days,
            top,
            leave_out_failed=leave_out_failed,
            refetch=again,
            log=_print_progress,
            report_progress=show_progress,
        ).fetch()
    for note in result.notes:
        _print_progress(note)
    names = f", {result.files[0].name} to {result.files[-1].name}" if result.files else ""
    console.print(f"{len(result.files)} files written to {settings.raw_dir}{names}", soft_wrap=True)


def _print_progress(message: str) -> None:
    # Coin names come from CoinGecko, so they are escaped.
    console.print(f"  {escape_text(message)}", style="dim", soft_wrap=True)


def _format_duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"


def _silence_http_log() -> None:
    """Suppress the log line per request of the HTTP library."""
    logging.getLogger("httpx").setLevel(logging.WARNING)
