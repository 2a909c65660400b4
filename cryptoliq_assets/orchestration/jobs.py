"""The jobs: what is run together, and under which name."""

from typing import Any

import dagster as dg

# What `define_asset_job` returns; Dagster does not export its type.
AssetJob = Any

REFRESH_JOB = "refresh"
INGEST_JOB = "ingest"
PREPROCESS_JOB = "preprocess"
TRAIN_JOB = "train"
FORECAST_JOB = "forecast"
ROLLBACK_JOB = "rollback"
MONITOR_JOB = "monitor"
FETCH_JOB = "fetch_snapshot"
VERIFY_JOB = "verify"
# On a run that failed because what was asked for is not possible: a mistake of the person who asked, and no incident.
REJECTED_TAG = "cryptoliq/refused"

_PREPROCESSED = ["cleaned_snapshots", "engineered_features", "labels"]
_TABLES = ["raw_snapshots", *_PREPROCESSED]


def _job(name: str, description: str, assets: list[str]) -> AssetJob:
    return dg.define_asset_job(
        name,
        selection=dg.AssetSelection.assets(*assets),
        description=description,
        # One process a run: another interpreter with the learning libraries costs seconds a step.
        executor_def=dg.in_process_executor,
    )


refresh = _job(
    REFRESH_JOB,
    "Raw files to forecasts for a range of months; what the raw_files sensor asks for.",
    [*_TABLES, "forecasts"],
)
ingest = _job(INGEST_JOB, "Take in the files that wait for a range of months.", ["raw_snapshots"])
preprocess = _job(PREPROCESS_JOB, "Clean, engineer and label a range of months.", _PREPROCESSED)
train = dg.define_asset_job(
    TRAIN_JOB,
    # The whole group: a new candidate is trained without a change here.
    selection=dg.AssetSelection.groups("models"),
    description="Evaluate and fit the candidates, rank them, promote the best that meets the promotion criteria.",
    executor_def=dg.in_process_executor,
)
forecast = _job(FORECAST_JOB, "Forecast the newest snapshot with the present champion.", ["forecasts"])
monitor = dg.define_asset_job(
    MONITOR_JOB,
    selection=dg.AssetSelection.groups("monitor"),
    description="Look for drift, lost skill and what the service did, and raise alarms of all that is not well.",
    executor_def=dg.in_process_executor,
)

fetch = _job(FETCH_JOB, "Fetch today's snapshot from CoinGecko into the drop folder.", ["coingecko_snapshot"])
verify = _job(VERIFY_JOB, "Compare everything that is stored with its digest, deeply.", ["stored_bytes"])


def selection_of(job: str, last: str, newest: str) -> list[dg.AssetKey] | None:
    """What a run of a monthly job up to month `last` materializes; None for all of the job.

    Only the newest snapshot is forecast: a run that ends before its month leaves forecasts out, planned events and all.
    """
    if job != REFRESH_JOB or last >= newest:
        return None
    return [dg.AssetKey(name) for name in _TABLES]


ALL_JOBS = [refresh, ingest, preprocess, train, forecast, monitor, fetch, verify]
