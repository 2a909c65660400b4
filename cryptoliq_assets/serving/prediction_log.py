"""The record of predictions made without the service: by the app on a home, by `cryptoliq predict`, by the daily forecasts.

One line each in logs/app.log and data/predictions/<day>.jsonl: entry point, mode, model, how many, their scores as sums and
histogram, and a sample of inputs and outputs. Model loads and exceptions with tracebacks go to logs/app.log. A line that
cannot be written is reported by a warning, and fails no prediction.
"""

import csv
import logging
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any

import numpy as np

from cryptoliq_assets.core import Settings, append_lines, daily_path_factory, encode_line, make_log_entry
from cryptoliq_assets.modeling import Champion
from cryptoliq_assets.monitoring.service import score_histogram

_LOG = logging.getLogger("cryptoliq.predictions")
SAMPLE_ROWS = 3


class PredictionLog:
    """What one entry point other than the service writes. source: one of `tally.SOURCES`; enabled: False where there is no
    home to write to."""

    def __init__(self, settings: Settings, source: str, *, enabled: bool = True) -> None:
        self._settings, self.source, self._enabled = settings, source, enabled
        self._loaded: str | None = None

    def record_model_load(self, champion: Champion) -> None:
        """Record that a model was loaded; the same one again is no news."""
        if champion.model_version != self._loaded:
            self._loaded = champion.model_version
            self._write("model_loaded", model=champion.model_name, version=champion.model_version)

    def record_predictions(
        self,
        mode: str,
        champion: Champion,
        scores: np.ndarray,
        *,
        sample: Sequence[Mapping[str, Any]],
        seconds: float,
        refused: int = 0,
    ) -> None:
        """Record n predictions (their scores) with a few of the inputs and outputs."""
        self._write(
            "prediction",
            record=True,
            mode=mode,
            model=champion.model_name,
            version=champion.model_version,
            rows=len(scores),
            refused=refused,
            score_sum=float(np.sum(scores)),
            histogram=score_histogram(scores),
            sample=list(sample[:SAMPLE_ROWS]),
            seconds=seconds,
        )

    def record_exception(self, error: BaseException, *, doing: str) -> None:
        """Record an exception with its traceback."""
        shown = "".join(traceback.format_exception(error))
        self._write("exception", doing=doing, error=f"{type(error).__name__}: {error}", traceback=shown)

    @contextmanager
    def record_exceptions(self, doing: str, *, expected: tuple[type[Exception], ...] = ()) -> Iterator[None]:
        """Record whatever exception leaves the block, but for the expected ones, which are about the input."""
        try:
            yield
        except expected:
            raise
        except Exception as error:
            self.record_exception(error, doing=doing)
            raise

    def _write(self, event: str, *, record: bool = False, **fields: Any) -> None:
        if not self._enabled:
            return
        line = encode_line(make_log_entry(event, source=self.source, **fields))
        if self._settings.logs.destination == "stdout":
            # The command's own output is on standard output.
            sys.stderr.buffer.write(line)
            return
        rotate = int(self._settings.logs.max_file_mib * 2**20)
        try:
            append_lines(self._settings.logs_dir / "app.log", line, rotate_bytes=rotate)
            if record:
                append_lines(daily_path_factory(self._settings.predictions_dir)(), line)
        except OSError as error:
            _LOG.warning("the log of predictions was not written: %s", error)


def sample_csv_rows(lines: Iterable[str], *, added: Sequence[str]) -> list[dict[str, Any]]:
    """The first rows of a CSV of forecasts as inputs and outputs; added: the columns that the forecast adds."""
    rows = islice(csv.DictReader(lines), SAMPLE_ROWS)
    return [
        {
            "inputs": {name: cell for name, cell in row.items() if name is not None and name not in added},
            "output": {name: row.get(name) for name in added},
        }
        for row in rows
    ]


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._began = time.perf_counter()

    def seconds(self) -> float:
        return time.perf_counter() - self._began
