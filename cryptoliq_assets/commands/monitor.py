"""monitor: the monitor's job in this process: reports anew, alarms raised, what is not well shown."""

import click

from cryptoliq_assets.commands.console import running
from cryptoliq_assets.commands.results import show_conditions
from cryptoliq_assets.settings import Settings


@click.command()
@click.pass_obj
def monitor(settings: Settings) -> None:
    """Look for drift, lost skill, stale data and failures; raise alarms, and show what is not well."""
    with running(settings) as runner:
        runner.monitor()
    show_conditions(settings)
