"""Daily statistics from the prediction log (data/predictions/*.jsonl) and from logs/app.log; each line is read once.

Between two runs of `prediction_metrics` the statistics are stored in its report, with Postgres in the database, and within a process also here, so that a sensor
reads only new lines. Add what is read from these files; statistics belong in `prediction_stats`.
"""

import datetime as dt
import json
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

from cryptoliq_assets.core import FileOffset, Settings, parse_line, read_json_object, read_new_lines, to_unix_seconds
from cryptoliq_assets.monitoring.reports import PREDICTION_REPORT
from cryptoliq_assets.monitoring.service.prediction_stats import DailyPredictionStats
from cryptoliq_assets.monitoring.service.shared_predictions import count_shared_days
from cryptoliq_assets.monitoring.service.stored_days import read_stored_days

# Days in the report; a day is a few hundred numbers.
STORED_DAYS = 400
# Nearly all lines of the log; the prediction log contains them as well.
_SKIPPED = b'"event":"prediction"'
_PREDICT = "/predict"


@dataclass
class _LogFile:
    """Statistics of one log file so far: by day, failed requests by hour, exceptions and problems."""

    offset: FileOffset = field(default_factory=FileOffset)
    failed: dict[str, list[int]] = field(default_factory=dict)
    exceptions: dict[str, int] = field(default_factory=dict)
    problems: dict[str, int] = field(default_factory=dict)


_DAYS: dict[Path, dict[str, DailyPredictionStats]] = {}
_LOGS: dict[Path, dict[str, _LogFile]] = {}


def read_daily_stats(
    settings: Settings, *, now: dt.datetime, complete: bool = False
) -> dict[str, DailyPredictionStats]:
    """Read the new lines and return the statistics of each day.

    The statistics of a day whose file no longer exists are retained. Log lines that were rotated away are lost as well, so the
    failures of a day are the maximum that was ever counted.

    Args:
        settings: Paths.
        now: UTC.
        complete: With predictions that machines share, whether to look for new ones of all days, not only of the last two.

    Returns:
        Statistics by ISO date, ascending.
    """
    previous = _DAYS.get(settings.home_dir) or _read_stored(settings)
    days = {day: deepcopy(stats) for day, stats in previous.items()}
    today = now.date().isoformat()
    if settings.shared_predictions_dir is not None:
        count_shared_days(settings, days, today=now.date(), complete=complete)
    else:
        for path in sorted(settings.predictions_dir.glob("????-??-??.jsonl")):
            stats = days.get(path.stem) or DailyPredictionStats(path.stem)
            days[path.stem] = _read_day(path, stats, ended=path.stem < today)
    _add_log(settings, days)
    newest = dict(sorted(days.items())[-STORED_DAYS:])
    _DAYS[settings.home_dir] = newest
    return newest


def _read_day(path: Path, stats: DailyPredictionStats, *, ended: bool) -> DailyPredictionStats:
    offset = FileOffset(stats.head, stats.offset)
    if not offset.matches(path):
        # Another file of that name replaced the counted one.
        offset, stats = FileOffset(), DailyPredictionStats(path.stem)
    for line, position in read_new_lines(path, offset, ended=ended):
        stats.add(parse_line(line))
        stats.head, stats.offset = position.head, position.offset
    return stats


def _add_log(settings: Settings, days: dict[str, DailyPredictionStats]) -> None:
    before = _LOGS.get(settings.home_dir, {})
    files: dict[str, _LogFile] = {}
    for path in settings.logs_dir.glob("app.log*"):
        try:
            known = next((file for file in before.values() if file.offset.matches(path)), None)
            file = _read_log(path, deepcopy(known) if known else _LogFile())
        except FileNotFoundError:
            # Rotated before it was read; the next evaluation reads it under its new name.
            continue
        files[file.offset.head] = file
    _LOGS[settings.home_dir] = files
    for day in sorted({day for file in files.values() for day in (*file.failed, *file.exceptions, *file.problems)}):
        stats = days.setdefault(day, DailyPredictionStats(day))
        failed = [sum(hour) for hour in zip(*(file.failed.get(day, [0] * 24) for file in files.values()), strict=True)]
        stats.failed = [max(pair) for pair in zip(stats.failed, failed, strict=True)]
        stats.exceptions = max(stats.exceptions, sum(file.exceptions.get(day, 0) for file in files.values()))
        stats.problems = max(stats.problems, sum(file.problems.get(day, 0) for file in files.values()))


def _read_log(path: Path, file: _LogFile) -> _LogFile:
    for line, position in read_new_lines(path, file.offset):
        file.offset = position
        if _SKIPPED in line:
            continue
        entry = parse_line(line) or {}
        event = entry.get("event")
        try:
            at = to_unix_seconds(entry.get("at"))
        except (TypeError, ValueError):
            continue
        if not 0 <= at < 4e9:
            continue
        moment = dt.datetime.fromtimestamp(at, dt.UTC)
        day = moment.date().isoformat()
        if event == "failed" and str(entry.get("path", "")).startswith(_PREDICT):
            file.failed.setdefault(day, [0] * 24)[moment.hour] += 1
        elif event == "exception":
            file.exceptions[day] = file.exceptions.get(day, 0) + 1
        elif event == "problem":
            file.problems[day] = file.problems.get(day, 0) + 1
    return file


def _read_stored(settings: Settings) -> dict[str, DailyPredictionStats]:
    """Return the days in the database or the report; none if absent, damaged or of another version, so all files are read again."""
    try:
        stored = read_stored_days(settings)
        if stored:
            return {day: DailyPredictionStats.from_dict(json.loads(stats)) for day, stats in sorted(stored.items())}
        report = read_json_object(settings.reports_dir / PREDICTION_REPORT)
        return {day["day"]: DailyPredictionStats.from_dict(day) for day in report["tallies"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError):
        return {}
