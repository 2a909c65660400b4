"""setup, simulate, ui: a home and what lies in it."""

import datetime as dt
import os
import sys
from pathlib import Path

import click

from cryptoliq_assets.commands.console import console, pass_home
from cryptoliq_assets.settings import Settings

_DAY = click.DateTime(["%Y-%m-%d"])
# A market may begin 5,120 days before its end, and a moment of a table lies between 1677 and 2262.
_EARLIEST, _LATEST = dt.date(1970, 1, 1), dt.date(2200, 12, 31)


@click.command()
@click.option("--quiet", is_flag=True, help="Say nothing.")
@click.pass_obj
def setup(settings: Settings, quiet: bool) -> None:
    """Make the folders of the home and its Dagster instance, where they are not there yet."""
    from cryptoliq_assets.home import prepare_home

    made = prepare_home(settings)
    if not quiet:
        for path in made:
            console.print(f"made {path}", soft_wrap=True)
        console.print(f"home {settings.home} is ready; drop files into {settings.raw_dir}", soft_wrap=True)


@click.command()
@click.option("--coins", default=250, show_default=True, type=click.IntRange(1, 40_000), help="Coins in the market.")
@click.option("--days", default=240, show_default=True, type=click.IntRange(1, 5_000), help="Days, one file each.")
@click.option("--end", type=_DAY, default=None, help="Last day; default: today (UTC).")
@click.option("--seed", type=click.IntRange(0), default=None, help="Same seed, same market; default: CRYPTOLIQ_SEED.")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=None, help="Folder; default: data/raw."
)
@click.pass_obj
def simulate(
    settings: Settings, coins: int, days: int, end: dt.datetime | None, seed: int | None, out: Path | None
) -> None:
    """Write a simulated market as snapshot files: turnover that reverts, heavy tails, listings, pegs, empty cells."""
    from cryptoliq_assets.simulate import simulate_market, write_snapshots

    last = end.date() if end else dt.datetime.now(dt.UTC).date()
    if not _EARLIEST <= last <= _LATEST:
        raise click.BadParameter(f"{last} is not a day from {_EARLIEST} to {_LATEST}", param_hint="--end")
    folder = out or settings.raw_dir
    with console.status(f"simulating {coins} coins over {days} days"):
        market = simulate_market(coins=coins, days=days, end=last, seed=settings.seed if seed is None else seed)
        paths = write_snapshots(market, folder)
    console.print(f"{len(paths)} files, {len(market):,} rows, in {folder}", soft_wrap=True)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535))
@pass_home
def ui(settings: Settings, host: str, port: int) -> None:
    """Dagster's UI and daemon (dagster dev) on this home: runs, lineage, checks; sensors watch data/raw."""
    from cryptoliq_assets.home import prepare_home

    prepare_home(settings)
    dagster = Path(sys.executable).with_name("dagster")
    command = [str(dagster), "dev", "-m", "cryptoliq_assets.definitions", "-h", host, "-p", str(port)]
    # Dagster's own processes find the home the same way this one did.
    environment = {**os.environ, "DAGSTER_HOME": str(settings.dagster_home), "CRYPTOLIQ_HOME": str(settings.home)}
    console.print(f"http://{host}:{port} (Ctrl-C ends it)")
    os.chdir(settings.home)
    os.execve(command[0], command, environment)
