"""monitor: run the monitor's job in this process: write the reports, raise alerts, show what is not well."""

import click

from cryptoliq_assets.commands.console import explain, pass_home, quit_with, running
from cryptoliq_assets.commands.results import show_conditions
from cryptoliq_assets.monitor.conditions import FAIL, worst
from cryptoliq_assets.settings import Settings


@click.command()
@pass_home
def monitor(settings: Settings) -> None:
    """Check for drift, lost skill, stale data and failures; raise alerts; exit code 1 where something fails."""
    from cryptoliq_assets.runner import RunFailed

    code = 0
    try:
        with running(settings) as runner:
            runner.monitor()
    except RunFailed as error:
        # What can be evaluated without the run is shown all the same.
        code = explain(error)
    bad = show_conditions(settings)
    quit_with(1 if worst(bad) == FAIL else code)
