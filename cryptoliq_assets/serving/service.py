"""What the routes share: the predictor and its reloading, the batcher, the logs and the metrics of one process."""

import asyncio
import contextlib
import datetime as dt
import gc
import signal
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

from cryptoliq_assets.serving import views
from cryptoliq_assets.serving.batching import Batcher
from cryptoliq_assets.serving.contract import PredictRequest
from cryptoliq_assets.serving.guard import log_line
from cryptoliq_assets.serving.journal import Journal, day_file, encoded, remove_old_days
from cryptoliq_assets.serving.metrics import Metrics
from cryptoliq_assets.serving.predictor import Held, Predictor
from cryptoliq_assets.settings import Settings

SINGLE, BATCH = "single", "batch"
_HOUR = 3600.0


class Service:
    """One process of the service on one home."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.predictor = Predictor(settings)
        self.batcher = Batcher(lambda requests: self.predictor.answers(requests))
        if settings.log_to == "stdout":
            # Each prediction is a line of the log already.
            self.log = Journal(None)
            self.journals = [self.log]
        else:
            self.log = Journal(lambda: settings.logs_dir / "app.log", rotate_bytes=int(settings.log_mb * 2**20))
            self.journals = [self.log, Journal(day_file(settings.predictions_dir))]
        self._asked_to_reload = asyncio.Event()
        self._told = ""
        self._latest: tuple[Held | None, dict[str, Any]] = (None, {})

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """From the first load to the last line of the logs; SIGHUP looks for something new at once."""
        await self._refresh()
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
            self.log.write(log_line("stopped"))
            for journal in self.journals:
                journal.close()

    @property
    def problem(self) -> str | None:
        """What is wrong although it serves: a champion passed over, a home that cannot be read, a log that no disk takes."""
        logs = {journal.problem for journal in self.journals if journal.problem}
        return "; ".join(filter(None, [self.predictor.problem, *(f"the logs wait: {told}" for told in logs)])) or None

    async def predict(self, request: PredictRequest) -> dict[str, Any]:
        """The answer to a single request, logged."""
        started = time.perf_counter()
        answer = await self.batcher.answer(request)
        self.note(SINGLE, [request], [answer], seconds=time.perf_counter() - started)
        return answer

    def note(
        self, mode: str, requests: Sequence[PredictRequest], answers: Sequence[dict[str, Any]], *, seconds: float
    ) -> None:
        """Count and log predictions; writing is the journals' own threads' work."""
        at = time.time()
        for request, answer in zip(requests, answers, strict=True):
            outside = answer["flags"]["out_of_range"]
            self.metrics.predicted(mode, answer["basis"], outside=bool(outside))
            line = encoded(
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
        """As views.latest_forecasts: read once for as long as the predictor holds the same tables."""
        held, (of, latest) = self.predictor.held, self._latest
        if held is None or held is not of:
            latest = views.latest_forecasts(self.settings, self.predictor.store)
            self._latest = (held, latest)
        return latest

    async def _watch(self) -> None:
        cleaned = 0.0
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._asked_to_reload.wait(), self.settings.api_reload_seconds)
            self._asked_to_reload.clear()
            await self._refresh()
            self.metrics.dropped(sum(journal.dropped for journal in self.journals))
            if time.monotonic() - cleaned > _HOUR:
                cleaned = time.monotonic()
                today = dt.datetime.now(dt.UTC).date()
                keep = self.settings.prediction_log_days
                await asyncio.to_thread(remove_old_days, self.settings.predictions_dir, keep_days=keep, today=today)

    async def _refresh(self) -> None:
        """Load what is new, beside the requests; a home that cannot be read just now is looked at again."""
        try:
            replaced = await asyncio.to_thread(self.predictor.refresh)
        # A half-copied home, a table that is damaged: what is held serves on, and the reason is logged.
        except Exception as error:
            self.predictor.problem = f"{type(error).__name__}: {error}"
            replaced = False
        held = self.predictor.held
        if replaced and held is not None:
            self._note_load(held)
        if self.predictor.problem != self._told:
            self._told = self.predictor.problem
            if self._told:
                self.log.write(log_line("problem", problem=self._told))

    def _note_load(self, held: Held) -> None:
        promoted = dt.datetime.fromisoformat(held.champion.metadata["promoted_at"]).timestamp()
        newest = dt.datetime.combine(held.newest, dt.time(), dt.UTC).timestamp() if held.newest else 0.0
        self.metrics.loaded(promoted=promoted, newest=newest)
        self.log.write(
            log_line(
                "model_loaded",
                version=held.champion.version,
                newest_snapshot=str(held.newest),
                coins=len(held.history.codes),
                rows=len(held.history.track.days),
            )
        )
