"""The service's record, day by day: data/predictions/*.jsonl and the events of logs/app.log, each line read once.

Between two runs of `prediction_metrics` the days stand in its report; within a process also here, so that a sensor which
looks every half minute reads what was written in that half minute.
"""

import datetime as dt
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

from cryptoliq_assets.core import FileOffset, Settings, parse_line, read_json_object, read_new_lines, to_unix_seconds
from cryptoliq_assets.monitoring.service.prediction_stats import DailyPredictionStats

PREDICTION_REPORT = "prediction_metrics.json"
# Days that the report holds; a day is a few hundred numbers.
KEPT_DAYS = 400
# Nearly all lines of the log; they are in the record of predictions as well.
_PASSED_OVER = b'"event":"prediction"'
_PREDICT = "/predict"


@dataclass
class _LogFile:
    """What one file of the log came to so far: by day, failed requests by hour, exceptions and problems."""

    mark: FileOffset = field(default_factory=FileOffset)
    failed: dict[str, list[int]] = field(default_factory=dict)
    exceptions: dict[str, int] = field(default_factory=dict)
    problems: dict[str, int] = field(default_factory=dict)


_DAYS: dict[Path, dict[str, DailyPredictionStats]] = {}
_LOGS: dict[Path, dict[str, _LogFile]] = {}


def read_daily_stats(settings: Settings, *, now: dt.datetime) -> dict[str, DailyPredictionStats]:
    """Each day that there is anything of, rising, as of `now`; reads what is new since the last look.

    Of a day whose file is gone by now what was read of it stays. Lines of the log that were turned over five files ago are
    gone too: a day's failures are then the most that were ever seen of it.
    """
    known = _DAYS.get(settings.home_dir) or _stored(settings)
    days = {day: deepcopy(tally) for day, tally in known.items()}
    today = now.date().isoformat()
    for path in sorted(settings.predictions_dir.glob("????-??-??.jsonl")):
        tally = days.get(path.stem) or DailyPredictionStats(path.stem)
        days[path.stem] = _read_day(path, tally, ended=path.stem < today)
    _add_log(settings, days)
    kept = dict(sorted(days.items())[-KEPT_DAYS:])
    _DAYS[settings.home_dir] = kept
    return kept


def _read_day(path: Path, tally: DailyPredictionStats, *, ended: bool) -> DailyPredictionStats:
    mark = FileOffset(tally.head, tally.offset)
    if not mark.matches(path):
        # Another file of that name: what was counted was of the one before.
        mark, tally = FileOffset(), DailyPredictionStats(path.stem)
    for line, behind in read_new_lines(path, mark, ended=ended):
        tally.add(parse_line(line))
        tally.head, tally.offset = behind.head, behind.offset
    return tally


def _add_log(settings: Settings, days: dict[str, DailyPredictionStats]) -> None:
    before = _LOGS.get(settings.home_dir, {})
    files: dict[str, _LogFile] = {}
    for path in settings.logs_dir.glob("app.log*"):
        try:
            found = next((file for file in before.values() if file.mark.matches(path)), None)
            file = _read_log(path, deepcopy(found) if found else _LogFile())
        except FileNotFoundError:
            # Turned over between the look and the reading; the next look has it under its next name.
            continue
        files[file.mark.head] = file
    _LOGS[settings.home_dir] = files
    for day in sorted({day for file in files.values() for day in (*file.failed, *file.exceptions, *file.problems)}):
        tally = days.setdefault(day, DailyPredictionStats(day))
        failed = [sum(hour) for hour in zip(*(file.failed.get(day, [0] * 24) for file in files.values()), strict=True)]
        tally.failed = [max(pair) for pair in zip(tally.failed, failed, strict=True)]
        tally.exceptions = max(tally.exceptions, sum(file.exceptions.get(day, 0) for file in files.values()))
        tally.problems = max(tally.problems, sum(file.problems.get(day, 0) for file in files.values()))


def _read_log(path: Path, file: _LogFile) -> _LogFile:
    for line, behind in read_new_lines(path, file.mark):
        file.mark = behind
        if _PASSED_OVER in line:
            continue
        told = parse_line(line) or {}
        event = told.get("event")
        try:
            at = to_unix_seconds(told.get("at"))
        except (TypeError, ValueError):
            continue
        if not 0 <= at < 4e9:
            continue
        moment = dt.datetime.fromtimestamp(at, dt.UTC)
        day = moment.date().isoformat()
        if event == "failed" and str(told.get("path", "")).startswith(_PREDICT):
            file.failed.setdefault(day, [0] * 24)[moment.hour] += 1
        elif event == "exception":
            file.exceptions[day] = file.exceptions.get(day, 0) + 1
        elif event == "problem":
            file.problems[day] = file.problems.get(day, 0) + 1
    return file


def _stored(settings: Settings) -> dict[str, DailyPredictionStats]:
    """The days in the report; none where there is no report, or one of another version or damaged: all that there is of
    the record is then read again."""
    try:
        report = read_json_object(settings.reports_dir / PREDICTION_REPORT)
        return {day["day"]: DailyPredictionStats.from_dict(day) for day in report["tallies"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ArithmeticError):
        return {}
