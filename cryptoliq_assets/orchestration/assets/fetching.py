"""Fetching in Dagster: today's snapshot as an asset, and the schedule that asks for it once it is switched on."""

import dagster as dg

from cryptoliq_assets.core import Settings
from cryptoliq_assets.orchestration import OWNERS, AssetJob

FETCHED = dg.AssetKey("coingecko_snapshot")
# The day that has ended is served by 00:35 UTC. Every hour from then on is a second chance for a day that is not there.
CRON = "40 * * * *"


def fetch_assets(settings: Settings, *, group: str) -> list[dg.AssetsDefinition]:
    @dg.asset(key=FETCHED, group_name=group, kinds={"csv", "http"}, owners=OWNERS, code_version="1")
    def coingecko_snapshot(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        """Today's market from CoinGecko, as a file in the drop folder; the raw_files sensor takes it in like any other.

        Whole or absent: a run that fails keeps the pages that came, and the next asks for the others.
        """
        from cryptoliq_assets.ingestion.coingecko import fetch_snapshot

        made = fetch_snapshot(settings, log=context.log.info)
        for note in made.notes:
            # Without a file there is nothing to be warned of.
            (context.log.warning if made.files else context.log.info)(note)
        metadata = {"files": [path.name for path in made.files], "notes": made.notes}
        return dg.MaterializeResult(metadata=metadata)

    return [coingecko_snapshot]


def fetch_schedule(settings: Settings, job: AssetJob) -> dg.ScheduleDefinition:
    def due(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        from cryptoliq_assets.ingestion.coingecko import Clock, is_known_file, snapshot_file_name

        name = snapshot_file_name(Clock().today())
        if is_known_file(name, settings):
            return dg.SkipReason(f"{name} is there")
        return dg.RunRequest()

    running = dg.DefaultScheduleStatus.RUNNING if settings.coingecko.enabled else dg.DefaultScheduleStatus.STOPPED
    return dg.ScheduleDefinition(
        name="fetch_snapshot",
        job=job,
        cron_schedule=CRON,
        execution_timezone="UTC",
        execution_fn=due,
        default_status=running,
        description="Today's snapshot from CoinGecko: every hour from 00:40 UTC on until the day is there. Off unless "
        "CRYPTOLIQ_COINGECKO__ENABLED.",
    )
