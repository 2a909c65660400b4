"""monitor: run the monitor's job in this process: write the reports, raise alerts, show what is not well."""

import datetime as dt

import click

from cryptoliq_assets.commands.console import explain, pass_home, quit_with, running
from cryptoliq_assets.commands.results import show_conditions
from cryptoliq_assets.monitor.conditions import FAIL, Condition, worst
from cryptoliq_assets.settings import Settings


@click.command()
@pass_home
def monitor(settings: Settings) -> None:
    """Check for drift, lost skill, stale data and failures; raise alerts; exit code 1 where something fails."""
    failed = None
    try:
        with running(settings) as runner:
            runner.monitor()
    except Exception as error:  # Whatever stops the run, all that can be evaluated without it is still told.
        explain(error)
        failed = _raise_without_run(settings, error)
    bad = show_conditions(settings, also=[failed] if failed else [])
    quit_with(1 if worst(bad) == FAIL else 0)


def _raise_without_run(settings: Settings, error: Exception) -> Condition:
    """Raise the alerts of all conditions, and of the run that failed: as the run's, or, where Dagster itself cannot be used,
    as that of a part of the monitor. Returns the latter condition."""
    from cryptoliq_assets.jobs import MONITOR_JOB
    from cryptoliq_assets.monitor.alarm import raise_alarms
    from cryptoliq_assets.monitor.isolation import broken_condition
    from cryptoliq_assets.monitor.observed import PART
    from cryptoliq_assets.monitor.watch import conditions_of
    from cryptoliq_assets.runner import RunFailed

    now = dt.datetime.now(dt.UTC)
    if isinstance(error, RunFailed):
        failed = Condition("run_failed", FAIL, MONITOR_JOB, str(error), now.isoformat(timespec="seconds"))
        raise_alarms(settings, conditions_of(settings, now), now, noted=[failed])
    else:
        failed = broken_condition(PART, error)
        raise_alarms(settings, [*conditions_of(settings, now), failed], now)
    return failed
