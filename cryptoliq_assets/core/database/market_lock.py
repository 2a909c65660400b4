"""The lock of a market: an advisory lock of a Postgres session, which the server releases when the session ends.

The session ends with its process, with its connection, and when the server has heard nothing from its machine for 25 s.
"""

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from cryptoliq_assets.core.database.connection import Database, retry_during_restart, translate_errors
from cryptoliq_assets.core.database.errors import DatabaseUnavailableError
from cryptoliq_assets.core.database.fencing import LockLostError, LockSession, fenced_by
from cryptoliq_assets.core.database.markets import Market

if TYPE_CHECKING:
    import sqlalchemy as sa

_POLL_SECONDS = 0.25
# A wait goes on while the server restarts.
_OUTAGE_SECONDS = 60.0
# A server that has not answered after this time may have ended the session.
_PROOF_SECONDS = 10.0
# Postgres shows the 64 bits of a key as two numbers.
_HELD = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1 AND pid = pg_backend_pid()"
    " AND classid::bigint = {high} AND objid::bigint = {low}"
)
_HOLDERS = (
    "SELECT application_name, backend_start FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory'"
    " AND granted AND objsubid = 1 AND classid::bigint = {high} AND objid::bigint = {low}"
)


# The session of another process, which may be on another machine.
_HELD_BY = (
    "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted AND objsubid = 1"
    " AND pid = :pid AND extract(epoch FROM backend_start)::text = :started AND classid::bigint = :high AND objid::bigint = :low"
)


class MarketLockTimeoutError(RuntimeError):
    """Another run held the lock of the market for longer than the timeout."""


@contextmanager
def open_market_lock(market: Market, *, run_id: str | None = None) -> Iterator["MarketLock"]:
    """Open the session that is to hold the lock of a market.

    Args:
        market: The market.
        run_id: Run that is alive as long as the session is, for `find_live_runs`.

    Raises:
        DatabaseUnavailableError: The database does not answer.
    """
    lock = MarketLock(market, run_id)
    try:
        retry_during_restart(lock.connect)
        yield lock
    finally:
        lock.close()


def find_live_runs(database: Database, run_ids: Iterable[str]) -> set[str]:
    """Find which runs have a session, in which they hold or await the lock of their market, on any machine.

    Args:
        database: The database.
        run_ids: Ids of runs.
    """
    with database.transaction() as session:
        return {
            run_id
            for run_id in run_ids
            if session.connection.exec_driver_sql(_HOLDERS.format(**_halves(_key("run", run_id)))).first()
        }


@contextmanager
def take_turn(database: Database | None, name: str) -> Iterator[None]:
    """Do something that no two machines may do at the same time; it does not wait longer than a statement may take.

    Args:
        database: The database that they share; None without one.
        name: What is done.
    """
    if database is None:
        yield
        return
    with database.transaction() as session:
        session.fetch("SELECT pg_advisory_xact_lock(:key)", {"key": _key("turn", name)})
        yield


@contextmanager
def try_turn(database: Database, name: str) -> Iterator[bool]:
    """Do something that no two machines may do at the same time, unless another one does it.

    Args:
        database: The database that they share.
        name: What is done.

    Yields:
        Whether it is the turn of this process.
    """
    with database.transaction() as session:
        [(free,)] = session.fetch("SELECT pg_try_advisory_xact_lock(:key)", {"key": _key("turn", name)})
        yield bool(free)


def prove_session(database: Database, session: LockSession) -> None:
    """Prove for another process, which submitted this work, that its session still holds the lock.

    Args:
        database: The database.
        session: The session that held the lock when the work was submitted.

    Raises:
        LockLostError: It does not, or the server does not answer.
    """
    values = {"pid": session.pid, "started": session.started, **_halves(session.key)}
    try:
        with database.transaction() as own:
            [(held,)] = own.fetch(_HELD_BY, values)
    except DatabaseUnavailableError as error:
        raise LockLostError(f"nothing is written, because the lock of the run cannot be proved: {error}") from error
    if not held:
        raise LockLostError("the run that submitted this work lost the lock of its market, so nothing more is written")


