"""The remote stores of a data directory, tested in bounded time, and reads of them that are not waited for if one hangs."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from cryptoliq_assets.core import Settings, is_remote, resolve_location
from cryptoliq_assets.core.database import DATABASE_NAME, explain_unusable_database
from cryptoliq_assets.core.object_store import explain_unusable_store, running_calls, seconds_since_answer

_POLL_SECONDS = 0.05
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class _Store:
    """One store: its name, how its calls are named, the test of it, and how a hanging one is described."""

    name: str
    path: str
    explain_unusable: Callable[[], str | None]
    location: str


class StoreHangsError(RuntimeError):
    """A store did not answer in time; the message names it."""


def list_store_problems(settings: Settings, *, seconds: float) -> list[str]:
    """Test the stores of a data directory, all at the same time: those of tables and files are written, the models' only read, the database asked.

    Args:
        settings: Settings of the data directory.
        seconds: Time for the tests.

    Returns:
        What failed, in one sentence for each store; empty for local folders.

    Raises:
        Exception: A test could not be made for a reason that is not the store's.
    """
    stores = _remote_stores(settings)
    tests = [_start(store.explain_unusable) for store in stores]
    until = time.monotonic() + seconds
    problems = []
    for store, (thread, result) in zip(stores, tests, strict=True):
        thread.join(max(0.0, until - time.monotonic()))
        if thread.is_alive():
            problems.append(f"{store.name}: no answer{store.location} within {seconds:g} s")
        elif "error" in result:
            raise result["error"]
        elif result["value"]:
            problems.append(f"{store.name}: {result['value']}")
    return problems


def read_unless_hanging(settings: Settings, read: Callable[[], _Result], *, seconds: float) -> _Result:
    """Read the state of a data directory.

    Args:
        settings: Settings of the data directory.
        read: What reads it. It runs in this thread if all is local.
        seconds: Time without an answer of a store after which it is one that hangs. A slow one is waited for.

    Returns:
        The result of `read`.

    Raises:
        StoreHangsError: A store hangs; `read` continues in the background until the time limit of its call.
    """
    stores = _remote_stores(settings)
    if not stores:
        return read()
    started = time.monotonic()
    thread, result = _start(read)
    while thread.is_alive():
        thread.join(_POLL_SECONDS)
        calls = running_calls()
        if calls and min(seconds_since_answer(), time.monotonic() - started) > seconds:
            # One location may be below another.
            closest = sorted(stores, key=lambda store: -len(store.path))
            name = next((store.name for store in closest if calls[0].startswith(store.path)), "the store")
            raise StoreHangsError(f"{name}: no answer within {seconds:g} s ({calls[0]})")
    if "error" in result:
        raise result["error"]
    value: _Result = result["value"]
    return value


def _remote_stores(settings: Settings) -> list[_Store]:
    urls = [
        ("the tables' store", settings.storage.url, True),
        ("the files' store", settings.storage.files_url, True),
        ("the models' store", settings.storage.models_url, False),
    ]
    stores = [
        _Store(name, location.path, partial(explain_unusable_store, location, writable=writable), f" of {location}")
        for name, url, writable in urls
        if url and is_remote(location := resolve_location(url, limits=settings.storage.limits))
    ]
    if settings.postgres_url is not None:
        stores.append(_Store("the database", DATABASE_NAME, partial(explain_unusable_database, settings), ""))
    return stores


def _start(work: Callable[[], Any]) -> tuple[threading.Thread, dict[str, Any]]:
    """Run work in a thread that does not keep the process alive; its result has `value` or `error`."""
    result: dict[str, Any] = {}

    def run() -> None:
        try:
            result["value"] = work()
        # Raised in the thread that waits.
        except BaseException as error:
            result["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, result
