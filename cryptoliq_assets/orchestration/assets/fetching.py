"""The asset `coingecko_snapshot` and its schedule: today's market, fetched once the schedule is switched on."""

import dagster as dg

from cryptoliq_assets.core import Settings
from cryptoliq_assets.orchestration import DAILY, OWNERS, AssetJob

FETCHED = dg.AssetKey("coingecko_snapshot")
# CoinGecko serves the day that has ended by 00:35 UTC. Each later hour retries while the file is missing.
CRON = "40 * * * *"


def fetch_assets(settings: Settings, *, group: str) -> list[dg.AssetsDefinition]:
    """Define the fetched snapshot in the asset group `group`."""

    @dg.asset(
        key=FETCHED,
        group_name=group,
        kinds={"csv", "http"},
        owners=OWNERS,
        code_version="1",
        # Without the schedule the asset has no cadence, and would be overdue for ever.
        freshness_policy=DAILY if settings.coingecko.enabled else None,
    )
    def coingecko_snapshot(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        """Today's market from CoinGecko as a file in the drop folder, which the raw_files sensor ingests like any other.

        The file is complete or absent: a failed run stores the pages it received, and the next run fetches the others.
        """
        from cryptoliq_assets.ingestion.coingecko import fetch_snapshot

        result = fetch_snapshot(settings, log=context.log.info)
        for note in result.notes:
            # A note on a run without a file is no reason for a warning.
            (context.log.warning if result.files else context.log.info)(note)
        metadata = {"files": [path.name for path in result.files], "notes": result.notes}
        return dg.MaterializeResult(metadata=metadata)

    return [coingecko_snapshot]


def fetch_schedule(settings: Settings, job: AssetJob) -> dg.ScheduleDefinition:
    """Define the hourly schedule, which is running by default only where fetching is enabled."""

    def request_missing_snapshot(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        from cryptoliq_assets.ingestion.coingecko import Clock, is_known_file, snapshot_file_name

        name = snapshot_file_name(Clock().today())
        if is_known_file(name, settings):
            return dg.SkipReason(f"{name} exists already")
        return dg.RunRequest()

    running = dg.DefaultScheduleStatus.RUNNING if settings.coingecko.enabled else dg.DefaultScheduleStatus.STOPPED
    return dg.ScheduleDefinition(
        name="fetch_snapshot",
        job=job,
        cron_schedule=CRON,
        execution_timezone="UTC",
        execution_fn=request_missing_snapshot,
        default_status=running,
        description=(
            "Fetches today's snapshot from CoinGecko: every hour from 00:40 UTC until the file exists. Off unless "
            "CRYPTOLIQ_COINGECKO__ENABLED is set."
        ),
    )
