"""The weekly verification as an asset: what is stored against its digests, for the UI and the alerts."""

import dagster as dg

from cryptoliq_assets.core import Settings, markdown_table
from cryptoliq_assets.orchestration import OWNERS, AssetJob
from cryptoliq_assets.orchestration.resources import RunLock

GROUP = "stored_bytes"


def stored_bytes_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    @dg.asset(
        name="stored_bytes",
        code_version="1",
        group_name=GROUP,
        kinds={"json"},
        owners=OWNERS,
        description=(
            "reports/verify.json: archive, tables, models, candidates, ledger, catalog and reports compared with their digests, "
            "rows and models included; each damaged item with its remedy. Damaged months of derived tables are set aside, so that "
            "the next refresh makes them again."
        ),
    )
    def stored_bytes(context: dg.AssetExecutionContext, lock: RunLock) -> dg.MaterializeResult:
        import pandas as pd

        from cryptoliq_assets.monitoring.data import VERIFY_REPORT, verify_home

        result = verify_home(settings, deep=True, repair=True)
        for sentence in result.repaired:
            context.log.warning(sentence)
        for each in result.damaged:
            context.log.error(f"{each.path} is damaged: {each.problem}; {each.remedy}")
        listed = pd.DataFrame([vars(each) for each in result.damaged], columns=["kind", "path", "problem", "remedy"])
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
    return dg.ScheduleDefinition(
        name="weekly_verify",
        job=verify,
        cron_schedule="45 4 * * 0",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Sundays at 04:45 UTC: compare everything that is stored with its digest; an alert names what is damaged.",
    )
