"""A data directory with its Dagster instance and its monitoring sensors, ticked by hand."""

import datetime as dt

import dagster as dg
import pandas as pd

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.monitoring.alerting.alert_state import read_state
from cryptoliq_assets.orchestration.definitions import build_definitions
from cryptoliq_assets.orchestration.partitions import RANGE_END_TAG, RANGE_START_TAG
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.frames import raw_rows, received


class MonitoredHome:
    """A data directory, its instance and its sensors; cursors carry over between ticks, as in the daemon."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.settings, self.instance, self.cursors = settings, instance, {}
        self.repository = build_definitions(settings).get_repository_def()

    def tick(self, name: str):
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursors.get(name), repository_def=self.repository, sensor_name=name
        )
        data = self.repository.get_sensor_def(name).evaluate_tick(context)
        self.cursors[name] = data.cursor
        return data

    def restart(self) -> None:
        self.repository = build_definitions(self.settings).get_repository_def()

    def open_incidents(self) -> list[str]:
        return [incident.key for incident in read_state(self.settings).open]

    def incident(self, key: str):
        return read_state(self.settings).incidents[key]

    def run(self, job: str, *, fails: str | None = None, months: tuple[str, str] | None = None, evaluations=()) -> str:
        """Run a job whose op evaluates checks, and fails with this message if there is one; return the ID of the run."""

        @dg.op
        def work(context):
            for evaluation in evaluations:
                context.log_event(evaluation)
            if fails:
                raise ValueError(fails)

        graph = dg.GraphDefinition(name=job, node_defs=[work])
        tags = {RANGE_START_TAG: months[0], RANGE_END_TAG: months[1]} if months else {}
        result = graph.to_job(name=job).execute_in_process(instance=self.instance, tags=tags, raise_on_error=False)
        return result.run_id

    def write_snapshot(self, day: dt.date) -> None:
        """Let the raw table contain this one day."""
        rows = received(raw_rows([{"coin": coin, "day": 1} for coin in ("A", "B")]))
        rows["date"] = pd.Timestamp(day)
        TableStore(self.settings).write("raw_snapshots", rows, [f"{day:%Y-%m}"])


def make_evaluation(
    asset: str, check: str, *, passed: bool, severity=dg.AssetCheckSeverity.ERROR
) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(asset),
        check_name=check,
        passed=passed,
        severity=severity,
        metadata={"broken": {"2025-07": "price: 3 rows below 0"}},
    )


def today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()
