"""Running the project's jobs in this process, on the home's own Dagster instance: what runs here shows in the UI."""

import datetime as dt
import sqlite3
import uuid
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg

from cryptoliq_assets.core import Settings, contiguous_ranges, months_between, prepare_home
from cryptoliq_assets.forecasting import (
    describe_champion_mismatch,
    describe_missing_days,
    describe_stale_features,
    is_training_due,
    month_to_forecast,
    newest_date,
)
from cryptoliq_assets.ingestion.landing import (
    Catalog,
    CatalogEntry,
    RefreshPlan,
    find_new_files,
    list_folder,
    make_plan,
    open_catalog,
    register_files,
)
from cryptoliq_assets.ingestion.reports import COMMAND_TAG
from cryptoliq_assets.modeling.registry import ModelRejectedError, open_model_store
from cryptoliq_assets.orchestration.dead_runs import (
    PROCESS_TAG,
    fail_dead_runs,
    mark_run_alive,
    process_mark,
    release_run,
)
from cryptoliq_assets.orchestration.definitions import build_definitions
from cryptoliq_assets.orchestration.instance_errors import database_answers
from cryptoliq_assets.orchestration.jobs import (
    FORECAST_JOB,
    MONITOR_JOB,
    REFRESH_JOB,
    ROLLBACK_JOB,
    TRAIN_JOB,
    selection_of,
)
from cryptoliq_assets.orchestration.progress_logger import PROGRESS_LOGGER, show_progress
from cryptoliq_assets.orchestration.resources import home_lock
from cryptoliq_assets.orchestration.rollback_job import ROLLBACK_OP
from cryptoliq_assets.orchestration.table_assets import month_range_tags
from cryptoliq_assets.storage import TableStore

# Longest that another process takes to make the instance's databases.
_INSTANCE_SECONDS = 60.0


class RunFailedError(RuntimeError):
    """A run failed; the message names step and reason."""


