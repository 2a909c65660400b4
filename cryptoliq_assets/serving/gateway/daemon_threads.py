"""Daemon threads for work that may hang, such as reads from storage that does not respond.

Use `asyncio.to_thread` for everything that is bounded in time.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

_Params = ParamSpec("_Params")
_Result = TypeVar("_Result")


async def run_in_daemon_thread(
    work: Callable[_Params, _Result], *args: _Params.args, **options: _Params.kwargs
) -> _Result:
    """Await `work(*args, **options)` in a new daemon thread.

    The threads of `asyncio.to_thread` are joined when the loop and the process end, so a hanging one would block the
    shutdown; a daemon thread does not.

    Args:
        work: Function to call.
        args: Its positional arguments.
        options: Its keyword arguments.

    Returns:
        The result of the call; an exception that it raises is raised here.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_Result] = loop.create_future()

    def resolve(set_outcome: Callable[[Any], None], outcome: object) -> None:
        if not future.done():
            set_outcome(outcome)

    def run() -> None:
        set_outcome: Callable[[Any], None]
        outcome: object
        try:
            set_outcome, outcome = future.set_result, work(*args, **options)
        # Any exception, also SystemExit, belongs to the caller that awaits the result; it would otherwise wait forever.
        except BaseException as error:
            set_outcome, outcome = future.set_exception, error
        # The loop is closed: nothing awaits the result any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(resolve, set_outcome, outcome)

    threading.Thread(target=run, name=getattr(work, "__name__", "work"), daemon=True).start()
    return await future
