"""reports/data_validation_report.json: the report of one command about all files that it ingested, in one or more runs.

Runs of one command have the same id and extend the report; the first run of another command replaces it. If the command
ingested a single file, the five keys of that file are at the top level too.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from cryptoliq_assets.core import Location, Settings, read_json_object, write_json
from cryptoliq_assets.ingestion.reports.file_report import count_rejections_by_reason

# Tag of a run that is one of several runs of a command.
COMMAND_TAG = ".dagster/cryptoliq_command"
# Its key on runs of earlier releases, which the UI showed.
_EARLIER_COMMAND_TAG = "cryptoliq/command"
_BACKFILL_TAG = "dagster/backfill"
FILE_KEYS = ("file", "rows", "min_date", "max_date", "issues")
_ENTRY_KEYS = (*FILE_KEYS, "accepted", "refusal", "rows_read", "rows_kept", "rows_refused", "arrival")
_GAP_KEYS = ("spans", "missing_days", "coins")


def get_command_id(tags: Mapping[str, str], run_id: str) -> str:
    """Return the id of the command that a run belongs to; a run without the tag is a command of its own.

    Args:
        tags: Tags of the run.
        run_id: Id of the run.

    Example:
        >>> get_command_id({COMMAND_TAG: "ingest-1"}, "run-1"), get_command_id({}, "run-1")
        ('ingest-1', 'run-1')
    """
    return tags.get(COMMAND_TAG) or tags.get(_EARLIER_COMMAND_TAG) or tags.get(_BACKFILL_TAG) or run_id


def command_report_path(settings: Settings) -> Location:
    """Return the path of the report of the latest command."""
    return settings.reports_dir / "data_validation_report.json"


def extend_command_report(
    path: Location,
    command: str,
    reports: Iterable[Mapping[str, Any]],
    *,
    unread: Mapping[str, str],
    gaps: Mapping[str, int],
) -> None:
    """Add the results of a run to the report of its command.

    Args:
        path: Path of the report.
        command: Id of the command.
        reports: Reports of the files that the run read.
        unread: Reason for each file that it could not read, by name.
        gaps: Number of gaps in its months.
    """
    before = _read_stored_report(path, command)
    entries = {_entry_key(entry): entry for entry in before.get("files", [])}
    for report in reports:
        entries.pop((report["file"], None), None)
        entry = {name: report.get(name) for name in _ENTRY_KEYS}
        entries[_entry_key(entry)] = entry
    for name, reason in unread.items():
        entries.setdefault((name, None), _make_unread_entry(name, reason))
    counted = before.get("gaps", {})
    total = {name: counted.get(name, 0) + gaps.get(name, 0) for name in _GAP_KEYS}
    write_json(path, build_command_report(entries.values(), command=command, gaps=total))


def build_command_report(
    entries: Iterable[Mapping[str, Any]], *, command: str | None = None, gaps: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """Build the report about several files.

    Args:
        entries: Entry of each file, from `summarize_file_report`.
        command: Id of the command, if the report is stored.
        gaps: Number of gaps, if known.

    Returns:
        The entries in `files` and their totals; for a single file its FILE_KEYS at the top level too.
    """
    files = [dict(entry) for entry in entries]
    # A file that could not be read is neither accepted nor rejected.
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
    """Return the entry of a file in the report of a command."""
    return {name: report.get(name) for name in _ENTRY_KEYS if name in report}


def _make_unread_entry(name: str, reason: str) -> dict[str, Any]:
    entry = dict.fromkeys(_ENTRY_KEYS) | {"file": name, "rows": 0, "issues": [reason], "refusal": reason}
    return entry | {"rows_read": 0, "rows_kept": 0, "rows_refused": {}}


def _entry_key(entry: Mapping[str, Any]) -> tuple[str, int | None]:
    return str(entry["file"]), entry.get("arrival") if entry.get("accepted") is not None else None


def _read_stored_report(path: Location, command: str) -> dict[str, Any]:
    """Return the stored report if it belongs to this command, else an empty one."""
    try:
        report = read_json_object(path)
    except OSError:
        # Missing or damaged: it is replaced.
        return {}
    return report if report.get("command") == command else {}
