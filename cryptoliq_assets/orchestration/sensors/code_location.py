"""Reload of the code location by a sensor, so that the UI and the daemon show the months of new data.

Both hold a snapshot of the partitions from when the definitions were loaded. A run loads the definitions again and needs none of this.
"""

import logging
import threading
from collections import deque
from itertools import pairwise
from typing import Any

import dagster as dg

from cryptoliq_assets.core import Settings
from cryptoliq_assets.orchestration import make_months_definition

_RELOAD_SECONDS = 120

# The partitions that this process has requested a reload for; a failed request is removed, so that the next tick repeats it.
_requested: set[dg.MonthlyPartitionsDefinition] = set()
# Why requests failed since the last tick: the log of the tick that made them has ended.
_failures: deque[str] = deque()


def reload_for_new_months(
    settings: Settings, loaded: dg.MonthlyPartitionsDefinition, log: logging.Logger
) -> str | None:
    """Reload the code location where the months with data are no longer those of the loaded definitions.

    The reload is the one of the button "Reload" in the UI: `dagster dev` and `dagster code-server start` replace the process
    that this function runs in, and both UI and daemon then read the new definitions. Runs in flight continue.

    Args:
        settings: Settings of the data directory.
        loaded: The partitions that the definitions of this process have.
        log: Logger of the sensor's tick.

    Returns:
        The new range of months, "2025-05 to 2025-07"; None where nothing has changed.
    """
    while _failures:
        log.warning(f"the code location was not reloaded, which is tried again: {_failures.popleft()}")
    months = make_months_definition(settings)
    if months == loaded:
        return None
    keys = months.get_partition_keys()
    new_range = f"{keys[0]} to {keys[-1]}"
    if months not in _requested:
        _requested.add(months)
        address = find_code_server()
        if address is None:
            log.info(f"partitions are now {new_range}: reload the definitions in the UI to see them")
        else:
            log.info(f"partitions are now {new_range}: reloading the code location")
            # After this tick: the server ends the process of the tick once the new one is up.
            threading.Thread(target=_request, args=(months, address), name="reload-code-location", daemon=True).start()
    return new_range


def find_code_server() -> dict[str, Any] | None:
    """Find the address of the code server (`dagster code-server start`) that runs this process; None where none does."""
    import psutil

    parent = psutil.Process().parent()
    command = parent.cmdline() if parent else []
    if "code-server" not in command:
        return None
    options = dict(pairwise(command))
    socket, port = options.get("--socket", options.get("-s")), options.get("--port", options.get("-p"))
    if socket:
        return {"socket": socket}
    return {"host": "localhost", "port": int(port)} if port else None


def _request(months: dg.MonthlyPartitionsDefinition, address: dict[str, Any]) -> None:
    try:
        _reload(address)
    except Exception as error:  # Whatever it was, the next tick logs it and requests the reload again.
        _failures.append(f"{type(error).__name__}: {error}")
        _requested.discard(months)


def _reload(address: dict[str, Any]) -> None:
    from dagster._grpc.client import DagsterGrpcClient

    DagsterGrpcClient(**address).reload_code(timeout=_RELOAD_SECONDS)
