"""The raw_files sensor: sees what arrives in the drop folder and asks for one refresh of all of it.

The decision is pure (`ingestion/landing/drop_folder.py`, `ingestion/landing/refresh_plan.py`); here is the shell about it.
"""

import datetime as dt

import dagster as dg

from cryptoliq_assets.core import Settings
from cryptoliq_assets.orchestration import AssetJob, fail_dead_runs, month_range_tags, selection_of
from cryptoliq_assets.orchestration.assets import RAW_FILES
from cryptoliq_assets.storage import TableStore

PLAN_TAG = "cryptoliq/plan"
_LISTED = 20
# Runs that are waiting or at work: their files and months are theirs until they end.
IN_FLIGHT = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
# Attempts that came to nothing.
FAILED = [dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def raw_files_sensor(settings: Settings, job: AssetJob) -> dg.SensorDefinition:
    @dg.sensor(
        name="raw_files",
        job=job,
        minimum_interval_seconds=settings.sensors.raw_files_interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"Watches {settings.raw_dir} every {settings.sensors.raw_files_interval_seconds} s. A file that is unchanged between two looks "
            f"is asked for, all that arrived in one run; the same work at most {settings.sensors.max_run_attempts} times."
        ),
    )
    def raw_files(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        # Here, not at the top: Dagster imports this module in every process, the parser only where it looks.
        from cryptoliq_assets.ingestion.landing import (
            find_new_files,
            list_folder,
            make_plan,
            open_catalog,
            read_cursor,
            register_files,
            split_settled,
            write_cursor,
        )

        reaped = fail_dead_runs(context.instance, settings.lock_path)
        if reaped:
            context.log.warning(f"closed runs that nobody was at work on: {', '.join(reaped)}")
        try:
            look = list_folder(settings.raw_dir)
        except OSError as error:
            return dg.SkipReason(f"cannot list {settings.raw_dir}: {error}; nothing is forgotten, the next look may do")
        catalog = open_catalog(settings)
        unknown = find_new_files(look, catalog)
        ready, unsettled = split_settled(unknown, read_cursor(context.cursor))
        registered = register_files(ready, settings, catalog=catalog, now=dt.datetime.now(dt.UTC))
        passed_over = look.skipped | registered.unread
        for name, reason in registered.unread.items():
            context.log.warning(f"{name} passed over: {reason}; it is tried again")
        events = [_arrivals(ready, passed_over)] if registered.new else []
        cursor = write_cursor(unsettled)

        busy = context.instance.get_runs_count(dg.RunsFilter(job_name=job.name, statuses=IN_FLIGHT))
        if busy:
            return _skip(f"{busy} refresh run(s) in flight; what arrives meanwhile goes into the next", cursor, events)
        store = TableStore(settings)
        plan = make_plan(settings, catalog, store=store, today=dt.datetime.now(dt.UTC).date())
        for month, reason in plan.blocked.items():
            context.log.error(f"{month} is not made: {reason}")
        if not plan.months:
            waiting = f"{len(unsettled)} file(s) still settling" if unsettled else "nothing new"
            unread = "".join(f"; {name} {reason}" for name, reason in list(registered.unread.items())[:_LISTED])
            blocked = "".join(f"; {month} is not made: {reason}" for month, reason in plan.blocked.items())
            return _skip(f"{waiting} in {settings.raw_dir}{unread}{blocked}", cursor, events)
        attempts = context.instance.get_runs_count(dg.RunsFilter(tags={PLAN_TAG: plan.fingerprint}, statuses=FAILED))
        if attempts >= settings.sensors.max_run_attempts:
            work = ", ".join(plan.waiting[:3]) or f"months {plan.months[0]} to {plan.months[-1]}"
            return _skip(
                f"gave up on {work} after {settings.sensors.max_run_attempts} attempts: look at the failed runs, then mend or "
                "remove the file, or run `cryptoliq materialize`",
                cursor,
                events,
            )
        newest = max([*store.months("raw_snapshots"), plan.months[-1]])
        requests = [
            dg.RunRequest(
                run_key=f"{plan.fingerprint}/{first}/{attempts}",
                tags={**month_range_tags(first, last, settings), PLAN_TAG: plan.fingerprint},
                asset_selection=selection_of(job.name, last, newest),
            )
            for first, last in plan.ranges
        ]
        return dg.SensorResult(run_requests=requests, cursor=cursor, asset_events=events)

    return raw_files


def _skip(reason: str, cursor: str, events: list[dg.AssetObservation]) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=reason, cursor=cursor, asset_events=events)


def _arrivals(ready: list, passed_over: dict[str, str]) -> dg.AssetObservation:
    names = ", ".join(entry.name for entry in ready[:_LISTED])
    metadata = {"files": len(ready), "names": names, "megabytes": sum(entry.size for entry in ready) / 2**20}
    return dg.AssetObservation(asset_key=RAW_FILES, metadata={**metadata, "passed_over": passed_over})
