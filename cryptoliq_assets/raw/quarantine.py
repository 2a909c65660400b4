"""Keeping the quarantine: refused files and refused rows of every version, none in the place of another."""

import json
import os
from pathlib import Path


def keep_earlier_rows(folder: Path, name: str, rows: bytes | None, *, report: Path) -> None:
    """Make way for the refused rows of a file's new version (None: it has none) at `<name>.refused_rows.csv`.

    Those of an earlier version stay, under its arrival, which its report still says: whoever looks for the rows that the
    file lost finds those of the version that counts, or none.
    """
    path = rows_path(folder, name)
    if path.exists() and (rows is None or path.read_bytes() != rows):
        os.replace(path, free_path(rows_path(folder, f"{name}.{_arrival_in(report)}")))


def rows_path(folder: Path, name: str) -> Path:
    """Where the refused rows of the newest version of a file lie."""
    return folder / f"{name}.refused_rows.csv"


def free_path(path: Path) -> Path:
    """The path, or one like it where something lies there already."""
    free, count = path, 1
    while free.exists():
        count += 1
        free = path.with_name(f"{path.stem}-{count}{path.suffix}")
    return free


def _arrival_in(report: Path) -> int:
    """The arrival that a validation report is about; 0 where nothing says it."""
    try:
        return int(json.loads(report.read_text(encoding="utf-8"))["arrival"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0
