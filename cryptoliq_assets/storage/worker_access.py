"""Access of a worker to the store of a run: it reads and writes month files itself, as the data directory that the run belongs to."""

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cryptoliq_assets.core import Settings, is_remote, make_folder, read_home_id, resolve_location, write_file
from cryptoliq_assets.core.cluster import ClusterError, one_task_at_a_time, task_check, worker_folder, worker_name
from cryptoliq_assets.core.database import (
    LockSession,
    fenced_by,
    find_market,
    held_session,
    open_database,
    prove_session,
)
from cryptoliq_assets.storage.ownership import ensure_owner_id
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets.storage.stamps import cached_tables

# Results are equal to the last bit only with the same versions.
_PACKAGES = ("cryptoliq", "numba", "numpy", "pandas", "pyarrow", "scikit-learn", "xgboost")


@dataclass(frozen=True)
class WorkerAccess:
    """What a worker needs to read and write the store of a run. It contains no secret: those are in the environment of the worker.

    Attributes:
        settings: Public settings of the data directory.
        home_id: Its identifier.
        market_id: Identifier of its market; None without Postgres.
        session: Session that holds the lock of the market; None without Postgres.
        versions: Versions of Python and of the packages that compute.
    """

    settings: dict[str, Any]
    home_id: str
    market_id: str | None
    session: LockSession | None
    versions: dict[str, str]


def share_store(settings: Settings) -> WorkerAccess:
    """Return the access of workers to the store; the caller holds the run lock.

    Args:
        settings: Settings of the data directory.
    """
    # Creates what the first write of a data directory creates.
    ensure_owner_id(settings, TableStore(settings).listed_once().raw_owners)
    market = find_market(settings)
    values = settings.public_values()
    values["storage"] = {**values.get("storage", {}), "url": settings.tables_url}
    return WorkerAccess(
        # What a worker does, it does in its own process.
        {**values, "dask_address": ""},
        read_home_id(settings),
        None if market is None else market.id,
        held_session(),
        dict(find_versions()),
    )


@contextmanager
def open_shared_store(access: WorkerAccess) -> Iterator[TableStore]:
    """Open the store of a run on a worker. Before each write the worker proves that the run still waits for it and holds its lock.

    Args:
        access: Access that the run gave.

    Raises:
        ClusterError: The worker has other versions of the packages, or does not reach the store or the database of the run.
    """
    with one_task_at_a_time():
        _require_versions(access)
        settings = _make_settings(access)
        database = open_database(settings)
        with cached_tables(settings), fenced_by(task_check()):
            if database is None or access.session is None:
                yield TableStore(settings)
                return
            with fenced_by(partial(prove_session, database, access.session)):
                yield TableStore(settings)


@lru_cache
def find_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that compute, of those that are installed."""
    found = {"python": ".".join(platform.python_version_tuple()[:2])}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _require_versions(access: WorkerAccess) -> None:
    own = find_versions()
    for package, needed in access.versions.items():
        if own.get(package) != needed:
            raise ClusterError(
                f"worker {worker_name()} has {package} {own.get(package, 'not installed')} and the run has {needed}: "
                "install the same versions on all machines, or use the same image"
            )


def _make_settings(access: WorkerAccess) -> Settings:
    """Make the settings of the run on this worker, and check that they mean the same here."""
    url = access.settings["storage"]["url"]
    values = dict(access.settings)
    tables = resolve_location(url)
    if is_remote(tables) or not tables.is_relative_to(values["home_dir"]):
        # The data directory itself is on the machine of the run: here a folder with its identifier takes its place.
        values["home_dir"] = str(_make_stand_in(access))
    elif read_home_id(Settings.model_validate(values | {"postgres_url": ""})) != access.home_id:
        raise ClusterError(
            f"worker {worker_name()} does not see the tables of the run in {url}: set CRYPTOLIQ_STORAGE__URL to a location that all "
            "machines reach"
        )
    if access.market_id is None:
        return Settings.model_validate(values | {"postgres_url": ""})
    settings = Settings.model_validate(values)
    market = find_market(settings)
    if market is None or market.id != access.market_id:
        raise ClusterError(
            f"worker {worker_name()} does not use the database of the run: set CRYPTOLIQ_POSTGRES_URL in its environment as on the "
            "machine of the run"
        )
    return settings


def _make_stand_in(access: WorkerAccess) -> Path:
    home = worker_folder() / "cryptoliq" / access.home_id
    path = Settings.model_validate({"home_dir": str(home), "postgres_url": ""}).home_id_path
    if not path.exists():
        make_folder(path.parent)
        write_file(path, f"{access.home_id}\n".encode())
    return home