class MarketLock:
    """One session and the lock that it holds.

    Args:
        market: The market.
        run_id: Run that the session marks as alive.
    """

    def __init__(self, market: Market, run_id: str | None) -> None:
        self._market, self._run_id = market, run_id
        self._key = _key("market", market.id)
        self._session: sa.Connection | None = None
        self._lost: str | None = None

    def connect(self) -> None:
        """Open the session, unless it is open."""
        if self._session is not None:
            return
        # Brings the schema up to date.
        with self._market.database.transaction():
            pass
        with translate_errors():
            self._session = self._market.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            self._session.exec_driver_sql("SELECT set_config('application_name', %s, false)", (_describe_process(),))
            if self._run_id:
                self._session.exec_driver_sql(f"SELECT pg_try_advisory_lock({_key('run', self._run_id)})")

    @contextmanager
    def hold(self, *, wait_seconds: float, log: Callable[[str], object]) -> Iterator[None]:
        """Hold the lock, and require its proof before each write to what the machines of the market share.

        Args:
            wait_seconds: Longest wait.
            log: Receives a message when another run has the lock.

        Raises:
            MarketLockTimeoutError: Another run held the lock all this time.
            DatabaseUnavailableError: The database did not answer for a minute.
        """
        self._acquire(wait_seconds=wait_seconds, log=log)
        with fenced_by(self.prove, session=self._describe_session()):
            yield

    def prove(self) -> None:
        """Prove on the session itself that it holds the lock.

        Raises:
            LockLostError: It does not, or the server does not answer. The lock counts as lost from then on.
        """
        if self._lost is None:
            self._lost = self._find_loss()
        if self._lost is not None:
            raise LockLostError(
                f"this run lost the lock of the market {self._market.location} ({self._lost}), so it writes nothing more; "
                "the next run completes its work"
            )

    def close(self) -> None:
        """End the session, which releases the lock."""
        session, self._session = self._session, None
        if session is not None:
            with suppress(Exception):
                session.close()

    def _acquire(self, *, wait_seconds: float, log: Callable[[str], object]) -> None:
        until = time.monotonic() + wait_seconds
        answered, announced = time.monotonic(), False
        while True:
            try:
                if self._try():
                    return
                answered = time.monotonic()
                if not announced:
                    log(
                        f"another run holds the market {self._market.location}{self._describe_holder()}; "
                        f"waiting up to {wait_seconds:.0f} s"
                    )
                    announced = True
            except DatabaseUnavailableError:
                # The server may restart; a new session asks again.
                self.close()
                if time.monotonic() - answered > _OUTAGE_SECONDS:
                    raise
            if time.monotonic() >= until:
                raise MarketLockTimeoutError(
                    f"another run has held the market {self._market.location} for more than {wait_seconds:.0f} s"
                )
            time.sleep(_POLL_SECONDS)

    def _try(self) -> bool:
        self.connect()
        assert self._session is not None
        with translate_errors():
            return bool(self._session.exec_driver_sql(f"SELECT pg_try_advisory_lock({self._key})").scalar())

    def _describe_holder(self) -> str:
        assert self._session is not None
        with translate_errors():
            holder = self._session.exec_driver_sql(_HOLDERS.format(**_halves(self._key))).first()
        return f" ({holder[0]} since {holder[1]:%Y-%m-%d %H:%M} UTC)" if holder else ""

    def _describe_session(self) -> LockSession:
        assert self._session is not None
        statement = (
            "SELECT pid, extract(epoch FROM backend_start)::text FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        )
        with translate_errors():
            pid, started = self._session.exec_driver_sql(statement).one()
        return LockSession(self._key, pid, started)

    def _find_loss(self) -> str | None:
        """Return why the lock is lost; None if it is held."""
        if self._session is None:
            return "its session is closed"
        answer: dict[str, str | None] = {}
        thread = threading.Thread(target=self._ask, args=(self._session, answer), daemon=True)
        thread.start()
        # The time limit of a statement is the server's own: one that hangs does not keep it.
        thread.join(_PROOF_SECONDS)
        if thread.is_alive():
            # The thread still uses the session.
            self._session = None
            return f"the database has not answered for {_PROOF_SECONDS:g} s"
        return answer["loss"]

    def _ask(self, session: "sa.Connection", answer: dict[str, str | None]) -> None:
        try:
            with translate_errors():
                held = session.exec_driver_sql(_HELD.format(**_halves(self._key))).scalar()
            answer["loss"] = None if held else "its session does not hold it"
        # Whatever keeps the proof from being given.
        except Exception as error:
            answer["loss"] = str(error)


def _key(kind: str, name: str) -> int:
    """Return the key of an advisory lock: a number of 64 bits with a sign."""
    return int.from_bytes(hashlib.sha256(f"cryptoliq {kind} {name}".encode()).digest()[:8], "big", signed=True)


def _halves(key: int) -> dict[str, int]:
    bits = key & (2**64 - 1)
    return {"high": bits >> 32, "low": bits & (2**32 - 1)}


def _describe_process() -> str:
    return f"cryptoliq {socket.gethostname()[:40]}/{os.getpid()}"
