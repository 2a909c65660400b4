"""Daily statistics of the prediction log: sums and counts that are updated per line, so that no line is read twice.

Latency is a histogram with buckets of 5 %, so quantiles are accurate to 2.5 % with a few hundred numbers. Add a statistic of a
day; its field names are stored, so they never change. Reading files belongs in `app_log`.
"""

import csv
import datetime as dt
import io
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from cryptoliq_assets.core import to_unix_seconds

SINGLE, BATCH, CSV = "single", "batch", "csv"
# Entry points: the service, whose lines do not contain one, and the others.
API, APP, COMMAND, FORECASTS = "api", "app", "command", "forecasts"
SOURCES = (APP, COMMAND, FORECASTS)
# Nearly all scores are within; liquidity_score is not clipped.
LOWEST, HIGHEST, STEP = -0.6, 1.2, 0.1
BINS = 2 + round((HIGHEST - LOWEST) / STEP)
_WIDTH = math.log(1.05)
_HOURS = 24


def bin_names() -> list[str]:
    """Return the names of the histogram bins, ascending; the outer two are open.

    Example:
        >>> bin_names()[1]
        'score_-0.6_to_-0.5'
    """
    edges = [f"{LOWEST + STEP * place:.1f}" for place in range(BINS - 1)]
    edges = [edge.replace("-0.0", "0.0") for edge in edges]
    inner = [f"score_{low}_to_{high}" for low, high in pairwise(edges)]
    return [f"score_below_{edges[0]}", *inner, f"score_from_{edges[-1]}"]


