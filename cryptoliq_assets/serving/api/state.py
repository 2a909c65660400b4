"""What the routes share: the predictor and its reloading, the batcher, the logs and the metrics of one process."""

import asyncio
import contextlib
import datetime as dt
import gc
import math
import signal
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
# A service whose first load takes longer begins to answer, not ready: a signal to stop is heard from then on.
_FIRST_LOAD_SECONDS = 30.0
_LOAD_SECONDS = 60.0


class Service:
    """One process of the service on one home."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.predictor = Predictor(settings)
        self.batcher = RequestBatcher(lambda requests: self.predictor.predict(requests))
        self.log = Journal(lambda: settings.logs_dir / "app.log", rotate_bytes=int(settings.logs.max_file_mib * 2**20))
        self.predictions = Journal(daily_path_factory(settings.predictions_dir))
        if settings.logs.destination == "stdout":
            # One journal for both: what is written to the record is a line of the log.
            self.log = self.predictions = Journal(None)
        self.journals = list(dict.fromkeys([self.log, self.predictions]))
        self.buckets = TokenBucketLimiter(settings.api.rate_per_minute)
        self._asked_to_reload = asyncio.Event()
        self._told = ""
        self._loading: asyncio.Task[None] | None = None
        # What went wrong at the last try, by what was tried beside the loading.
        self._failed: dict[str, str] = {}
        self._latest: tuple[tuple | None, dict[str, Any]] = (None, {})

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """From the first load to the last line of the logs; SIGHUP looks for something new at once."""
        with contextlib.ExitStack() as stack:
            # Each to its end, whatever became of what was done before.
            for journal in reversed(self.journals):
                stack.callback(journal.close)
            await self._refresh(within=_FIRST_LOAD_SECONDS)
            # What is loaded stays: looking through it for garbage would stop every request for a tenth of a second.
            gc.collect()
            gc.freeze()
            watching = asyncio.create_task(self._watch())
            with contextlib.suppress(NotImplementedError, ValueError, RuntimeError):
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._asked_to_reload.set)
            try:
                yield
            finally:
                watching.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await watching
                self.log.write(make_log_entry("stopped"))

    @property
    def problem(self) -> str | None:
        """What is wrong although it serves: a champion passed over, a home that cannot be read, a log that no disk takes."""
        logs = {journal.problem for journal in self.journals if journal.problem}
        waits = (f"the logs wait: {told}" for told in logs)
        return "; ".join(filter(None, [self.predictor.problem, *self._failed.values(), *waits])) or None

    async def predict(self, request: PredictRequest) -> dict[str, Any]:
        """The answer to a single request, logged. One that is dated where nothing can be said is refused before it is among
        others, who would all be computed once more, one by one."""
        started = time.perf_counter()
        for told in self.predictor.invalid_dates([request]).values():
            raise DateRejectedError(told)
        answer = await self.batcher.answer(request)
        self.note(SINGLE, [request], [answer], seconds=time.perf_counter() - started)
        return answer

    def note(
        self, mode: str, requests: Sequence[PredictRequest], answers: Sequence[dict[str, Any]], *, seconds: float
    ) -> None:
        """Count and log predictions; writing is the journals' own threads' work."""
        at = utc_timestamp()
        for request, answer in zip(requests, answers, strict=True):
            outside = answer["flags"]["out_of_range"]
            self.metrics.predicted(mode, answer["basis"], outside=bool(outside))
            line = encode_line(
                {
                    "at": at,
                    "event": "prediction",
                    "mode": mode,
                    "inputs": request,
                    "output": answer,
                    "version": answer["model_version"],
                    "seconds": seconds,
                }
            )
            for journal in self.journals:
                journal.append(line)

    def latest_forecasts(self) -> dict[str, Any]:
        """As views.load_latest_forecasts: read once for as long as the predictor holds the same tables, and features are the same."""
        store = self.predictor.store
        months = store.months("engineered_features")[-1:]
        key = (self.predictor.snapshot, *(store.stamp("engineered_features", month) for month in months))
        of, latest = self._latest
        if self.predictor.snapshot is None or key != of:
            latest = views.load_latest_forecasts(self.settings, store)
            self._latest = (key, latest)
        return latest

    async def _watch(self) -> None:
        cleaned = -math.inf
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked_to_reload.wait(), self.settings.api.reload_interval_seconds)
            self._asked_to_reload.clear()
            await self._refresh()
            self.metrics.dropped(sum(journal.dropped for journal in self.journals))
            if time.monotonic() - cleaned > _HOUR:
                cleaned = time.monotonic()
                await self._tried("old files of data/predictions stay", self._clean)

    async def _clean(self) -> None:
        today = dt.datetime.now(dt.UTC).date()
        keep = self.settings.logs.prediction_days
        await run_in_daemon_thread(remove_old_days, self.settings.predictions_dir, keep_days=keep, today=today)

    async def _tried(self, what: str, step: Callable[[], Awaitable[None]]) -> None:
        """Do a step; one that fails must not end the watch. It is told in `problem` until it succeeds, and logged."""
        try:
            await step()
        except Exception as error:
            self._failed[what] = f"{what}: {type(error).__name__}: {error}"
            self.log.write(make_log_entry("problem", problem=self._failed[what]))
        else:
            self._failed.pop(what, None)

    async def _refresh(self, *, within: float = _LOAD_SECONDS) -> None:
        """Load what is new, beside the requests. A load that takes longer than `within` seconds goes on; what is loaded already
        serves meanwhile, and the reason is in `problem`."""
        if self._loading is None or self._loading.done():
            self._loading = asyncio.create_task(self._load())
        done, _ = await asyncio.wait({self._loading}, timeout=within)
        if done:
            self._loading.result()
        else:
            self.predictor.problem = f"loading takes longer than {within:.0f} s: the storage of the home may not answer"
            self._note_problem()

    async def _load(self) -> None:
        """One load; a home that cannot be read just now is looked at again."""
        try:
            replaced = await run_in_daemon_thread(self.predictor.refresh)
        # A half-copied home, a table that is damaged: what is held serves on, and the reason is logged.
        except Exception as error:
            self.predictor.problem = f"{type(error).__name__}: {error}"
            replaced = False
        held = self.predictor.snapshot
        if replaced and held is not None:
            await self._tried("a load is not noted", lambda: self._note_load(held))
        self._note_problem()

    def _note_problem(self) -> None:
        if self.predictor.problem != self._told:
            self._told = self.predictor.problem
            if self._told:
                self.log.write(make_log_entry("problem", problem=self._told))

    async def _note_load(self, held: ServingSnapshot) -> None:
        promoted = dt.datetime.fromisoformat(held.champion.metadata["promoted_at"]).timestamp()
        newest = dt.datetime.combine(held.newest, dt.time(), dt.UTC).timestamp() if held.newest else 0.0
        self.metrics.loaded(promoted=promoted, newest=newest)
        self.log.write(
            make_log_entry(
                "model_loaded",
                version=held.champion.model_version,
                newest_snapshot=str(held.newest),
                coins=len(held.history.codes),
                rows=len(held.history.rows.days),
            )
        )
