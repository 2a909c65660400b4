"""The asset `stored_bytes` and its schedule: the weekly comparison of stored files with their checksums."""

import dagster as dg

from cryptoliq_assets.core import Settings, markdown_table
from cryptoliq_assets.orchestration import OWNERS, WEEKLY, AssetJob
from cryptoliq_assets.orchestration.resources import RunLock

GROUP = "stored_bytes"


def stored_bytes_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Define the verification."""

    @dg.asset(
        name="stored_bytes",
        code_version="1",
        group_name=GROUP,
        kinds={"json"},
        owners=OWNERS,
        freshness_policy=WEEKLY,
        description=(
            "reports/verify.json: archive, tables, models, candidates, audit log, catalog and reports compared with their "
            "checksums, rows and models included; each damaged item with its remedy. Damaged months of derived tables are set "
            "aside, so that the next refresh writes them again."
        ),
    )
    def stored_bytes(context: dg.AssetExecutionContext, lock: RunLock) -> dg.MaterializeResult:
        import pandas as pd

        from cryptoliq_assets.monitoring import VERIFY_REPORT
        from cryptoliq_assets.monitoring.data import verify_home

        result = verify_home(settings, deep=True, repair=True)
        for message in result.repaired:
            context.log.warning(message)
        for item in result.damaged:
            context.log.error(f"{item.path} is damaged: {item.problem}; {item.remedy}")
        listed = pd.DataFrame([vars(item) for item in result.damaged], columns=["kind", "path", "problem", "remedy"])
        return dg.MaterializeResult(
            metadata={
                "checked": result.checked,
                "damaged": len(result.damaged),
                "repaired": result.repaired,
                "items": dg.MetadataValue.md(markdown_table(listed)),
                "path": dg.MetadataValue.path(str(settings.reports_dir / VERIFY_REPORT)),
            }
        )

    return [stored_bytes]


def weekly_verify(verify: AssetJob) -> dg.ScheduleDefinition:
    """Define the weekly verification."""
    return dg.ScheduleDefinition(
        name="weekly_verify",
        job=verify,
        cron_schedule="45 4 * * 0",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Sundays at 04:45 UTC: compare all stored files with their checksums; an alert names each damaged one.",
    )