@dataclass
class DailyPredictionStats:
    """One UTC day of predictions.

    Scores and `refused` cover all entry points, everything else only the service.

    Attributes:
        day: ISO date.
        head: Prefix of the file, which identifies it.
        offset: Position up to which the file was read.
        predictions: Rows by mode.
        hours: Rows by hour.
        answered: Answered prediction requests by hour.
        failed: Prediction requests with a status of 500 or more, by hour.
        refused: Rejected CSV rows.
        judged: Rows whose fields were compared with the training range.
        out_of_range: Rows with a field outside it.
        seconds: Single requests by latency bucket.
        foreign: Malformed lines.
        elsewhere: hours, score_sum and last_at of each other entry point.
        read: Position up to which each file of the day was counted, of machines that share their predictions.
    """

    day: str
    head: str = ""
    offset: int = 0
    predictions: dict[str, int] = field(default_factory=lambda: dict.fromkeys((SINGLE, BATCH, CSV), 0))
    hours: list[int] = field(default_factory=lambda: [0] * _HOURS)
    answered: list[int] = field(default_factory=lambda: [0] * _HOURS)
    failed: list[int] = field(default_factory=lambda: [0] * _HOURS)
    exceptions: int = 0
    problems: int = 0
    refused: int = 0
    scored: int = 0
    score_sum: float = 0.0
    histogram: list[int] = field(default_factory=lambda: [0] * BINS)
    judged: int = 0
    out_of_range: int = 0
    seconds: dict[str, int] = field(default_factory=dict)
    foreign: int = 0
    last_at: float | None = None
    last_batch: float | None = None
    elsewhere: dict[str, dict[str, Any]] = field(default_factory=dict)
    read: dict[str, int] = field(default_factory=dict)

    def add(self, line: Mapping[str, Any] | None) -> None:
        """Count one line of data/predictions/<day>.jsonl, or count it as malformed."""
        try:
            self._add(line or {})
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, csv.Error):
            self.foreign += 1

    def _begins(self) -> float:
        """Return the Unix time at which the day begins."""
        return dt.datetime.combine(dt.date.fromisoformat(self.day), dt.time(), dt.UTC).timestamp()

    def hours_of(self, source: str) -> list[int]:
        """Return predictions by hour of an entry point."""
        return self.hours if source == API else self.elsewhere.get(source, {}).get("hours", [0] * _HOURS)

    def last_of(self, source: str) -> float | None:
        """Return the Unix time of the last prediction of an entry point."""
        return self.last_at if source == API else self.elsewhere.get(source, {}).get("last_at")

    def mean_score(self) -> float | None:
        """Return the mean forecast score of the day; None without one."""
        return self.score_sum / self.scored if self.scored else None

    def quantile(self, fraction: float) -> float | None:
        """Return the latency in seconds of a quantile of single requests; None without requests."""
        counts = sorted((int(bucket), count) for bucket, count in self.seconds.items())
        wanted, seen = fraction * sum(count for _, count in counts), 0
        for bucket, count in counts:
            seen += count
            if seen >= wanted:
                return math.exp((bucket + 0.5) * _WIDTH)
        return None

    def figures(self) -> dict[str, Any]:
        """Return the figures of the day for the report; None if unknown."""
        answered, failed = sum(self.answered), sum(self.failed)
        latency = {f"seconds_p{round(fraction * 100)}": self.quantile(fraction) for fraction in (0.5, 0.9, 0.99)}
        return {
            "day": self.day,
            "predictions": sum(self.predictions.values()) + sum(sum(self.hours_of(name)) for name in SOURCES),
            **self.predictions,
            **{name: sum(self.hours_of(name)) for name in SOURCES},
            "mean_score": self.mean_score(),
            **{f"mean_score_{name}": self._mean_elsewhere(name) for name in SOURCES},
            "share_out_of_range": self.out_of_range / self.judged if self.judged else None,
            "answered": answered,
            "failed": failed,
            "error_rate": failed / (answered + failed) if answered + failed else None,
            "exceptions": self.exceptions,
            "problems": self.problems,
            "refused": self.refused,
            **latency,
            "foreign_lines": self.foreign,
            **dict(zip(bin_names(), self.histogram, strict=True)),
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "DailyPredictionStats":
        """Restore a day from a report.

        Raises:
            TypeError: A field is missing, unknown or has the wrong type.
            ValueError: A value is invalid.
            KeyError: An entry point has no hours.
            ArithmeticError: A number is too large.
        """
        stats = cls(**value)
        stats = _ADAPTER.validate_python(asdict(stats))
        hourly = [stats.hours, stats.answered, stats.failed, *(stats.hours_of(name) for name in stats.elsewhere)]
        if any(len(hours) != _HOURS for hours in hourly) or len(stats.histogram) != BINS:
            raise ValueError(f"{stats.day}: expected {_HOURS} hours and {BINS} bins")
        if not math.isfinite(stats.score_sum):
            raise ValueError(f"{stats.day}: score_sum is {stats.score_sum}")
        stats.figures()
        return stats

    def _mean_elsewhere(self, source: str) -> float | None:
        count = sum(self.hours_of(source))
        return self.elsewhere[source]["score_sum"] / count if count else None

    def _add_elsewhere(self, line: Mapping[str, Any], *, at: float, hour: int) -> None:
        source, rows, refused = line["source"], int(line["rows"]), int(line["refused"])
        histogram, total = [int(count) for count in line["histogram"]], float(line["score_sum"])
        if source not in SOURCES or len(histogram) != BINS or sum(histogram) != rows or min(histogram) < 0:
            raise ValueError(f"{source!r}: scores do not add up")
        if not math.isfinite(total) or refused < 0:
            raise ValueError(f"{source!r}: sums are invalid")
        own = self.elsewhere.setdefault(source, {"hours": [0] * _HOURS, "score_sum": 0.0, "last_at": at})
        own["hours"][hour] += rows
        own["score_sum"] += total
        own["last_at"] = max(own["last_at"], at)
        self.histogram = [ours + theirs for ours, theirs in zip(self.histogram, histogram, strict=True)]
        self.scored += rows
        self.score_sum += total
        self.refused += refused

    def _add(self, line: Mapping[str, Any]) -> None:
        at, mode = to_unix_seconds(line["at"]), line["mode"]
        # A line is written within a tenth of a second: a request just before midnight may be in the file of the next day.
        hour = int(at // 3600 % _HOURS) if at >= self._begins() else 0
        if line["event"] != "prediction" or not math.isfinite(at):
            raise ValueError(f"{line['event']} is not a prediction")
        if "source" in line:
            self._add_elsewhere(line, at=at, hour=hour)
            return
        if mode not in self.predictions:
            raise ValueError(f"{mode} is not a mode of the service")
        if mode == CSV:
            scores, refused = _scores_in(line["csv"])
            rows, outside, judged = len(scores), 0, 0
            self.refused += refused
        else:
            scores, rows, judged = [float(line["output"]["liquidity_score"])], 1, 1
            outside = int(bool(line["output"]["flags"]["out_of_range"]))
        # The rows of a batch have the same time: one request.
        request = not (mode == BATCH and at == self.last_batch)
        if mode == SINGLE:
            bucket = str(math.floor(math.log(max(float(line["seconds"]), 1e-6)) / _WIDTH))
            self.seconds[bucket] = self.seconds.get(bucket, 0) + 1
        for score in scores:
            self.histogram[min(max(math.floor((score - LOWEST) / STEP + 1e-9) + 1, 0), BINS - 1)] += 1
        self.scored += len(scores)
        self.score_sum += math.fsum(scores)
        self.judged += judged
        self.out_of_range += outside
        self.predictions[mode] += rows
        self.hours[hour] += rows
        self.answered[hour] += request
        self.last_at = max(self.last_at or at, at)
        self.last_batch = at if mode == BATCH else self.last_batch


# Validates statistics that are read from a report.
_ADAPTER = TypeAdapter(DailyPredictionStats)


def score_histogram(scores: np.ndarray) -> list[int]:
    """Count scores per bin.

    Args:
        scores: (n,) liquidity scores.

    Returns:
        BINS counts, see `bin_names`.
    """
    places = np.floor((np.asarray(scores, dtype=float) - LOWEST) / STEP + 1e-9).astype(int) + 1
    return np.bincount(np.clip(places, 0, BINS - 1), minlength=BINS).tolist()


def _scores_in(text: str) -> tuple[list[float], int]:
    """Return the scores in a CSV of requests with forecast columns, and the number of rows without one, which were rejected."""
    rows = csv.reader(io.StringIO(text))
    header = next(rows)
    # The last column of that name: the request may contain one as well.
    place = len(header) - 1 - header[::-1].index("liquidity_score")
    cells = [row[place] for row in rows]
    scores = [float(cell) for cell in cells if cell]
    return scores, len(cells) - len(scores)
