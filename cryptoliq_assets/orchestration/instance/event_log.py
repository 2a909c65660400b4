"""The event log of the runs in this process: Dagster's own, in SQLite, with one engine per file instead of one per event, and one
transaction for the events of a batch.

A new engine compiles each statement again and opens the file again: a third of the time of a run that computes little. Files and
rows are those of Dagster's class, which the daemon and the UI use on the same files.
"""

import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.events.log import EventLogEntry
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData

# The index of all runs, the run at work, and the one before it.
_OPEN_FILES = 3
# A run plans, and a step materializes, all months of its range at once: Dagster then stores these events together.
_BATCH_VARIABLE, _BATCH_SIZE = "DAGSTER_EVENT_BATCH_SIZE", "1000"


class PooledEventLogStorage(SqliteEventLogStorage):
    """Dagster's event log, with engines that stay open and keep their compiled statements.

    Args:
        base_dir: Folder of the files.
        inst_data: Dagster's description of this object.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: dict[str, sa.Engine] = {}
        self._idle: list[sqlite3.Connection] = []
        # Open transactions by file while a batch is stored, and the thread that stores it.
        self._batch: dict[str, sa.Connection] = {}
        self._batch_thread: int | None = None
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "PooledEventLogStorage":
        """Make the event log that an instance file describes."""
        return cls(inst_data=inst_data, **config_value)

    def dispose(self) -> None:
        """Close all files."""
        super().dispose()
        for engine in self._engines.values():
            engine.dispose()
        self._engines.clear()
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def keep_open(self, folder: Path) -> None:
        """Open an idle connection to each of Dagster's files below a folder.

        The storages of runs and schedules open and close a connection per statement. Closing a file's last connection empties its
        write-ahead log, which makes a run of thousands of events a fifth slower.
        """
        for path in folder.glob("history/**/*.db"):
            connection = sqlite3.connect(path, check_same_thread=False)
            # SQLite opens a file at its first query.
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            self._idle.append(connection)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events of a run, in one transaction per file: all of them or none."""
        with self._db_lock, ExitStack() as transactions:
            for shard in (events[0].run_id, INDEX_SHARD_NAME):
                self._batch[shard] = transactions.enter_context(self._open(shard).begin())
            self._batch_thread = threading.get_ident()
            try:
                super().store_event_batch(events)
            finally:
                self._batch_thread = None
                self._batch.clear()

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        if self._batch_thread == threading.get_ident() and shard in self._batch:
            yield self._batch[shard]
            return
        with self._db_lock, self._open(shard).begin() as connection:
            yield connection

    def _open(self, shard: str) -> sa.Engine:
        engine = self._engine(shard)
        if shard not in self._initialized_dbs:
            self._initdb(engine)
            self._initialized_dbs.add(shard)
        return engine

    def _engine(self, shard: str) -> sa.Engine:
        # The most recently used ones are last.
        engine = self._engines.pop(shard, None) or sa.create_engine(
            self.conn_string_for_shard(shard),
            poolclass=sa.QueuePool,
            # The lock admits one thread at a time.
            connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
        )
        self._engines[shard] = engine
        while len(self._engines) > _OPEN_FILES:
            self._engines.pop(next(iter(self._engines))).dispose()
        return engine


def open_instance(folder: Path) -> dg.DagsterInstance:
    """Open Dagster's instance of a data directory for runs in this process.

    Args:
        folder: Folder with dagster.yaml. Where it names a storage, that one is used as it is.
    """
    ref = InstanceRef.from_dir(str(folder))
    if ref.event_storage_data is not None and ref.event_storage_data.class_name == SqliteEventLogStorage.__name__:
        own = {
            "module": __name__,
            "class": PooledEventLogStorage.__name__,
            "config": {"base_dir": ref.event_storage_data.config_dict["base_dir"]},
        }
        ref = InstanceRef.from_dir(str(folder), overrides={"event_log_storage": own})
    instance = dg.DagsterInstance.from_ref(ref)
    if isinstance(instance.event_log_storage, PooledEventLogStorage):
        instance.event_log_storage.keep_open(folder)
    return instance


@contextmanager
def batched_events() -> Iterator[None]:
    """Let Dagster store the events of a batch together, in runs of this process until the end. A size that the user set stays."""
    if _BATCH_VARIABLE in os.environ:
        yield
        return
    os.environ[_BATCH_VARIABLE] = _BATCH_SIZE
    try:
        yield
    finally:
        os.environ.pop(_BATCH_VARIABLE, None)
