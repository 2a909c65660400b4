"""The jobs: which assets run together and under which name, and the tags of their runs.

Add a job and its name. What an asset computes belongs in `assets/`, what requests a run in `sensors/`.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from cryptoliq_assets.schemas import TRAINING_TABLES

# The return type of `define_asset_job`, which Dagster does not export.
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

# Dagster's UI hides tags with this prefix. Runs of earlier releases carry the same tags as `cryptoliq/<name>`.
_HIDDEN = ".dagster/cryptoliq_"
_EARLIER = "cryptoliq/"
# On a run that failed because the request is not possible: an error of the person who made it, and no incident.
REJECTED_TAG = f"{_HIDDEN}rejected"
_EARLIER_NAMES = {"rejected": "refused"}

_PREPROCESSED = ["cleaned_snapshots", "engineered_features", "labels"]
_TABLES = ["raw_snapshots", *_PREPROCESSED]


def hidden_tag(name: str) -> str:
    """Return the key of one of our own run tags, which the UI does not show."""
    return f"{_HIDDEN}{name}"


def earlier_tag(tag: str) -> str:
    """Return the key that earlier releases gave to one of our own run tags."""
    name = tag.removeprefix(_HIDDEN)
    return f"{_EARLIER}{_EARLIER_NAMES.get(name, name)}"


def read_tag(tags: Mapping[str, str], tag: str) -> str | None:
    """Return the value of one of our own tags on a run of this or an earlier release; None where it has none."""
    return tags.get(tag, tags.get(earlier_tag(tag)))


def count_tagged_runs(
    instance: dg.DagsterInstance,
    tag: str,
    value: str,
    *,
    job: str | None = None,
    statuses: list[dg.DagsterRunStatus] | None = None,
) -> int:
    """Count the runs with one of our own tags, those of earlier releases included.

    Args:
        instance: Dagster's instance.
        tag: Name of the tag.
        value: Value of the tag.
        job: Name of the job; all jobs by default.
        statuses: States of the runs; all by default.
    """
    filters = (dg.RunsFilter(job_name=job, statuses=statuses, tags={key: value}) for key in (tag, earlier_tag(tag)))
    return sum(instance.get_runs_count(runs) for runs in filters)


def _define_job(name: str, description: str, selection: dg.AssetSelection) -> AssetJob:
    return dg.define_asset_job(
        name,
        selection=selection,
        description=description,
        # One process per run: each further interpreter takes seconds to import the learning libraries.
        executor_def=dg.in_process_executor,
    )


refresh = _define_job(
    REFRESH_JOB,
    "Raw files to forecasts for a range of months; the raw_files sensor requests it.",
    dg.AssetSelection.assets(*_TABLES, "forecasts"),
)
ingest = _define_job(
    INGEST_JOB, "Ingest the waiting files of a range of months.", dg.AssetSelection.assets("raw_snapshots")
)
preprocess = _define_job(
    PREPROCESS_JOB,
    "Clean, engineer and label a range of months, and compute the views of the features that trainings read.",
    dg.AssetSelection.assets(*_PREPROCESSED, *TRAINING_TABLES),
)
train = _define_job(
    TRAIN_JOB,
    "Evaluate and fit the candidates, rank them, promote the best that meets the promotion criteria.",
    dg.AssetSelection.groups("models"),
)
forecast = _define_job(
    FORECAST_JOB, "Forecast the newest snapshot with the current champion.", dg.AssetSelection.assets("forecasts")
)
monitor = _define_job(
    MONITOR_JOB,
    "Report drift, live skill and service metrics, and raise alerts of every failed check.",
    dg.AssetSelection.groups("monitor"),
)
fetch = _define_job(
    FETCH_JOB,
    "Fetch today's snapshot from CoinGecko into the drop folder.",
    dg.AssetSelection.assets("coingecko_snapshot"),
)
verify = _define_job(
    VERIFY_JOB, "Compare all stored files with their checksums, row by row.", dg.AssetSelection.assets("stored_bytes")
)


def select_assets(job: str, last: str, newest: str) -> list[dg.AssetKey] | None:
    """Select the assets of a run of a monthly job up to the month `last`; None for all assets of the job.

    Only the newest snapshot is forecast: a run that ends before its month, `newest`, leaves forecasts out. A training brings its tables up
    to date itself, so a command does not compute them for each new day.

    Args:
        job: Name of the job.
        last: Last month of the run.
        newest: Month of the newest snapshot.
    """
    if job == PREPROCESS_JOB:
        return [dg.AssetKey(name) for name in _PREPROCESSED]
    if job != REFRESH_JOB or last >= newest:
        return None
    return [dg.AssetKey(name) for name in _TABLES]


ALL_JOBS = [refresh, ingest, preprocess, train, forecast, monitor, fetch, verify]
