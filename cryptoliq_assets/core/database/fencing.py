"""Fencing: a run that writes what machines share proves first that it still holds the lock.

A lock in a database is released when the server ends its session, which its holder may not notice: it was paused, or the network
was cut. The next holder may be at work by then. `prove_lock` is called right before such a write, wherever it is.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

_proofs: list[Callable[[], None]] = []
_sessions: list["LockSession"] = []


class LockLostError(RuntimeError):
    """A run does not hold its lock any more, so it must not write; the message names the market."""


@dataclass(frozen=True)
class LockSession:
    """The session of a database that holds a lock. Another process can ask the server whether it still does.

    Attributes:
        key: Key of the advisory lock.
        pid: Process of the server that serves the session.
        started: When the session began, in seconds; a later session with the same process number began at another time.
    """

    key: int
    pid: int
    started: str


@contextmanager
def fenced_by(prove: Callable[[], None], *, session: LockSession | None = None) -> Iterator[None]:
    """Require a proof of all writes of this process while a lock is held.

    Args:
        prove: Raises LockLostError if the lock is lost.
        session: The session that holds it, for `held_session`.
    """
    _proofs.append(prove)
    if session is not None:
        _sessions.append(session)
    try:
        yield
    finally:
        _proofs.remove(prove)
        if session is not None:
            _sessions.remove(session)


def held_session() -> LockSession | None:
    """Return the session with which this process holds the lock of a market; None without one."""
    return _sessions[-1] if _sessions else None


def prove_lock() -> None:
    """Prove that every lock that this process took is still held; nothing to prove without a lock in a database.

    Raises:
        LockLostError: One is lost: the caller must not write.
    """
    for prove in list(_proofs):
        prove()
