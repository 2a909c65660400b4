"""Sensors ticked by hand on a real instance."""

import dagster as dg

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.orchestration.definitions import build_definitions


class SensorTicker:
    """One sensor, ticked by hand; the cursor carries over between ticks, as in the real daemon."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance, sensor: dg.SensorDefinition) -> None:
        self.settings, self.instance, self.sensor, self.cursor = settings, instance, sensor, None
        self.repository = build_definitions(settings).get_repository_def()

    def tick(self):
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, repository_def=self.repository, sensor_name=self.sensor.name
        )
        data = self.sensor.evaluate_tick(context)
        self.cursor = data.cursor
        return data

    def run(self, request: dg.RunRequest, status: dg.DagsterRunStatus, *, job: str) -> dg.DagsterRun:
        """Store a run of that request with a status."""
        run = dg.DagsterRun(job_name=request.job_name or job, status=status, tags=dict(request.tags))
        return self.instance.add_run(run)
