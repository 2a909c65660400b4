"""Worker processes of the service: one, or several on one socket under a supervisor that replaces workers that die."""

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

# Time after the last response for the logs to be written.
_EXIT_SECONDS = 10.0


def application() -> FastAPI:
    """Create the application of a process of `cryptoliq serve`.

    A worker shuts down cleanly when its supervisor ends, even if that is killed. Otherwise the worker would keep the port, and
    nothing would replace it or signal it to reload.

    Returns:
        The application, for uvicorn.
    """
    supervisor = multiprocessing.parent_process()
    if supervisor is not None:
        threading.Thread(target=_stop_with, args=(supervisor,), name="supervisor", daemon=True).start()
    app = api.application()
    run_app = app.router.lifespan_context

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with run_app(app):
            try:
                yield
            finally:
                threading.Thread(target=_exit_after_grace_period, name="end", daemon=True).start()

    app.router.lifespan_context = lifespan
    return app


def _exit_after_grace_period() -> None:
    """End the process although a thread hangs: interpreter and event loop would wait for it indefinitely."""
    time.sleep(_EXIT_SECONDS)
    os._exit(0)


def _stop_with(supervisor: BaseProcess) -> None:
    supervisor.join()
    os.kill(os.getpid(), signal.SIGTERM)


class WorkerSupervisor(Multiprocess):
    """Supervisor of several workers.

    SIGHUP is forwarded to them: each reloads the champion and the history, and none is restarted.
    """

    def handle_hup(self) -> None:
        """Forward SIGHUP to all workers."""
        for process in self.processes:
            # A worker that is not ready yet loads the newest state in any case, and would be killed by the signal.
            if process.is_ready(timeout=5) and process.pid is not None:
                os.kill(process.pid, signal.SIGHUP)

    def terminate_all(self) -> None:
        """Stop all workers and close the sockets."""
        super().terminate_all()
        # New connections are refused at once: otherwise they would wait on the supervisor's sockets without an answer.
        for listener in self.sockets:
            listener.close()


def run_workers(config: uvicorn.Config) -> bool:
    """Run the server until a signal stops it.

    Args:
        config: uvicorn's configuration. With one worker the server runs in this process.

    Returns:
        False if the server could not start.
    """
    if config.workers > 1:
        WorkerSupervisor(config, sockets=[config.bind_socket()]).run()
        return True
    # Ignored until the service handles it: while it loads, nothing needs a reload.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # uvicorn raises the signal again after the shutdown: a clean stop has exit code 0, with one worker as with several.
    signal.signal(signal.SIGTERM, _exit_cleanly)
    server = uvicorn.Server(config)
    server.run()
    return server.started


def _exit_cleanly(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)
