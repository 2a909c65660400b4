"""reports/data_validation_report.json: what one command found in all files that it took in, however many runs it made.

Runs of one command carry the same id and extend the report; the first run of another command replaces it. For one file
its five keys are at the top level as well.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cryptoliq_assets.core import Settings, read_json_object, write_json
from cryptoliq_assets.ingestion.reports.file_report import count_rejections_by_reason

# Tag of a run that is part of a command with several.
COMMAND_TAG = "cryptoliq/command"
_BACKFILL_TAG = "dagster/backfill"
FILE_KEYS = ("file", "rows", "min_date", "max_date", "issues")
_ENTRY = (*FILE_KEYS, "accepted", "refusal", "rows_read", "rows_kept", "rows_refused", "arrival")
_GAPS = ("spans", "missing_days", "coins")


def get_command_id(tags: Mapping[str, str], run_id: str) -> str:
    """The id of the command that a run belongs to; a run that says none is a command of its own."""
    return tags.get(COMMAND_TAG) or tags.get(_BACKFILL_TAG) or run_id


def command_report_path(settings: Settings) -> Path:
    return settings.reports_dir / "data_validation_report.json"


def extend_command_report(
    path: Path,
    command: str,
    reports: Iterable[Mapping[str, Any]],
    *,
    unread: Mapping[str, str],
    gaps: Mapping[str, int],
) -> None:
    """Add a run's files (their reports), those it could not read, and the gaps in its months to the command's report."""
    before = _read(path, command)
    entries = {_key(entry): entry for entry in before.get("files", [])}
    for report in reports:
        entries.pop((report["file"], None), None)
        entry = {name: report.get(name) for name in _ENTRY}
        entries[_key(entry)] = entry
    for name, reason in unread.items():
        entries.setdefault((name, None), _unread(name, reason))
    counted = before.get("gaps", {})
    total = {name: counted.get(name, 0) + gaps.get(name, 0) for name in _GAPS}
    write_json(path, build_command_report(entries.values(), command=command, gaps=total))


def build_command_report(
    entries: Iterable[Mapping[str, Any]], *, command: str | None = None, gaps: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """The report of some files: the five keys of each under `files`, beside the summary; of one file at the top as well."""
    files = [dict(entry) for entry in entries]
    # A file that could not be read has no rejections.
    read = [entry for entry in files if entry["accepted"] is not None]
    return {
        **({name: files[0][name] for name in FILE_KEYS} if len(files) == 1 else {}),
        "files": files,
        "files_read": len(read),
        "files_accepted": sum(entry["accepted"] for entry in read),
        "files_refused": {entry["file"]: entry["refusal"] for entry in read if not entry["accepted"]},
        "files_unread": {entry["file"]: entry["refusal"] for entry in files if entry["accepted"] is None},
        "rows_read": sum(entry["rows_read"] for entry in read),
        "rows_kept": sum(entry["rows_kept"] for entry in read),
        "rows_refused": count_rejections_by_reason(read),
        **({"gaps": dict(gaps)} if gaps is not None else {}),
        **({"command": command} if command else {}),
    }


def summarize_file_report(report: Mapping[str, Any]) -> dict[str, Any]:
    """A file's part of the report."""
    return {name: report.get(name) for name in _ENTRY if name in report}


def _unread(name: str, reason: str) -> dict[str, Any]:
    entry = dict.fromkeys(_ENTRY) | {"file": name, "rows": 0, "issues": [reason], "refusal": reason}
    return entry | {"rows_read": 0, "rows_kept": 0, "rows_refused": {}}


def _key(entry: Mapping[str, Any]) -> tuple[str, int | None]:
    return str(entry["file"]), entry.get("arrival") if entry.get("accepted") is not None else None


def _read(path: Path, command: str) -> dict[str, Any]:
    """The report that lies there, where it is this command's."""
    try:
        found = read_json_object(path)
    except OSError:
        # Another command's, or harmed: it is replaced.
        return {}
    return found if found.get("command") == command else {}
