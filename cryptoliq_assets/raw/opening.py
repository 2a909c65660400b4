"""The one way to open a file that others put there: never more of it, and nothing else, than a regular file of fair size.

Between the look at a folder and the reading of a file anything may have taken its place: a link out of the home, a pipe
that never ends, a file that has grown. So what counts is what was opened, not what was listed.
"""

import os
import stat
from pathlib import Path

from cryptoliq_assets.settings import Settings

# Follows no link, waits for no writer of a pipe, is not handed to child processes.
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class UnreadError(Exception):
    """A file was left unread: `code` for machines, the message for people; `size` in bytes, 0 where that tells nothing."""

    def __init__(self, code: str, message: str, *, size: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.size = size


def read_file(path: Path, settings: Settings) -> bytes:
    """All bytes of a regular file within the size limit, of which never more than one byte too many is read.

    Raises FileNotFoundError where nothing lies there, UnreadError ("not_a_file", "too_large", "unreadable") for
    whatever else is not read.
    """
    try:
        # Before it is opened: to open a device can be a deed.
        _check_kind(path.lstat())
        handle = os.open(path, _FLAGS)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unreadable(error) from error
    try:
        status = os.fstat(handle)
        _check_kind(status)
        _check_size(status.st_size, settings)
        with os.fdopen(handle, "rb", closefd=False) as file:
            content = file.read(int(settings.max_file_mb * 2**20) + 1)
    except OSError as error:
        raise _unreadable(error) from error
    finally:
        os.close(handle)
    # It may grow while it is read.
    _check_size(len(content), settings)
    return content


def too_large(size: int, settings: Settings) -> bool:
    return size > settings.max_file_mb * 2**20


def too_large_reason(size: int, settings: Settings) -> str:
    return f"{size / 2**20:,.1f} MiB, more than the {settings.max_file_mb:,.1f} MiB that CRYPTOLIQ_MAX_FILE_MB allows"


def not_regular(mode: int) -> str | None:
    """Why a thing of this mode is no file to be read; None for a regular file."""
    if stat.S_ISREG(mode):
        return None
    return f"{_kind(mode)}, not a regular file; put the file itself there"


def _kind(mode: int) -> str:
    for test, name in (
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
    ):
        if test(mode):
            return name
    return "a device"


def _check_kind(status: os.stat_result) -> None:
    reason = not_regular(status.st_mode)
    if reason:
        raise UnreadError("not_a_file", reason)


def _check_size(size: int, settings: Settings) -> None:
    if too_large(size, settings):
        raise UnreadError("too_large", too_large_reason(size, settings), size=size)


def _unreadable(error: OSError) -> UnreadError:
    return UnreadError("unreadable", f"cannot be read: {error.strerror}")
