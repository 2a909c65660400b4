"""What a task can know about the worker that runs it, and whether anybody still waits for it."""

import threading
from collections.abc import Callable
from pathlib import Path

from cryptoliq_assets.core.cluster.errors import TaskCancelledError

# A worker may have several threads. Two tasks at once would need twice the memory, and each would be bound by the proofs of the other.
_turn = threading.Lock()
_RUNNING = ("executing", "long-running")


def one_task_at_a_time() -> threading.Lock:
    """Return the lock of this process that its tasks hold while they compute."""
    return _turn


def worker_name() -> str:
    """Return name and address of the worker that runs this task, for messages."""
    from distributed import get_worker

    worker = get_worker()
    return f"{worker.name} at {worker.address}"


def worker_threads() -> int:
    """Return the number of threads of the worker that runs this task."""
    from distributed import get_worker

    return int(get_worker().state.nthreads)


def worker_folder() -> Path:
    """Return the folder of temporary files of the worker that runs this task; it is removed when the worker ends."""
    from distributed import get_worker

    return Path(get_worker().local_directory)


def task_check() -> Callable[[], None]:
    """Return a function that checks whether the run still waits for the task that calls `task_check`.

    The scheduler cancels the tasks of a client when its connection ends. A task that has begun is not interrupted, so it checks this before
    it writes: it raises TaskCancelledError.
    """
    from distributed import get_worker
    from distributed.worker import thread_state

    worker, key = get_worker(), thread_state.key

    def check() -> None:
        task = worker.state.tasks.get(key)
        if task is None or task.state not in _RUNNING:
            raise TaskCancelledError(f"the run does not wait for {key} any more, so it writes nothing")

    return check
