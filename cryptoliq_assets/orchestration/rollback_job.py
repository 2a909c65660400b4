"""The rollback as a job: an earlier champion is made current again, under the run lock, and the ledger says so."""

import datetime as dt

import dagster as dg

from cryptoliq_assets.core import Settings
from cryptoliq_assets.orchestration.jobs import REJECTED_TAG, ROLLBACK_JOB
from cryptoliq_assets.orchestration.resources import RunLock

ROLLBACK_OP = "roll_back"


class RollbackConfig(dg.Config):
    """to: a version of `cryptoliq models list`; left out, the newest sound one before the current. reason: why, for the
    ledger."""

    to: str | None = None
    reason: str | None = None


def rollback_job(settings: Settings) -> dg.JobDefinition:
    @dg.op(name=ROLLBACK_OP, description="Switch models/current.pkl; the champion asset shows the version it went to.")
    def roll_back(context: dg.OpExecutionContext, config: RollbackConfig, lock: RunLock) -> None:
        from cryptoliq_assets.modeling.model_card import publish_card
        from cryptoliq_assets.modeling.registry import ModelRejectedError, open_model_store

        store = open_model_store(settings)
        before = store.current_version()
        try:
            metadata = store.rollback(config.to or None, at=dt.datetime.now(dt.UTC), reason=config.reason or None)
        except ModelRejectedError as error:
            # Nothing was changed, and whoever asked sees why: no incident comes of it.
            context.instance.add_run_tags(context.run_id, {REJECTED_TAG: "yes"})
            raise dg.Failure(f"{error.reason}; {before or 'no model'} stays", allow_retries=False) from error
        publish_card(settings.reports_dir, metadata["version"])
        context.log.info(f"rolled back from {before} to {metadata['version']}")
        context.log_event(
            dg.AssetMaterialization(
                "champion",
                description="rolled back",
                metadata={"version": metadata["version"], "before": str(before), "promoted": False},
            )
        )

    @dg.job(
        name=ROLLBACK_JOB,
        description="Make an earlier champion current again: `to` in the op's config, else the newest sound one before; `reason` for the ledger.",
        executor_def=dg.in_process_executor,
    )
    def rollback() -> None:
        roll_back()

    return rollback