@dataclass
class Runner:
    """One home: its instance, its jobs, and what there is to do."""

    settings: Settings
    on_message: Callable[[str, int], None] = lambda message, level: None
    on_step: Callable[[str], None] = lambda name: None
    skipped_files: dict[str, str] = field(default_factory=dict)
    # All runs of a runner are one command's.
    command: str = field(default_factory=lambda: str(uuid.uuid4()))
    _held_open: list[sqlite3.Connection] = field(default_factory=list, repr=False)

    @cached_property
    def instance(self) -> dg.DagsterInstance:
        prepare_home(self.settings)
        # Two first commands at once would both make the instance's databases, and one of them would fail.
        turn = home_lock(self.settings.dagster_home / "instance.lock", wait_seconds=_INSTANCE_SECONDS, say=_unsaid)
        with turn, database_answers():
            # The home's instance has telemetry off and a queue that a run in this process does not stand in.
            instance = dg.DagsterInstance.from_config(str(self.settings.dagster_home))
        self._held_open = _held_open(self.settings.dagster_home)
        return instance

    @cached_property
    def definitions(self) -> dg.Definitions:
        return build_definitions(self.settings)

    @property
    def store(self) -> TableStore:
        return TableStore(self.settings)

    @property
    def catalog(self) -> Catalog:
        return open_catalog(self.settings)

    def register_files(self) -> int:
        """Enter what lies in the drop folder into the catalog; returns how many versions are new."""
        look = list_folder(self.settings.raw_dir)
        self.skipped_files = look.skipped
        unknown = find_new_files(look, self.catalog)
        if not unknown:
            return 0
        registered = register_files(unknown, self.settings, catalog=self.catalog, now=dt.datetime.now(dt.UTC))
        self.skipped_files |= registered.unread
        return registered.new

    def plan(self) -> RefreshPlan:
        today = dt.datetime.now(dt.UTC).date()
        return make_plan(self.settings, self.catalog, store=self.store, today=today)

    def waiting_arrivals(self) -> list[int]:
        """Arrivals that wait to be taken in."""
        return [file.arrival for file in self.catalog.files(states=["waiting"])]

    def rejected_files(self, arrivals: list[int]) -> list[CatalogEntry]:
        """Those of these arrivals that were refused."""
        return [file for file in self.catalog.files(states=["refused"]) if file.arrival in set(arrivals)]

    def is_training_due(self) -> bool:
        """True when there are labels and no champion, or a provisional one and by now enough dates for folds."""
        return is_training_due(self.settings, self.store, provisional_too=True)

    def require_champion(self) -> None:
        """RunFailedError, saying what to do, when there is no champion yet, or none that may forecast these tables."""
        if open_model_store(self.settings).current_version() is None:
            raise RunFailedError("there is no champion yet: `cryptoliq train` makes one from the labelled months")
        other, newest = describe_champion_mismatch(self.settings), newest_date(self.store)
        if other:
            raise RunFailedError(f"nothing is forecast: {other}; `cryptoliq materialize` trains one of that task")
        stale = describe_stale_features(self.store, f"{newest:%Y-%m}") if newest else None
        if stale:
            raise RunFailedError(f"nothing is forecast: {stale}")

    def refresh(self, ranges: list[tuple[str, str]], *, job: str = REFRESH_JOB) -> None:
        """Run a monthly job over each range; RunFailedError stops at the first that fails."""
        newest = max([*self.store.months("raw_snapshots"), *(last for _, last in ranges)], default="")
        for first, last in ranges:
            tags = month_range_tags(first, last, self.settings)
            self.run(job, tags=tags, assets=selection_of(job, last, newest))

    def train(self) -> None:
        """Run the training; RunFailedError, before anything runs, where there is nothing to train on."""
        needed = describe_missing_days(self.settings, self.store)
        if needed:
            raise RunFailedError(f"nothing can be trained yet: {needed}")
        self.run(TRAIN_JOB)

    def rollback(self, to: str | None, *, reason: str | None = None) -> None:
        """Make an earlier champion current again: `to`, else the newest sound one before the current; `reason` is for the
        ledger. RunFailedError, before anything runs, where there is no such version or it does not load."""
        store = open_model_store(self.settings)
        try:
            store.rollback_target(to)
        except ModelRejectedError as error:
            raise RunFailedError(f"{error.reason}; {store.current_version() or 'no model'} stays") from error
        said = {name: value for name, value in (("to", to), ("reason", reason)) if value}
        self.run(ROLLBACK_JOB, ops={ROLLBACK_OP: {"config": said}})

    def forecast(self) -> bool:
        """Forecast the newest snapshot if the champion has not; False when there is nothing to do."""
        month = month_to_forecast(self.settings, self.store)
        if month is None:
            return False
        self.run(FORECAST_JOB, tags=month_range_tags(month, month, self.settings))
        return True

    def monitor(self) -> None:
        """Look at everything, and raise alarms of what is not well."""
        self.run(MONITOR_JOB)

    def month_ranges(self, first: str | None, last: str | None) -> list[tuple[str, str]]:
        """Ranges that cover the months first…last, the ends defaulting to what the tables have."""
        there = self.store.months("raw_snapshots")
        plan = self.plan()
        known = sorted({*there, *plan.months, *plan.blocked})
        first, last = first or min([*known, last or ""]), last or max([*known, first or ""])
        month_range_tags(first, last, self.settings)
        if not known:
            return []
        wanted = [month for month in months_between(first, last) if month not in plan.blocked]
        return contiguous_ranges(wanted, max_months=self.settings.backfill.max_months_per_run)

    def run(
        self,
        job: str,
        *,
        tags: dict[str, str] | None = None,
        ops: dict[str, Any] | None = None,
        assets: list[dg.AssetKey] | None = None,
    ) -> None:
        """Run a job in this process, `ops` being its configuration, all of it or only some assets with their checks;
        RunFailedError names the step and the reason."""
        with database_answers():
            fail_dead_runs(self.instance, self.settings.lock_path)
        show_progress(self.on_step, self.on_message)
        run_id = str(uuid.uuid4())
        mark_run_alive(self.settings.lock_path, run_id)
        try:
            with warnings.catch_warnings(), database_answers():
                warnings.simplefilter("ignore")
                result = self.definitions.resolve_job_def(job).execute_in_process(
                    instance=self.instance,
                    run_id=run_id,
                    tags={**(tags or {}), PROCESS_TAG: process_mark(), COMMAND_TAG: self.command},
                    run_config={"loggers": {PROGRESS_LOGGER: {}}, "ops": ops or {}},
                    asset_selection=assets,
                    raise_on_error=False,
                )
        finally:
            release_run(self.settings.lock_path, run_id)
        if not result.success:
            raise RunFailedError(_why(job, result))


def _held_open(folder: Path) -> list[sqlite3.Connection]:
    """Idle connections to Dagster's SQLite files, where it has such: it opens and closes one an event, and the close of a
    file's last one empties its write-ahead log, which makes a run of thousands of events a fifth slower."""
    held = [sqlite3.connect(path, check_same_thread=False) for path in folder.glob("history/**/*.db")]
    for connection in held:
        # SQLite opens a file at the first look into it.
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return held


def _unsaid(message: str) -> None:
    """For a wait too short to speak of."""


def _why(job: str, result: dg.ExecuteInProcessResult) -> str:
    """What a person needs to know of a failed run: each reason, with the steps that failed for it."""
    steps: dict[str, list[str]] = {}
    for event in result.filter_events(lambda event: event.is_step_failure):
        failure = event.step_failure_data
        told = failure.user_failure_data.description if failure.user_failure_data else None
        error = failure.error.cause if failure.error and failure.error.cause else failure.error
        reason = told or (error.message.strip().removeprefix("ValueError: ") if error else "failed")
        steps.setdefault(reason, []).append(str(event.step_key))
    reasons = [f"{', '.join(names)}: {reason}" for reason, names in steps.items()]
    return f"{job} failed: " + "; ".join(reasons or ["see the run in the UI"])
