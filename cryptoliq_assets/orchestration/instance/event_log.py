"""The event log of the runs in this process: Dagster's own, in SQLite, with one engine per file instead of one per event.

A new engine compiles each statement again and opens the file again: a third of the time of a run that computes little. Files and
rows are those of Dagster's class, which the daemon and the UI use on the same files.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.instance.ref import InstanceRef
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from dagster._serdes import ConfigurableClassData

# The index of all runs, the run at work, and the one before it.
_OPEN_FILES = 3


class PooledEventLogStorage(SqliteEventLogStorage):
    """Dagster's event log, with engines that stay open and keep their compiled statements.

    Args:
        base_dir: Folder of the files.
        inst_data: Dagster's description of this object.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: dict[str, sa.Engine] = {}
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

    @contextmanager
    def _connect(self, shard: str) -> Iterator[sa.Connection]:
        with self._db_lock:
            engine = self._engine(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

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
    return dg.DagsterInstance.from_ref(ref)
