"""Count of the attempts of a run, also those of earlier releases."""

import dagster as dg

from cryptoliq_assets.orchestration.jobs import count_tagged_runs
from cryptoliq_assets.orchestration.sensors.raw_files import PLAN_TAG


def test_attempts_of_an_earlier_release_count():
    with dg.instance_for_test() as instance:
        for tag in (PLAN_TAG, "cryptoliq/plan", "cryptoliq/plan"):
            instance.add_run(dg.DagsterRun(job_name="refresh", status=dg.DagsterRunStatus.FAILURE, tags={tag: "p"}))
        failed = [dg.DagsterRunStatus.FAILURE]
        assert count_tagged_runs(instance, PLAN_TAG, "p", statuses=failed) == 3
        assert count_tagged_runs(instance, PLAN_TAG, "p", job="train", statuses=failed) == 0
