"""Which calls to object stores run now, and when the last one was answered: what tells a slow store from one that hangs."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_running: dict[object, str] = {}
_answered_at = 0.0


@contextmanager
def record_call(path: str) -> Iterator[None]:
    """Record a call while it runs.

    Args:
        path: Path of the object in its store.
    """
    global _answered_at
    call = object()
    with _lock:
        _running[call] = path
    try:
        yield
    finally:
        # "No such object" is an answer as well; after an outage nobody waits any more.
        _answered_at = time.monotonic()
        with _lock:
            del _running[call]


def running_calls() -> list[str]:
    """Return the paths of the calls that run now."""
    with _lock:
        return list(_running.values())


def seconds_since_answer() -> float:
    """Return the seconds since a store last answered a call of this process."""
    return time.monotonic() - _answered_at
