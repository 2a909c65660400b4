"""A scheduler and workers on this machine, for trying out a cluster."""

import signal
import threading
from collections.abc import Callable

# A worker that does not report for this long has died; a task that has lost its worker fails the run, and is not repeated.
_CONFIGURATION = {"distributed.scheduler.worker-ttl": "60s", "distributed.scheduler.allowed-failures": 0}
# Anybody who reaches the scheduler can run any code.
_HOST = "127.0.0.1"


def run_local_cluster(workers: int, *, port: int, announce: Callable[[str], object]) -> None:
    """Run a scheduler and workers until SIGINT or SIGTERM; each worker is a process with one thread.

    The scheduler is part of this process. Workers end when their connection to it does, so none outlives it.

    Args:
        workers: Number of workers.
        port: Port of the scheduler on 127.0.0.1; 0: a free one.
        announce: Receives the address of the scheduler when all workers are there.
    """
    import dask
    from distributed import LocalCluster

    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: ended.set())
    with (
        dask.config.set(_CONFIGURATION),
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            processes=True,
            host=_HOST,
            scheduler_port=port,
            dashboard_address=None,
        ) as cluster,
    ):
        announce(cluster.scheduler_address)
        ended.wait()
