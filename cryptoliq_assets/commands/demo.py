"""demo: a simulated market through the whole road, its last weeks arriving day by day."""

import datetime as dt

import click

from cryptoliq_assets.commands.console import console, running
from cryptoliq_assets.commands.results import show_accuracy, show_conditions, show_forecasts, show_leaderboard
from cryptoliq_assets.io.files import write_json
from cryptoliq_assets.io.safe_open import read_object
from cryptoliq_assets.settings import Settings

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
    from cryptoliq_assets.simulate import simulate_market, write_snapshots

    dates = _market_of(settings)
    with console.status(f"simulating {COINS} coins over {DAYS} days"):
        market = simulate_market(coins=COINS, days=DAYS, end=dates[-1], seed=settings.seed)
    with running(settings) as runner:
        known = runner.catalogue.newest_by_name()
        fresh = [date for date in dates if f"coingecko_{date:%Y%m%d}.csv" not in known]
        history = [date for date in fresh if date <= dates[-1 - LIVE_DAYS]]
        live = [date for date in fresh if date > dates[-1 - LIVE_DAYS]]
        if history:
            console.print(f"{len(history)} days of history arrive at once")
            write_snapshots(market, settings.raw_dir, dates=history)
        runner.look()
        runner.refresh(runner.plan().ranges)
        if runner.training_due():
            runner.train()
        runner.forecast()
        runner.step = runner.say = lambda *_: None
        for number, date in enumerate(live, start=1):
            console.print(f"{date}: day {number} of {len(live)} arrives")
            write_snapshots(market, settings.raw_dir, dates=[date])
            runner.look()
            runner.refresh(runner.plan().ranges)
        runner.monitor()
    if not fresh:
        console.print("nothing new to ingest: the simulated market is all in")
    show_leaderboard(settings)
    show_forecasts(settings)
    show_accuracy(settings)
    show_conditions(settings)
    where = f"CRYPTOLIQ_HOME={settings.home} cryptoliq ui"
    console.print(f"See it in the UI: {where}", soft_wrap=True)


def _market_of(settings: Settings) -> list[dt.date]:
    """The days of this home's market: those of its first demo, whatever today is."""
    path = settings.data_dir / "simulated_market.json"
    if path.exists():
        try:
            end = dt.date.fromisoformat(read_object(path)["end"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RuntimeError(
                f"{path} cannot be used ({error!r}); remove it: the demo then makes a new market"
            ) from error
    else:
        end = dt.datetime.now(dt.UTC).date()
        write_json(path, {"end": end, "coins": COINS, "days": DAYS, "seed": settings.seed})
    return [end - dt.timedelta(days=DAYS - 1 - index) for index in range(DAYS)]
