"""The processes that answer: one, or several on one socket under a supervisor that replaces those that die."""

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import AsyncIterator
from multiprocessing.process import BaseProcess
from types import FrameType

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from cryptoliq_assets.serving.api import app as api

# From the last answer on: time for the logs to be written.
_END_SECONDS = 10.0


def application() -> FastAPI:
    """The service in a process of `cryptoliq serve`: a worker ends, cleanly, with the supervisor that it belongs to, be that
    killed. It would hold the port, and nobody would replace it or tell it to load what is new."""
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        threading.Thread(target=_end_with, args=(supervisor,), name="supervisor", daemon=True).start()
    app = api.application()
    started = app.router.lifespan_context

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[object]:
        async with started(app) as state:
            try:
                yield state
            finally:
                threading.Thread(target=_end_at_last, name="end", daemon=True).start()

    app.router.lifespan_context = lifespan
    return app


def _end_at_last() -> None:
    """End the process although a thread hangs: interpreter and event loop would wait for it without end."""
    time.sleep(_END_SECONDS)
    os._exit(0)


def _end_with(supervisor: BaseProcess) -> None:
    supervisor.join()
    os.kill(os.getpid(), signal.SIGTERM)


class Workers(Multiprocess):
    """Several processes. SIGHUP is handed on to them: each loads what is new, none is restarted."""

    def handle_hup(self) -> None:
        for process in self.processes:
            # One that is not ready yet loads what is new in any case, and would die of the signal.
            if process.is_ready(timeout=5) and process.pid is not None:
                os.kill(process.pid, signal.SIGHUP)

    def terminate_all(self) -> None:
        super().terminate_all()
        # Whoever connects from here on is refused at once: nobody would answer what waits at this end of the sockets.
        for held in self.sockets:
            held.close()


def run(config: uvicorn.Config) -> bool:
    """Serve until a signal ends it; False where it could not begin."""
    if config.workers > 1:
        Workers(config, sockets=[config.bind_socket()]).run()
        return True
    # Until the service listens for it, while it loads: nothing is to be reloaded yet.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # uvicorn raises the signal once more when all is done: a clean stop has exit code 0, of one process as of several.
    signal.signal(signal.SIGTERM, _stopped)
    server = uvicorn.Server(config)
    server.run()
    return server.started


def _stopped(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)
