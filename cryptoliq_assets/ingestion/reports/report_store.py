"""The reports of all versions of a file, none in the place of another.

`<file>.json` is of the version that was looked at last, accepted or refused; that of an earlier one lies under its
arrival, `<file>.<arrival>.json`. So the report of the version that counts is there whatever came after it.
"""

import os
from pathlib import Path
from typing import Any

from cryptoliq_assets.core import find_free_path, read_json_object


def report_path(folder: Path, name: str) -> Path:
    """Where the report of the newest version of a file lies."""
    return folder / f"{name}.json"


def archive_earlier_report(folder: Path, report: dict[str, Any]) -> None:
    """Make way for a report at its plain name: that of another version stays, under its arrival."""
    path = report_path(folder, report["file"])
    if not path.exists():
        return
    earlier = read_report(path)
    if any(earlier.get(key) != report[key] for key in ("arrival", "sha256")):
        os.replace(path, find_free_path(report_path(folder, f"{report['file']}.{earlier.get('arrival', 0)}")))


def find_report(folder: Path, name: str, arrival: int) -> dict[str, Any] | None:
    """The report of one version of a file; None where there is none."""
    return _find(folder, name, arrival)[1]


def find_report_path(folder: Path, name: str, arrival: int) -> Path | None:
    """Where the report of one version of a file lies; None where there is none."""
    return _find(folder, name, arrival)[0]


def _find(folder: Path, name: str, arrival: int) -> tuple[Path, dict[str, Any]] | tuple[None, None]:
    for path in (report_path(folder, name), report_path(folder, f"{name}.{arrival}")):
        report = read_report(path)
        if (report.get("file"), report.get("arrival")) == (name, arrival):
            return path, report
    return None, None


def read_report(path: Path) -> dict[str, Any]:
    """What a report says; nothing where it is absent or none."""
    try:
        return read_json_object(path)
    except OSError:
        return {}
