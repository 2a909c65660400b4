"""Work that may hang, such as reads of a disk that does not answer, in threads that nothing waits for at the end."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

_Result = TypeVar("_Result")


async def run_in_daemon_thread(work: Callable[..., _Result], *args: Any, **options: Any) -> _Result:
    """Await `work(*args, **options)` in a daemon thread of its own.

    Unlike `asyncio.to_thread`, whose threads are joined when the loop and the process end: one that hangs keeps neither from
    ending.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[_Result] = loop.create_future()

    def deliver(deed: Callable[[Any], None], value: Any) -> None:
        if not result.done():
            deed(value)

    def run() -> None:
        deed: Callable[[Any], None]
        try:
            deed, value = result.set_result, work(*args, **options)
        except BaseException as error:
            deed, value = result.set_exception, error
        # Nobody waits any more once the loop is closed.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(deliver, deed, value)

    threading.Thread(target=run, name=getattr(work, "__name__", "work"), daemon=True).start()
    return await result
