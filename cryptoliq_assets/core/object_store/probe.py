"""The test of a store: write, read and remove one object."""

import contextlib
import uuid
from typing import Any

from cryptoliq_assets.core.object_store.errors import StoreUnavailableError

# Below the location, not in the folder of a table.
_NAME = ".cryptoliq-test-"


def explain_unusable_store(location: Any, *, writable: bool) -> str | None:
    """Explain why a location in an object store cannot be used; None if it can.

    Args:
        location: Location in an object store. A writable one has one object more during the test.
        writable: Whether the location must be writable; otherwise it is only listed.

    Returns:
        What failed, in one sentence.
    """
    client, folder = location.fs, location.path.rstrip("/")
    if not writable:
        # A missing folder is one without models yet.
        with contextlib.suppress(FileNotFoundError):
            return _explain("list", location, lambda: client.ls(folder, detail=False))
        return None
    path, content = f"{folder}/{_NAME}{uuid.uuid4().hex}", uuid.uuid4().bytes
    try:
        return (
            _explain("write to", location, lambda: client.pipe_file(path, content))
            or _explain("read from", location, lambda: _compare(client.cat_file(path), content))
            or _explain("remove from", location, lambda: client.rm_file(path))
        )
    except FileNotFoundError as error:
        return f"cannot use {location}: it does not exist ({error})"


def _compare(found: bytes, written: bytes) -> None:
    if found != written:
        raise StoreUnavailableError("it returned other bytes than were written")


def _explain(action: str, location: Any, call: Any) -> str | None:
    try:
        call()
    except StoreUnavailableError as error:
        return f"cannot {action} {location}: {error}"
    return None
