"""Log of the predictions made outside the service: by the dashboard on a data directory, `cryptoliq predict`, and the daily forecasts.

Each prediction is one line in logs/app.log and in data/predictions/<day>.jsonl: entry point, mode, model, number of rows, scores
as sum and histogram, and a sample of inputs and outputs. Model loads and exceptions with tracebacks go to logs/app.log. A line that
cannot be written causes a warning and fails no prediction. The service's own log is in `api.state`.
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

from cryptoliq_assets.core import (
    Settings,
    StoreUnavailableError,
    append_lines,
    daily_path_factory,
    encode_line,
    make_log_entry,
)
from cryptoliq_assets.modeling import Champion
from cryptoliq_assets.monitoring.service import publish_predictions, score_histogram
from cryptoliq_assets.storage import ForeignTableError

_LOG = logging.getLogger("cryptoliq.predictions")
SAMPLE_ROWS = 3


class PredictionLog:
    """Log of one entry point other than the service.

    Args:
        settings: Settings of the data directory.
        source: Entry point, one of `monitoring.service.SOURCES`.
        enabled: False if there is no home to write to.
    """

    def __init__(self, settings: Settings, source: str, *, enabled: bool = True) -> None:
        self._settings, self.source, self._enabled = settings, source, enabled
        self._logged_version: str | None = None

    def record_model_load(self, champion: Champion) -> None:
        """Record that a model was loaded; repeated loads of the same version are recorded once."""
        if champion.model_version != self._logged_version:
            self._logged_version = champion.model_version
            self._write("model_loaded", model=champion.model_name, version=champion.model_version)

    def record_predictions(
        self,
        mode: str,
        champion: Champion,
        scores: np.ndarray,
        *,
        sample: Sequence[Mapping[str, Any]],
        seconds: float,
        rejected: int = 0,
    ) -> None:
        """Record predictions.

        Args:
            mode: single, csv or forecast.
            champion: Model that made them.
            scores: (n,) predicted scores.
            sample: Inputs and outputs; the first SAMPLE_ROWS are recorded.
            seconds: Time that they took.
            rejected: Number of rejected rows.
        """
        self._write(
            "prediction",
            record=True,
            mode=mode,
            model=champion.model_name,
            version=champion.model_version,
            rows=len(scores),
            refused=rejected,
            score_sum=float(np.sum(scores)),
            histogram=score_histogram(scores),
            sample=list(sample[:SAMPLE_ROWS]),
            seconds=seconds,
        )

    def record_exception(self, error: BaseException, *, doing: str) -> None:
        """Record an exception with its traceback.

        Args:
            error: The exception.
            doing: What failed.
        """
        text = "".join(traceback.format_exception(error))
        self._write("exception", doing=doing, error=f"{type(error).__name__}: {error}", traceback=text)

    @contextmanager
    def record_exceptions(self, doing: str, *, expected: tuple[type[Exception], ...] = ()) -> Iterator[None]:
        """Record the exception that leaves the block, and raise it again.

        Args:
            doing: What the block does.
            expected: Exceptions that are not recorded, because they concern the input.
        """
        try:
            yield
        except expected:
            raise
        # Every other exception is recorded and raised again.
        except Exception as error:
            self.record_exception(error, doing=doing)
            raise

    def _write(self, event: str, *, record: bool = False, **fields: Any) -> None:
        if not self._enabled:
            return
        line = encode_line(make_log_entry(event, source=self.source, **fields))
        if self._settings.logs.destination == "stdout":
            # Standard output contains the command's own output.
            sys.stderr.buffer.write(line)
            return
        rotate = int(self._settings.logs.max_file_mib * 2**20)
        try:
            append_lines(self._settings.logs_dir / "app.log", line, rotate_bytes=rotate)
            if record:
                append_lines(daily_path_factory(self._settings.predictions_dir)(), line)
        except OSError as error:
            _LOG.warning("the prediction log cannot be written: %s", error)
            return
        if record:
            self._publish()

    def _publish(self) -> None:
        try:
            publish_predictions(self._settings)
        except (OSError, StoreUnavailableError, ForeignTableError) as error:
            # The line is on this machine: the next process that predicts sends it.
            _LOG.warning("the prediction log cannot be sent to %s: %s", self._settings.shared_predictions_dir, error)


def sample_csv_rows(lines: Iterable[str], *, output_columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return the first rows of a CSV of forecasts as inputs and outputs.

    Args:
        lines: Lines of the CSV, with its header.
        output_columns: Columns that the forecast appends.

    Returns:
        Up to SAMPLE_ROWS dicts {"inputs", "output"}.

    Example:
        >>> sample_csv_rows(["price,liquidity_score", "1,0.5"], output_columns=["liquidity_score"])
        [{'inputs': {'price': '1'}, 'output': {'liquidity_score': '0.5'}}]
    """
    rows = islice(csv.DictReader(lines), SAMPLE_ROWS)
    return [
        {
            "inputs": {name: cell for name, cell in row.items() if name is not None and name not in output_columns},
            "output": {name: row.get(name) for name in output_columns},
        }
        for row in rows
    ]


class Stopwatch:
    """Measures the time since its creation."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    def seconds(self) -> float:
        """Return the seconds since the creation."""
        return time.perf_counter() - self._started
