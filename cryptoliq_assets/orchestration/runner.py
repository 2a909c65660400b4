"""Run the project's jobs in this process, on the Dagster instance of the data directory: the UI shows these runs too.

Add what the command line runs. What it prints belongs in `cli`.
"""

import datetime as dt
import uuid
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import dagster as dg

from cryptoliq_assets.core import Settings, contiguous_ranges, months_between, prepare_home
from cryptoliq_assets.core.database import open_database, take_turn
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
from cryptoliq_assets.orchestration.instance import (
    batched_events,
    describe_failure,
    open_instance,
    translate_database_errors,
)
from cryptoliq_assets.orchestration.jobs import (
    FORECAST_JOB,
    MONITOR_JOB,
    PREPROCESS_JOB,
    REFRESH_JOB,
    ROLLBACK_JOB,
    TRAIN_JOB,
    select_assets,
)
from cryptoliq_assets.orchestration.partitions import clip_ranges, find_data_months, month_range_tags
from cryptoliq_assets.orchestration.resources import PROGRESS_LOGGER, hold_run_lock, show_progress
from cryptoliq_assets.orchestration.rollback_job import ROLLBACK_OP
from cryptoliq_assets.schemas import TRAINING_TABLES
from cryptoliq_assets.storage import TableStore, cached_tables

# Longest time that another process takes to create the databases of the instance.
_INSTANCE_SECONDS = 60.0


class RunFailedError(RuntimeError):
    """A run failed, or cannot start; the message names step and reason."""


