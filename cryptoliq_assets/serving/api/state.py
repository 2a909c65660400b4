"""State of one service process: predictor and its reloads, request batcher, rate limiter, logs and metrics.

Add here what several routes share. What a single route needs belongs in its module.
"""

import asyncio
import contextlib
import datetime as dt
import gc
import logging
import math
import signal
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from cryptoliq_assets.core import (
    Journal,
    Settings,
    daily_path_factory,
    encode_line,
    make_log_entry,
    remove_old_days,
    utc_timestamp,
)
from cryptoliq_assets.monitoring.service import publish_predictions, remove_old_shared_days
from cryptoliq_assets.serving import (
    DateRejectedError,
    Metrics,
    Predictor,
    PredictRequest,
    RequestBatcher,
    ServingSnapshot,
    views,
)
from cryptoliq_assets.serving.gateway import TokenBucketLimiter, run_in_daemon_thread

SINGLE, BATCH = "single", "batch"
_HOUR = 3600.0
# If the first load takes longer, the service starts to respond as not ready: from then on it handles signals to stop.
_FIRST_LOAD_SECONDS = 30.0
_LOAD_SECONDS = 60.0
# What a lost machine loses of the predictions that machines share, and how long the end of a process waits to send them.
_PUBLISH_SECONDS, _LAST_PUBLISH_SECONDS = 10.0, 5.0
_LOG = logging.getLogger("cryptoliq.predictions")


