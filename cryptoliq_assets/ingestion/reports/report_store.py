"""Storage of the validation reports of all versions of a file, without overwriting.

`<file>.json` is the report of the version that was validated last, accepted or rejected. An earlier one is stored with its
arrival, as `<file>.<arrival>.json`, so the report of the accepted version remains available after later versions.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cryptoliq_assets.core import Location, file_exists, find_free_path, is_remote, move_file, read_json_object

_READ_TOGETHER = 8


def report_path(folder: Location, name: str) -> Location:
    """Return the path of the report of the latest version of a file."""
    return folder / f"{name}.json"


def archive_earlier_report(folder: Location, report: dict[str, Any]) -> None:
    """Rename the stored report of another version of a file, so that `report` can be written to its path.

    Args:
        folder: Folder of the reports.
        report: The report that is about to be written.
    """
    path = report_path(folder, report["file"])
    if not file_exists(path):
        return
    earlier = read_report(path)
    if any(earlier.get(key) != report[key] for key in ("arrival", "sha256")):
        move_file(path, find_free_path(report_path(folder, f"{report['file']}.{earlier.get('arrival', 0)}")))


def find_report(folder: Location, name: str, arrival: int) -> dict[str, Any] | None:
    """Return the report of one version of a file, or None if it does not exist.

    Args:
        folder: Folder of the reports.
        name: Name of the file.
        arrival: Arrival number of the version.
    """
    return _find_version(folder, name, arrival)[1]


def find_reports(folder: Location, versions: Sequence[tuple[str, int]]) -> list[dict[str, Any] | None]:
    """Return the reports of several versions, in their order; from an object store several at the same time.

    Args:
        folder: Folder of the reports.
        versions: Name of the file and arrival number of each version.
    """
    if not is_remote(folder):
        return [find_report(folder, name, arrival) for name, arrival in versions]
    with ThreadPoolExecutor(_READ_TOGETHER) as pool:
        return list(pool.map(lambda version: find_report(folder, *version), versions))


def find_report_path(folder: Location, name: str, arrival: int) -> Location | None:
    """Return the path of the report of one version of a file, or None if it does not exist.

    Args:
        folder: Folder of the reports.
        name: Name of the file.
        arrival: Arrival number of the version.
    """
    return _find_version(folder, name, arrival)[0]


def _find_version(folder: Location, name: str, arrival: int) -> tuple[Location, dict[str, Any]] | tuple[None, None]:
    for path in (report_path(folder, name), report_path(folder, f"{name}.{arrival}")):
        report = read_report(path)
        if (report.get("file"), report.get("arrival")) == (name, arrival):
            return path, report
    return None, None


def read_report(path: Location) -> dict[str, Any]:
    """Read a report; empty if the file is missing or contains no report."""
    try:
        return read_json_object(path)
    except OSError:
        return {}