@dataclass
class Runner:
    """One data directory: its instance, its jobs, and the pending work.

    Attributes:
        settings: Settings of the data directory.
        on_message: Called with each message of a run and its logging level.
        on_step: Called with the name of each step as it starts.
        skipped_files: Files of the drop folder that were not read, with the reason.
        command: Id that all runs of this runner carry.
    """

    settings: Settings
    on_message: Callable[[str, int], None] = lambda message, level: None
    on_step: Callable[[str], None] = lambda name: None
    skipped_files: dict[str, str] = field(default_factory=dict)
    command: str = field(default_factory=lambda: str(uuid.uuid4()))
    _definitions: tuple[tuple[str, str], dg.Definitions] | None = field(default=None, repr=False)

    @cached_property
    def instance(self) -> dg.DagsterInstance:
        """Open Dagster's instance; it is created at the first use."""
        prepare_home(self.settings)
        # Two first commands at once would both create the databases of the instance, and one of them would fail.
        turn = hold_run_lock(
            self.settings.dagster_home / "instance.lock", wait_seconds=_INSTANCE_SECONDS, log=lambda message: None
        )
        with turn, take_turn(open_database(self.settings), "dagster"), translate_database_errors():
            # This instance has telemetry off, and a queue that a run in this process does not wait in.
            return open_instance(self.settings.dagster_home)

    @property
    def definitions(self) -> dg.Definitions:
        """Load the definitions, again when the months with data have changed."""
        with cached_tables(self.settings):
            months = find_data_months(self.settings)
            if self._definitions is None or self._definitions[0] != months:
                self._definitions = (months, build_definitions(self.settings))
            return self._definitions[1]

    @property
    def store(self) -> TableStore:
        """Open the monthly tables."""
        return TableStore(self.settings)

    @property
    def catalog(self) -> Catalog:
        """Open the catalog of received files."""
        return open_catalog(self.settings)

    def register_files(self) -> int:
        """Register new files of the drop folder in the catalog; returns the number of new versions."""
        listing = list_folder(self.settings.raw_dir)
        self.skipped_files = listing.skipped
        unknown = find_new_files(listing, self.catalog)
        if not unknown:
            return 0
        registered = register_files(unknown, self.settings, catalog=self.catalog, now=dt.datetime.now(dt.UTC))
        self.skipped_files |= registered.unread
        return registered.new

    def plan(self) -> RefreshPlan:
        """Plan the refresh of all months that need it."""
        today = dt.datetime.now(dt.UTC).date()
        return make_plan(self.settings, self.catalog, store=self.store, today=today)

    def waiting_arrivals(self) -> list[int]:
        """List the arrivals that wait to be ingested."""
        return [file.arrival for file in self.catalog.files(states=["waiting"])]

    def rejected_files(self, arrivals: list[int]) -> list[CatalogEntry]:
        """List those of these arrivals that were rejected."""
        return [file for file in self.catalog.files(states=["refused"]) if file.arrival in set(arrivals)]

    def is_training_due(self) -> bool:
        """Return whether labels exist and no champion, or a provisional one and by now enough dates for folds."""
        return is_training_due(self.settings, self.store, provisional_too=True)

    def require_champion(self) -> None:
        """Require a champion that may forecast these tables.

        Raises:
            RunFailedError: None exists; the message has the remedy.
        """
        if open_model_store(self.settings).current_version() is None:
            raise RunFailedError(
                "there is no champion yet: run `cryptoliq train`, which trains one on the labelled months"
            )
        other_task, newest = describe_champion_mismatch(self.settings), newest_date(self.store)
        if other_task:
            raise RunFailedError(f"nothing is forecast: {other_task}; `cryptoliq materialize` trains one of that task")
        stale = describe_stale_features(self.store, f"{newest:%Y-%m}") if newest else None
        if stale:
            raise RunFailedError(f"nothing is forecast: {stale}")

    def refresh(self, ranges: list[tuple[str, str]], *, job: str = REFRESH_JOB) -> None:
        """Run a monthly job over each range of months with data.

        Raises:
            RunFailedError: A run failed; the ranges after it do not run.
        """
        with cached_tables(self.settings):
            ranges = clip_ranges(ranges, self.settings)
            newest = max([*self.store.months("raw_snapshots"), *(last for _, last in ranges)], default="")
        for first, last in ranges:
            tags = month_range_tags(first, last, self.settings)
            self.run(job, tags=tags, assets=select_assets(job, last, newest))

    def train(self) -> None:
        """Run the training.

        Raises:
            RunFailedError: It failed, or there is nothing to train on; then nothing has run.
        """
        missing = describe_missing_days(self.settings, self.store)
        if missing:
            raise RunFailedError(f"nothing can be trained yet: {missing}")
        self.run(TRAIN_JOB)

    def complete_training_tables(self) -> None:
        """Compute months that the tables which trainings read lack completely; raises RunFailedError if a run fails.

        Stale months wait for the next training. Without a champion nothing is computed: the first training computes all months.
        """
        if open_model_store(self.settings).current_version() is None:
            return
        for table in TRAINING_TABLES:
            missing = sorted({*self.store.months("engineered_features")} - {*self.store.months(table)})
            for months in contiguous_ranges(missing, max_months=self.settings.backfill.max_months_per_run):
                self.run(PREPROCESS_JOB, tags=month_range_tags(*months, self.settings), assets=[dg.AssetKey(table)])

    def rollback(self, to: str | None, *, reason: str | None = None) -> None:
        """Make an earlier champion current again.

        Args:
            to: Its version; by default the newest valid one before the current.
            reason: Reason, for the audit log.

        Raises:
            RunFailedError: The run failed, or no such version exists or is valid; then nothing has run.
        """
        store = open_model_store(self.settings)
        try:
            store.rollback_target(to)
        except ModelRejectedError as error:
            raise RunFailedError(f"{error.reason}; {store.current_version() or 'no model'} stays") from error
        config = {name: value for name, value in (("to", to), ("reason", reason)) if value}
        self.run(ROLLBACK_JOB, ops={ROLLBACK_OP: {"config": config}})

    def forecast(self) -> bool:
        """Forecast the newest snapshot; returns False where the champion has forecast it already."""
        month = month_to_forecast(self.settings, self.store)
        if month is None:
            return False
        self.run(FORECAST_JOB, tags=month_range_tags(month, month, self.settings))
        return True

    def monitor(self) -> None:
        """Run all checks of the monitor, and raise alerts of those that fail."""
        self.run(MONITOR_JOB)

    def month_ranges(self, first: str | None, last: str | None) -> list[tuple[str, str]]:
        """Split the months first…last into the ranges of runs.

        Args:
            first: First month; the first with data by default.
            last: Last month; the last with data by default.

        Returns:
            First and last month of each run; empty if there is no data.

        Raises:
            ValueError: A month is not allowed, or the range is reversed.
        """
        plan = self.plan()
        months = sorted({*self.store.months("raw_snapshots"), *plan.months, *plan.blocked})
        ends = [month for month in (*months, first, last) if month]
        if not ends:
            return []
        first, last = first or min(ends), last or max(ends)
        month_range_tags(first, last, self.settings)
        if not months:
            return []
        selected = [month for month in months_between(first, last) if month not in plan.blocked]
        return contiguous_ranges(selected, max_months=self.settings.backfill.max_months_per_run)

    def run(
        self,
        job: str,
        *,
        tags: dict[str, str] | None = None,
        ops: dict[str, Any] | None = None,
        assets: list[dg.AssetKey] | None = None,
    ) -> None:
        """Run a job in this process.

        Args:
            job: Name of the job.
            tags: Further tags of the run, such as its range of months.
            ops: Configuration of the job's ops.
            assets: Assets to materialize, with their checks; all of the job by default.

        Raises:
            RunFailedError: The run failed.
            DatabaseUnavailableError: Dagster's database does not answer.
        """
        with translate_database_errors():
            fail_dead_runs(self.instance, self.settings.lock_path, database=open_database(self.settings))
        show_progress(self.on_step, self.on_message)
        run_id = str(uuid.uuid4())
        mark_run_alive(self.settings.lock_path, run_id)
        try:
            with warnings.catch_warnings(), translate_database_errors(), batched_events():
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
            raise RunFailedError(describe_failure(job, result))
