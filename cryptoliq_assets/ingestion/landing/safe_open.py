"""Open files of the drop folder and the archive safely (`core/safe_open.py`), within the size limit of the settings."""

from cryptoliq_assets.core import Location, Settings, read_regular


def read_file(path: Location, settings: Settings) -> bytes:
    """Read a regular file within CRYPTOLIQ_INGESTION__MAX_FILE_MIB.

    Args:
        path: File to read.
        settings: Settings with the limit.

    Returns:
        The content.

    Raises:
        FileNotFoundError: The file does not exist.
        FileReadError: "not_a_file", "too_large" or "unreadable"; the message does not repeat the path.
    """
    return read_regular(path, int(settings.ingestion.max_file_mib * 2**20), limit=_limit(settings))


def is_too_large(size: int, settings: Settings) -> bool:
    """Return whether a file of `size` bytes exceeds the limit."""
    return size > settings.ingestion.max_file_mib * 2**20


def describe_too_large(size: int, settings: Settings) -> str:
    """Return the reason to reject a file of `size` bytes, with the setting to change."""
    return f"{size / 2**20:,.1f} MiB, more than {_limit(settings)}"


def _limit(settings: Settings) -> str:
    return f"the {settings.ingestion.max_file_mib:,.1f} MiB that CRYPTOLIQ_INGESTION__MAX_FILE_MIB allows"
