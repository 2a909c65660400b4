"""Fencing: a run that writes what machines share proves first that it still holds the lock.

A lock in a database is released when the server ends its session, which its holder may not notice: it was paused, or the network
was cut. The next holder may be at work by then. `prove_lock` is called right before such a write, wherever it is.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_proofs: list[Callable[[], None]] = []


class LockLostError(RuntimeError):
    """A run does not hold its lock any more, so it must not write; the message names the market."""


@contextmanager
def fenced_by(prove: Callable[[], None]) -> Iterator[None]:
    """Require a proof of all writes of this process while a lock is held.

    Args:
        prove: Raises LockLostError if the lock is lost.
    """
    _proofs.append(prove)
    try:
        yield
    finally:
        _proofs.remove(prove)


def prove_lock() -> None:
    """Prove that every lock that this process took is still held; nothing to prove without a lock in a database.

    Raises:
        LockLostError: One is lost: the caller must not write.
    """
    for prove in list(_proofs):
        prove()
