"""The `raw_files` sensor: it detects arrivals in the drop folder and requests one refresh for all of them.

The decision is pure (`ingestion/landing/drop_folder.py`, `ingestion/landing/refresh_plan.py`); this is the shell around it.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from cryptoliq_assets.core import Settings
from cryptoliq_assets.core.database import open_database
from cryptoliq_assets.orchestration import (
    AssetJob,
    clip_ranges,
    count_tagged_runs,
    fail_dead_runs,
    hidden_tag,
    month_range_tags,
    select_assets,
)
from cryptoliq_assets.orchestration.assets import RAW_FILES
from cryptoliq_assets.orchestration.sensors.code_location import reload_for_new_months
from cryptoliq_assets.storage import TableStore

if TYPE_CHECKING:
    from cryptoliq_assets.ingestion.landing import Catalog, FolderListing

PLAN_TAG = hidden_tag("plan")
_LISTED = 20
# Runs that wait or are in progress; their files and months are not requested again until they end.
IN_FLIGHT = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
# Attempts without success.
FAILED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def raw_files_sensor(
    settings: Settings, job: AssetJob, *, months: dg.MonthlyPartitionsDefinition
) -> dg.SensorDefinition:
    """Define the sensor of the drop folder.

    Args:
        settings: Settings of the data directory.
        job: The refresh.
        months: Partitions of the loaded definitions.
    """
    interval, max_attempts = settings.sensors.raw_files_interval_seconds, settings.sensors.max_run_attempts

    @dg.sensor(
        name="raw_files",
        job=job,
        minimum_interval_seconds=interval,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"Checks {settings.raw_dir} every {interval} s. A file that is unchanged between two ticks is ingested, all "
            f"arrivals in one run; the same work is requested at most {max_attempts} times."
        ),
    )
    def raw_files(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        # Imported here: Dagster imports this module in every process, and only the sensor needs the parser.
        from cryptoliq_assets.ingestion.landing import list_folder

        dead = fail_dead_runs(context.instance, settings.lock_path, database=open_database(settings))
        if dead:
            context.log.warning(f"marked runs without a live process as failed: {', '.join(dead)}")
        try:
            listing = list_folder(settings.raw_dir)
        except OSError as error:
            return dg.SkipReason(
                f"cannot list {settings.raw_dir}: {error}; no state is discarded, the next tick retries"
            )
        arrivals = _register_arrivals(context, settings, listing)
        reload_for_new_months(settings, months, context.log)
        in_flight = context.instance.get_runs_count(dg.RunsFilter(job_name=job.name, statuses=IN_FLIGHT))
        if in_flight:
            return _skip(f"{in_flight} refresh run(s) in flight; arrivals until then go into the next", arrivals)
        return _request_refresh(context, settings, job, arrivals)

    return raw_files


@dataclass(frozen=True)
class _Arrivals:
    """What a tick found in the drop folder.

    Attributes:
        catalog: All registered files.
        unsettled: Number of files that may still be written.
        unread: Why files could not be read, by name.
        cursor: State for the next tick.
        events: Observation of the files registered by this tick.
    """

    catalog: "Catalog"
    unsettled: int
    unread: Mapping[str, str]
    cursor: str
    events: list[dg.AssetObservation]


def _register_arrivals(context: dg.SensorEvaluationContext, settings: Settings, listing: "FolderListing") -> _Arrivals:
    """Register the settled files of the drop folder."""
    from cryptoliq_assets.ingestion.landing import (
        find_new_files,
        open_catalog,
        read_cursor,
        register_files,
        split_settled,
        write_cursor,
    )

    catalog = open_catalog(settings)
    ready, unsettled = split_settled(find_new_files(listing, catalog), read_cursor(context.cursor))
    registered = register_files(ready, settings, catalog=catalog, now=dt.datetime.now(dt.UTC))
    for name, reason in registered.unread.items():
        context.log.warning(f"{name} skipped: {reason}; the next tick retries it")
    events = [_observe_arrivals(ready, listing.skipped | registered.unread)] if registered.new else []
    return _Arrivals(catalog, len(unsettled), registered.unread, write_cursor(unsettled), events)


def _request_refresh(
    context: dg.SensorEvaluationContext, settings: Settings, job: AssetJob, arrivals: _Arrivals
) -> dg.SensorResult:
    """Request the runs of all months that need one, unless the same work failed too often."""
    from cryptoliq_assets.ingestion.landing import make_plan

    store, max_attempts = TableStore(settings), settings.sensors.max_run_attempts
    plan = make_plan(settings, arrivals.catalog, store=store, today=dt.datetime.now(dt.UTC).date())
    for month, reason in plan.blocked.items():
        context.log.error(f"{month} is not refreshed: {reason}")
    if not plan.months:
        waiting = f"{arrivals.unsettled} file(s) still settling" if arrivals.unsettled else "nothing new"
        unread = "".join(f"; {name} {reason}" for name, reason in list(arrivals.unread.items())[:_LISTED])
        blocked = "".join(f"; {month} is not refreshed: {reason}" for month, reason in plan.blocked.items())
        return _skip(f"{waiting} in {settings.raw_dir}{unread}{blocked}", arrivals)
    attempts = count_tagged_runs(context.instance, PLAN_TAG, plan.fingerprint, statuses=FAILED)
    if attempts >= max_attempts:
        work = ", ".join(plan.waiting[:3]) or f"months {plan.months[0]} to {plan.months[-1]}"
        return _skip(
            f"gave up on {work} after {max_attempts} attempts: read the failed runs, then fix or remove the file, or run "
            "`cryptoliq materialize`",
            arrivals,
        )
    newest = max([*store.months("raw_snapshots"), plan.months[-1]])
    requests = [
        dg.RunRequest(
            run_key=f"{plan.fingerprint}/{first}/{attempts}",
            tags={**month_range_tags(first, last, settings), PLAN_TAG: plan.fingerprint},
            asset_selection=select_assets(job.name, last, newest),
        )
        for first, last in clip_ranges(plan.ranges, settings)
    ]
    return dg.SensorResult(run_requests=requests, cursor=arrivals.cursor, asset_events=arrivals.events)


def _skip(reason: str, arrivals: _Arrivals) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=reason, cursor=arrivals.cursor, asset_events=arrivals.events)


def _observe_arrivals(ready: Sequence[Any], skipped: dict[str, str]) -> dg.AssetObservation:
    names = ", ".join(entry.name for entry in ready[:_LISTED])
    metadata = {"files": len(ready), "names": names, "megabytes": sum(entry.size for entry in ready) / 2**20}
    return dg.AssetObservation(asset_key=RAW_FILES, metadata={**metadata, "skipped": skipped})
