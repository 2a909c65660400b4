"""The processes that answer: one, or several on one socket under a supervisor that replaces those that die."""

import os
import signal

import uvicorn
from uvicorn.supervisors import Multiprocess


class Workers(Multiprocess):
    """Several processes. SIGHUP is handed on to them: each loads what is new, none is restarted."""

    def handle_hup(self) -> None:
        for process in self.processes:
            # One that is not ready yet loads what is new in any case, and would die of the signal.
            if process.is_ready(timeout=5) and process.pid is not None:
                os.kill(process.pid, signal.SIGHUP)


def run(config: uvicorn.Config) -> bool:
    """Serve until a signal ends it; False where it could not begin."""
    if config.workers > 1:
        Workers(config, sockets=[config.bind_socket()]).run()
        return True
    # Until the service listens for it, while it loads: nothing is to be reloaded yet.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    server = uvicorn.Server(config)
    server.run()
    return server.started
