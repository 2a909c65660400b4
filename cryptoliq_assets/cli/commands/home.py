"""Commands setup, simulate, ui and demo: a data directory and what it contains.

demo runs a simulated market end to end; its last weeks arrive day by day.
"""

import datetime as dt
import os
import shlex
import shutil
import sys
from pathlib import Path

import click

from cryptoliq_assets.cli import (
    console,
    list_store_problems,
    open_runner,
    pass_home,
    print_accuracy,
    print_findings,
    print_forecasts,
    print_leaderboard,
)
from cryptoliq_assets.core import Settings, read_json_object, write_json

_DAY = click.DateTime(["%Y-%m-%d"])
# A market starts up to 5,120 days before its end, and timestamps of a table are between 1677 and 2262.
_EARLIEST, _LATEST = dt.date(1970, 1, 1), dt.date(2200, 12, 31)


@click.command()
@click.option("--quiet", is_flag=True, help="Print nothing.")
@click.pass_obj
def setup(settings: Settings, quiet: bool) -> None:
    """Create the folders of the data directory and its Dagster instance, if they do not exist, and test its object stores."""
    from cryptoliq_assets.core import prepare_home

    created = prepare_home(settings)
    problems = list_store_problems(settings, seconds=settings.storage.limits.call_seconds())
    if problems:
        raise click.ClickException("; ".join(problems))
    if not quiet:
        for path in created:
            console.print(f"created {path}", soft_wrap=True)
        console.print(
            f"data directory {settings.home_dir} is ready; drop files into {settings.raw_dir}", soft_wrap=True
        )


@click.command()
@click.option("--coins", default=250, show_default=True, type=click.IntRange(1, 40_000), help="Coins in the market.")
@click.option("--days", default=240, show_default=True, type=click.IntRange(1, 5_000), help="Days, one file per day.")
@click.option("--end", type=_DAY, default=None, help="Last day; default: today (UTC).")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=None,
    help="The same seed simulates the same market; default: CRYPTOLIQ_SEED.",
)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=None, help="Folder; default: data/raw."
)
@click.pass_obj
def simulate(
    settings: Settings, coins: int, days: int, end: dt.datetime | None, seed: int | None, out: Path | None
) -> None:
    """Simulate a market as snapshot files: mean-reverting turnover, heavy tails, listings, pegs, empty cells."""
    from cryptoliq_assets.simulation import simulate_market, write_snapshots

    last = end.date() if end else dt.datetime.now(dt.UTC).date()
    if not _EARLIEST <= last <= _LATEST:
        raise click.BadParameter(f"{last} is not a day from {_EARLIEST} to {_LATEST}", param_hint="--end")
    folder = out or settings.raw_dir
    with console.status(f"simulating {coins} coins over {days} days"):
        market = simulate_market(coins=coins, days=days, end=last, seed=settings.seed if seed is None else seed)
        paths = write_snapshots(market, folder)
    console.print(f"{len(paths)} files, {len(market):,} rows, in {folder}", soft_wrap=True)


# `dagster dev` recommends `dg dev`, which needs a project checkout and does not run from an installed wheel.
_SUPERSEDED = "ignore:Function `dev_command` is superseded:FutureWarning"


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535))
@pass_home
def ui(settings: Settings, host: str, port: int) -> None:
    """Run Dagster's UI and daemon (dagster dev): runs, lineage, checks; sensors monitor data/raw."""
    from cryptoliq_assets.core import prepare_home

    prepare_home(settings)
    dagster = Path(sys.executable).with_name("dagster")
    command = [str(dagster), "dev", "-m", "cryptoliq_assets.definitions", "-h", host, "-p", str(port)]
    # Dagster's processes read the data directory from the environment, like this process did.
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(settings.dagster_home),
        "CRYPTOLIQ_HOME": str(settings.home_dir),
        "PYTHONWARNINGS": ",".join(filter(None, [os.environ.get("PYTHONWARNINGS"), _SUPERSEDED])),
    }
    console.print(f"http://{host}:{port} (stop with Ctrl-C)")
    os.chdir(settings.home_dir)
    os.execve(command[0], command, environment)


COINS = 150
DAYS = 200
# Days that arrive one by one after training, so that forecasts get actual values.
LIVE_DAYS = 21


@click.command()
@click.pass_obj
def demo(settings: Settings) -> None:
    """Simulate a market, train on all but its last three weeks, then let those days arrive one by one.

    A second run uses the same market, and ingests only what is new.
    """
    from cryptoliq_assets.simulation import simulate_market, write_snapshots

    dates = _choose_dates(settings)
    with console.status(f"simulating {COINS} coins over {DAYS} days"):
        market = simulate_market(coins=COINS, days=DAYS, end=dates[-1], seed=settings.seed)
    with open_runner(settings) as runner:
        known_files = runner.catalog.newest_by_name()
        new_dates = [date for date in dates if f"coingecko_{date:%Y%m%d}.csv" not in known_files]
        history = [date for date in new_dates if date <= dates[-1 - LIVE_DAYS]]
        live = [date for date in new_dates if date > dates[-1 - LIVE_DAYS]]
        if history:
            console.print(f"{len(history)} days of history arrive at once")
            write_snapshots(market, settings.raw_dir, dates=history)
        runner.register_files()
        runner.refresh(runner.plan().ranges)
        if runner.is_training_due():
            runner.train()
        runner.forecast()
        runner.on_step, runner.on_message = lambda name: None, lambda message, level: None
        for number, date in enumerate(live, start=1):
            console.print(f"{date}: day {number} of {len(live)} arrives")
            write_snapshots(market, settings.raw_dir, dates=[date])
            runner.register_files()
            runner.refresh(runner.plan().ranges)
        runner.complete_training_tables()
        runner.monitor()
    if not new_dates:
        console.print("nothing new to ingest: the simulated market is complete")
    print_leaderboard(settings)
    print_forecasts(settings)
    print_accuracy(settings)
    print_findings(settings)
    # Outside an activated environment only the path of the program runs.
    program = "cryptoliq" if shutil.which("cryptoliq") else Path(sys.executable).with_name("cryptoliq")
    for what, command in (("the UI", "ui"), ("the dashboard", "app")):
        line = f"CRYPTOLIQ_HOME={shlex.quote(str(settings.home_dir))} {shlex.quote(str(program))} {command}"
        console.print(f"See it in {what}: {line}", soft_wrap=True)


def _choose_dates(settings: Settings) -> list[dt.date]:
    """Return the dates of this data directory's market: those of its first demo, regardless of the current date."""
    path = settings.data_dir / "simulated_market.json"
    if path.exists():
        try:
            end = dt.date.fromisoformat(read_json_object(path)["end"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RuntimeError(
                f"{path} cannot be used ({error!r}); remove it: the demo then simulates a new market"
            ) from error
    else:
        end = dt.datetime.now(dt.UTC).date()
        write_json(path, {"end": end, "coins": COINS, "days": DAYS, "seed": settings.seed})
    return [end - dt.timedelta(days=DAYS - 1 - index) for index in range(DAYS)]
