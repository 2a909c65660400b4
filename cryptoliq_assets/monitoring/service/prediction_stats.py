"""What a day of the service's record comes to: sums and counts that grow with each line, so that nothing is read twice.

Latency is kept as a histogram of buckets 5 % wide: its quantiles are right to 2.5 %, in a few hundred numbers at most.
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
# Entry points: the service, whose lines name none, and the others.
API, APP, COMMAND, FORECASTS = "api", "app", "command", "forecasts"
SOURCES = (APP, COMMAND, FORECASTS)
# Scores lie within, but for a few: liquidity_score is not clipped.
LOWEST, HIGHEST, STEP = -0.6, 1.2, 0.1
BINS = 2 + round((HIGHEST - LOWEST) / STEP)
_WIDTH = math.log(1.05)
_HOURS = 24


def bin_names() -> list[str]:
    """Names of the histogram's bins, rising; the outer two are open."""
    edges = [f"{LOWEST + STEP * place:.1f}" for place in range(BINS - 1)]
    edges = [edge.replace("-0.0", "0.0") for edge in edges]
    inner = [f"score_{low}_to_{high}" for low, high in pairwise(edges)]
    return [f"score_below_{edges[0]}", *inner, f"score_from_{edges[-1]}"]


@dataclass
class DailyPredictionStats:
    """One UTC day of predictions.

    head, offset: how far its file was read; predictions: rows by mode; hours: rows by hour; answered, failed: requests to
    predict by hour that were answered, and that ended with a status of 500 or more; refused: rows of CSVs that were;
    judged, out_of_range: rows whose fields were looked at, and those with one outside what was trained on; seconds: single
    requests by bucket of their time; foreign: lines that are no prediction; elsewhere: hours, score_sum and last_at of each
    other entry point. Scores and `refused` are of all entry points, everything else is the service's alone.
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

    def add(self, line: Mapping[str, Any] | None) -> None:
        """Count one line of data/predictions/<day>.jsonl; one that is torn or of something else counts as foreign."""
        try:
            self._add(line or {})
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError, csv.Error):
            self.foreign += 1

    def _begins(self) -> float:
        """Seconds since 1970 at which the day begins."""
        return dt.datetime.combine(dt.date.fromisoformat(self.day), dt.time(), dt.UTC).timestamp()

    def hours_of(self, source: str) -> list[int]:
        """Predictions by hour, of the service or of another entry point."""
        return self.hours if source == API else self.elsewhere.get(source, {}).get("hours", [0] * _HOURS)

    def last_of(self, source: str) -> float | None:
        """When an entry point predicted last."""
        return self.last_at if source == API else self.elsewhere.get(source, {}).get("last_at")

    def mean_score(self) -> float | None:
        return self.score_sum / self.scored if self.scored else None

    def quantile(self, share: float) -> float | None:
        """Seconds within which this share of single requests was answered; None while there is none."""
        counts = sorted((int(bucket), count) for bucket, count in self.seconds.items())
        wanted, seen = share * sum(count for _, count in counts), 0
        for bucket, count in counts:
            seen += count
            if seen >= wanted:
                return math.exp((bucket + 0.5) * _WIDTH)
        return None

    def figures(self) -> dict[str, Any]:
        """What a person reads of the day; None where nothing is known."""
        answered, failed = sum(self.answered), sum(self.failed)
        latency = {f"seconds_p{round(share * 100)}": self.quantile(share) for share in (0.5, 0.9, 0.99)}
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
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "DailyPredictionStats":
        """Back from a report. Raises TypeError, ValueError, KeyError or ArithmeticError for what is no tally."""
        made = cls(**value)
        made = _TALLY.validate_python(asdict(made))
        hourly = [made.hours, made.answered, made.failed, *(made.hours_of(name) for name in made.elsewhere)]
        if any(len(hours) != _HOURS for hours in hourly) or len(made.histogram) != BINS:
            raise ValueError(f"{made.day}: expected {_HOURS} hours and {BINS} bins")
        if not math.isfinite(made.score_sum):
            raise ValueError(f"{made.day}: score_sum is {made.score_sum}")
        made.figures()
        return made

    def _mean_elsewhere(self, source: str) -> float | None:
        count = sum(self.hours_of(source))
        return self.elsewhere[source]["score_sum"] / count if count else None

    def _add_elsewhere(self, line: Mapping[str, Any], *, at: float, hour: int) -> None:
        source, rows, refused = line["source"], int(line["rows"]), int(line["refused"])
        histogram, total = [int(count) for count in line["histogram"]], float(line["score_sum"])
        if source not in SOURCES or len(histogram) != BINS or sum(histogram) != rows or min(histogram) < 0:
            raise ValueError(f"{source!r}: scores that do not add up")
        if not math.isfinite(total) or refused < 0:
            raise ValueError(f"{source!r}: sums that cannot be")
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
        # A line is written within a tenth of a second: what came last before midnight may stand in the next day's file.
        hour = int(at // 3600 % _HOURS) if at >= self._begins() else 0
        if line["event"] != "prediction" or not math.isfinite(at):
            raise ValueError(f"{line['event']} is no prediction")
        if "source" in line:
            self._add_elsewhere(line, at=at, hour=hour)
            return
        if mode not in self.predictions:
            raise ValueError(f"{mode} is no mode of the service")
        if mode == CSV:
            scores, refused = _scores_in(line["csv"])
            rows, outside, judged = len(scores), 0, 0
            self.refused += refused
        else:
            scores, rows, judged = [float(line["output"]["liquidity_score"])], 1, 1
            outside = int(bool(line["output"]["flags"]["out_of_range"]))
        # The rows of a batch are of one moment: one request.
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


# The fields' types, for a tally that is read back.
_TALLY = TypeAdapter(DailyPredictionStats)


def score_histogram(scores: np.ndarray) -> list[int]:
    """How many of n scores lie in each of the bins."""
    places = np.floor((np.asarray(scores, dtype=float) - LOWEST) / STEP + 1e-9).astype(int) + 1
    return np.bincount(np.clip(places, 0, BINS - 1), minlength=BINS).tolist()


def _scores_in(text: str) -> tuple[list[float], int]:
    """Scores in a CSV of rows as they came with the forecast's columns, and how many rows have none: those were refused."""
    rows = csv.reader(io.StringIO(text))
    header = next(rows)
    # Behind what came: a column of that name may have come as well.
    place = len(header) - 1 - header[::-1].index("liquidity_score")
    cells = [row[place] for row in rows]
    scores = [float(cell) for cell in cells if cell]
    return scores, len(cells) - len(scores)
