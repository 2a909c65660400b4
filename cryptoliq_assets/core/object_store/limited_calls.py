"""The time limit of whole calls, and the translation of their errors, for clients that run on fsspec's event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any

from fsspec.asyn import mirror_sync_methods, sync

from cryptoliq_assets.core.object_store.activity import record_call
from cryptoliq_assets.core.object_store.errors import CallLimits, translate_error

# Calls whose answer may be large, and the time for it; the client limits the time for the next bytes of each.
_READS = ("cat_file", "cat", "cat_ranges", "get_file", "get")
_READ_SECONDS = 300.0


def limit_calls(client: Any, limits: CallLimits) -> None:
    """Add the public calls of a client, each limited in time, its errors translated.

    The clients limit connecting and waiting for the next bytes themselves. They do not limit sending, or an answer that arrives
    byte by byte.

    Args:
        client: An fsspec client that does not add the calls itself: its attribute `mirror_sync_methods` is False.
        limits: The limits.
    """
    mirror_sync_methods(client)
    for private in dir(client):
        name = private.removeprefix("_")
        if private == name or not asyncio.iscoroutinefunction(getattr(type(client), private, None)):
            continue
        # Only what runs the coroutine: a method of its own may do more.
        if hasattr(getattr(client, name, None), "__wrapped__"):
            setattr(client, name, _limited(client, name, getattr(client, private), limits))


def _limited(client: Any, name: str, call: Callable[..., Awaitable[Any]], limits: CallLimits) -> Callable[..., Any]:
    async def run(seconds: float, *args: Any, **options: Any) -> Any:
        async with asyncio.timeout(seconds):
            return await call(*args, **options)

    @wraps(call)
    def limited(*args: Any, **options: Any) -> Any:
        sent = sum(len(value) for value in args if isinstance(value, bytes | bytearray | memoryview))
        if name == "put_file":
            sent += Path(args[0]).stat().st_size
        seconds = limits.call_seconds(sent) + (_READ_SECONDS if name in _READS else 0.0)
        try:
            with record_call(str(args[0]) if args else name):
                return sync(client.loop, run, seconds, *args, **options)
        except Exception as error:
            translated = translate_error(error, limits)
            if translated is error:
                raise
            raise translated from error

    return limited
