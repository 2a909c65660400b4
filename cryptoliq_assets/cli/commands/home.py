"""setup, simulate, ui: a home and what lies in it.

demo: a simulated market through the whole road, its last weeks arriving day by day.
"""

import datetime as dt
import os
import sys
from pathlib import Path

import click

from cryptoliq_assets.cli import (
    console,
    pass_home,
    print_findings,
    running,
    show_accuracy,
    show_forecasts,
    show_leaderboard,
)
from cryptoliq_assets.core import Settings, read_json_object, write_json

_DAY = click.DateTime(["%Y-%m-%d"])
# A market may begin 5,120 days before its end, and a moment of a table lies between 1677 and 2262.
_EARLIEST, _LATEST = dt.date(1970, 1, 1), dt.date(2200, 12, 31)


@click.command()
@click.option("--quiet", is_flag=True, help="Say nothing.")
@click.pass_obj
def setup(settings: Settings, quiet: bool) -> None:
    """Make the folders of the home and its Dagster instance, where they are not there yet."""
    from cryptoliq_assets.core import prepare_home

    made = prepare_home(settings)
    if not quiet:
        for path in made:
            console.print(f"made {path}", soft_wrap=True)
        console.print(f"home {settings.home_dir} is ready; drop files into {settings.raw_dir}", soft_wrap=True)


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
    from cryptoliq_assets.simulation import simulate_market, write_snapshots

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
    from cryptoliq_assets.core import prepare_home

    prepare_home(settings)
    dagster = Path(sys.executable).with_name("dagster")
    command = [str(dagster), "dev", "-m", "cryptoliq_assets.definitions", "-h", host, "-p", str(port)]
    # Dagster's own processes find the home the same way this one did.
    environment = {**os.environ, "DAGSTER_HOME": str(settings.dagster_home), "CRYPTOLIQ_HOME": str(settings.home_dir)}
    console.print(f"http://{host}:{port} (Ctrl-C ends it)")
    os.chdir(settings.home_dir)
    os.execve(command[0], command, environment)


COINS = 150
DAYS = 200
# The days that arrive one by one, after training, so that forecasts come true.
LIVE_DAYS = 21


@click.command()
@click.pass_obj
def demo(settings: Settings) -> None:
    """Simulate a market, train on all but its last three weeks, then let those days arrive one by one.

    Run again it finds the same market, and only what is new in it.
    """
    from cryptoliq_assets.simulation import simulate_market, write_snapshots

    dates = _market_of(settings)
    with console.status(f"simulating {COINS} coins over {DAYS} days"):
        market = simulate_market(coins=COINS, days=DAYS, end=dates[-1], seed=settings.seed)
    with running(settings) as runner:
        known = runner.catalog.newest_by_name()
        fresh = [date for date in dates if f"coingecko_{date:%Y%m%d}.csv" not in known]
        history = [date for date in fresh if date <= dates[-1 - LIVE_DAYS]]
        live = [date for date in fresh if date > dates[-1 - LIVE_DAYS]]
        if history:
            console.print(f"{len(history)} days of history arrive at once")
            write_snapshots(market, settings.raw_dir, dates=history)
        runner.register_files()
        runner.refresh(runner.plan().ranges)
        if runner.is_training_due():
            runner.train()
        runner.forecast()
        runner.step = runner.say = lambda *_: None
        for number, date in enumerate(live, start=1):
            console.print(f"{date}: day {number} of {len(live)} arrives")
            write_snapshots(market, settings.raw_dir, dates=[date])
            runner.register_files()
            runner.refresh(runner.plan().ranges)
        runner.monitor()
    if not fresh:
        console.print("nothing new to ingest: the simulated market is all in")
    show_leaderboard(settings)
    show_forecasts(settings)
    show_accuracy(settings)
    print_findings(settings)
    where = f"CRYPTOLIQ_HOME={settings.home_dir} cryptoliq ui"
    console.print(f"See it in the UI: {where}", soft_wrap=True)


def _market_of(settings: Settings) -> list[dt.date]:
    """The days of this home's market: those of its first demo, whatever today is."""
    path = settings.data_dir / "simulated_market.json"
    if path.exists():
        try:
            end = dt.date.fromisoformat(read_json_object(path)["end"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RuntimeError(
                f"{path} cannot be used ({error!r}); remove it: the demo then makes a new market"
            ) from error
    else:
        end = dt.datetime.now(dt.UTC).date()
        write_json(path, {"end": end, "coins": COINS, "days": DAYS, "seed": settings.seed})
    return [end - dt.timedelta(days=DAYS - 1 - index) for index in range(DAYS)]