class Service:
    """One process of the service of one data directory.

    Args:
        settings: Settings of the data directory.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.predictor = Predictor(settings)
        self.batcher = RequestBatcher(lambda requests: self.predictor.predict(requests))
        self.log = Journal(lambda: settings.logs_dir / "app.log", rotate_bytes=int(settings.logs.max_file_mib * 2**20))
        self.predictions = Journal(daily_path_factory(settings.predictions_dir))
        if settings.logs.destination == "stdout":
            # One journal for both: the lines of the prediction log are lines of the log.
            self.log = self.predictions = Journal(None)
        self.journals = list(dict.fromkeys([self.log, self.predictions]))
        self.limiter = TokenBucketLimiter(settings.api.rate_per_minute)
        self._reload_requested = asyncio.Event()
        self._logged_problem = ""
        self._loading: asyncio.Task[None] | None = None
        self._publishing: asyncio.Task[None] | None = None
        self._shared_cleaned_at = -math.inf
        # Errors of the last attempt of each step other than loading, by step.
        self._step_errors: dict[str, str] = {}
        self._latest: tuple[tuple[Any, ...] | None, dict[str, Any]] = (None, {})

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the service: from the first load to the last line of the logs. SIGHUP reloads at once."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._publish_last)
            # Each journal is closed completely, even if an earlier step fails.
            for journal in reversed(self.journals):
                stack.callback(journal.close)
            await self._refresh(timeout=_FIRST_LOAD_SECONDS)
            # Loaded objects are permanent: a garbage collection over them would stop all requests for a tenth of a second.
            gc.collect()
            gc.freeze()
            reload_task = asyncio.create_task(self._reload_periodically())
            with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._reload_requested.set)
            try:
                yield
            finally:
                reload_task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reload_task
                self.log.write(make_log_entry("stopped"))

    @property
    def problem(self) -> str | None:
        """Problems of a service that is ready: a rejected champion, an unreadable data directory, a log that cannot be written."""
        logs = {journal.problem for journal in self.journals if journal.problem}
        delays = (f"the logs cannot be written: {message}" for message in logs)
        return "; ".join(filter(None, [self.predictor.problem, *self._step_errors.values(), *delays])) or None

    async def predict(self, request: PredictRequest) -> dict[str, Any]:
        """Predict a single request, and log it.

        An invalid date is rejected before the request joins a batch: otherwise the complete batch would be computed again,
        request by request.

        Args:
            request: The request.

        Returns:
            The response, as `PredictResponse` describes it.

        Raises:
            DateRejectedError: If the date of the request is out of bounds.
            NotReadyError: If there is no champion.
        """
        started = time.perf_counter()
        for message in self.predictor.invalid_dates([request]).values():
            raise DateRejectedError(message)
        response = await self.batcher.predict(request)
        self.log_predictions(SINGLE, [request], [response], seconds=time.perf_counter() - started)
        return response

    def log_predictions(
        self, mode: str, requests: Sequence[PredictRequest], responses: Sequence[dict[str, Any]], *, seconds: float
    ) -> None:
        """Count and log predictions; the journals write in their own threads.

        Args:
            mode: SINGLE or BATCH.
            requests: n requests.
            responses: Their n responses.
            seconds: Time that they took together.
        """
        at = utc_timestamp()
        for request, response in zip(requests, responses, strict=True):
            out_of_range = response["flags"]["out_of_range"]
            self.metrics.count_predictions(mode, response["basis"], out_of_range=bool(out_of_range))
            line = encode_line(
                {
                    "at": at,
                    "event": "prediction",
                    "mode": mode,
                    "inputs": request,
                    "output": response,
                    "version": response["model_version"],
                    "seconds": seconds,
                }
            )
            for journal in self.journals:
                journal.append(line)

    def latest_forecasts(self) -> dict[str, Any]:
        """Return `views.load_latest_forecasts`, cached until the predictor's snapshot or the features change."""
        store = self.predictor.store
        months = store.months("engineered_features")[-1:]
        key = (self.predictor.snapshot, *(store.stamp("engineered_features", month) for month in months))
        cached_key, latest = self._latest
        if self.predictor.snapshot is None or key != cached_key:
            latest = views.load_latest_forecasts(self.settings, store)
            self._latest = (key, latest)
        return latest

    async def _reload_periodically(self) -> None:
        cleaned_at = published_at = -math.inf
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._reload_requested.wait(), self.settings.api.reload_interval_seconds)
            self._reload_requested.clear()
            await self._refresh()
            self.metrics.set_dropped_lines(sum(journal.dropped for journal in self.journals))
            if time.monotonic() - published_at > _PUBLISH_SECONDS:
                published_at = time.monotonic()
                self._begin_publishing()
            if time.monotonic() - cleaned_at > _HOUR:
                cleaned_at = time.monotonic()
                await self._try_step("old files of data/predictions were not removed", self._remove_old_predictions)

    async def _remove_old_predictions(self) -> None:
        today = dt.datetime.now(dt.UTC).date()
        days = self.settings.logs.prediction_days
        await run_in_daemon_thread(remove_old_days, self.settings.predictions_dir, max_age_days=days, today=today)

    def _begin_publishing(self) -> None:
        """Send new predictions in the background, unless the last time is not over: reloads do not wait for it."""
        if self.settings.shared_predictions_dir is None:
            return
        if self._publishing is None or self._publishing.done():
            failure = "predictions were not sent to their location"
            self._publishing = asyncio.create_task(self._try_step(failure, self._publish))

    async def _publish(self) -> None:
        await run_in_daemon_thread(publish_predictions, self.settings)
        if time.monotonic() - self._shared_cleaned_at > _HOUR:
            today, days = dt.datetime.now(dt.UTC).date(), self.settings.logs.prediction_days
            await run_in_daemon_thread(remove_old_shared_days, self.settings, max_age_days=days, today=today)
            self._shared_cleaned_at = time.monotonic()

    def _publish_last(self) -> None:
        """Send the last predictions; those that a store does not take in time stay on this machine, for the next start."""
        if self.settings.shared_predictions_dir is None:
            return
        thread = threading.Thread(target=self._publish_logged, daemon=True)
        thread.start()
        thread.join(_LAST_PUBLISH_SECONDS)

    def _publish_logged(self) -> None:
        try:
            publish_predictions(self.settings)
        except (OSError, RuntimeError) as error:
            _LOG.warning("the last predictions were not sent to their location: %s", error)

    async def _try_step(self, failure: str, step: Callable[[], Awaitable[None]]) -> None:
        """Run a step whose failure must not stop the reloads: `problem` reports it until it succeeds, and the log records it."""
        try:
            await step()
        # Any error: the loop of reloads must continue. The error is shown in `problem` and logged.
        except Exception as error:
            self._step_errors[failure] = f"{failure}: {type(error).__name__}: {error}"
            self.log.write(make_log_entry("problem", problem=self._step_errors[failure]))
        else:
            self._step_errors.pop(failure, None)

    async def _refresh(self, *, timeout: float = _LOAD_SECONDS) -> None:
        """Load new data concurrently with the requests.

        A load that takes longer than `timeout` seconds continues in the background. Meanwhile the current snapshot serves, and
        `problem` states the reason.
        """
        if self._loading is None or self._loading.done():
            self._loading = asyncio.create_task(self._load())
        done, _ = await asyncio.wait({self._loading}, timeout=timeout)
        if done:
            self._loading.result()
        else:
            self.predictor.problem = (
                f"loading takes longer than {timeout:.0f} s: the storage of the data directory may not respond"
            )
            self._log_problem()

    async def _load(self) -> None:
        """Load once; if the data directory cannot be read now, the next reload tries again."""
        try:
            is_replaced = await run_in_daemon_thread(self.predictor.refresh)
        # For example a partially copied data directory or a damaged table: the current snapshot continues to serve.
        except Exception as error:
            self.predictor.problem = f"{type(error).__name__}: {error}"
            is_replaced = False
        snapshot = self.predictor.snapshot
        if is_replaced and snapshot is not None:
            await self._try_step("a load was not logged", lambda: self._log_load(snapshot))
        self._log_problem()

    def _log_problem(self) -> None:
        if self.predictor.problem != self._logged_problem:
            self._logged_problem = self.predictor.problem
            if self._logged_problem:
                self.log.write(make_log_entry("problem", problem=self._logged_problem))

    async def _log_load(self, snapshot: ServingSnapshot) -> None:
        promoted_at = dt.datetime.fromisoformat(snapshot.champion.metadata["promoted_at"]).timestamp()
        newest = dt.datetime.combine(snapshot.newest, dt.time(), dt.UTC).timestamp() if snapshot.newest else 0.0
        self.metrics.record_load(promoted_at=promoted_at, newest_snapshot_at=newest)
        self.log.write(
            make_log_entry(
                "model_loaded",
                version=snapshot.champion.model_version,
                newest_snapshot=str(snapshot.newest),
                coins=len(snapshot.history.codes),
                rows=len(snapshot.history.rows.days),
            )
        )
