"""The job `rollback`: it makes an earlier champion current again, under the run lock, and records that in the audit log."""

import datetime as dt

import dagster as dg
from pydantic import Field

from cryptoliq_assets.core import Settings
from cryptoliq_assets.orchestration.jobs import REJECTED_TAG, ROLLBACK_JOB
from cryptoliq_assets.orchestration.resources import RunLock

ROLLBACK_OP = "roll_back"


class RollbackConfig(dg.Config):
    """The fields of the launchpad."""

    to: str = Field(
        default="",
        description="Version to roll back to, as `cryptoliq models list` shows it. Empty: the newest valid version before the current one.",
    )
    reason: str = Field(default="", description="Reason for the rollback, for the audit log.")


def rollback_job(settings: Settings) -> dg.JobDefinition:
    """Define the rollback, with `to` and `reason` to fill in on the launchpad."""

    @dg.op(name=ROLLBACK_OP, description="Switches models/current.pkl; the champion asset shows the new version.")
    def roll_back(context: dg.OpExecutionContext, config: RollbackConfig, lock: RunLock) -> None:
        from cryptoliq_assets.modeling.model_card import publish_card
        from cryptoliq_assets.modeling.registry import ModelRejectedError, open_model_store

        store = open_model_store(settings)
        before = store.current_version()
        try:
            metadata = store.rollback(config.to or None, at=dt.datetime.now(dt.UTC), reason=config.reason or None)
        except ModelRejectedError as error:
            # Nothing was changed, and the run shows the reason to the person who requested it: no incident.
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
        description=(
            "Makes an earlier champion current again. Fill in `to` (empty: the newest valid version before the current one) "
            "and `reason` (for the audit log) in the launchpad."
        ),
        executor_def=dg.in_process_executor,
        # The launchpad starts with this configuration.
        config={"ops": {ROLLBACK_OP: {"config": {"to": "", "reason": ""}}}},
    )
    def rollback() -> None:
        roll_back()

    return rollback
