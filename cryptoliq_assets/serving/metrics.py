"""Prometheus metrics of the service, summed over its workers.

If PROMETHEUS_MULTIPROC_DIR is set (`cryptoliq serve` sets it for several workers), each process stores its values in files of
that folder, and a scrape of any worker returns the sums. Figures of the monitoring reports belong in `api.monitor_metrics`.
"""

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """Metrics of one process."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._requests = Counter("cryptoliq_requests", "Completed requests.", ["path", "status"], registry=registry)
        self._seconds = Histogram(
            "cryptoliq_request_seconds", "Request duration in seconds.", ["path"], buckets=_SECONDS, registry=registry
        )
        self._predictions = Counter("cryptoliq_predictions", "Predictions.", ["mode", "basis"], registry=registry)
        self._out_of_range = Counter(
            "cryptoliq_predictions_out_of_range",
            "Predictions with a field outside its training range.",
            registry=registry,
        )
        self._reloads = Counter("cryptoliq_reloads", "Loads of a champion or a history.", registry=registry)
        self._promoted_at = Gauge(
            "cryptoliq_model_promoted_timestamp_seconds",
            "Time of the champion's promotion.",
            multiprocess_mode="mostrecent",
            registry=registry,
        )
        self._newest_snapshot_at = Gauge(
            "cryptoliq_newest_snapshot_timestamp_seconds",
            "Date of the newest snapshot.",
            multiprocess_mode="mostrecent",
            registry=registry,
        )
        self._dropped = Gauge(
            "cryptoliq_log_lines_dropped",
            "Log lines dropped because they could not be written.",
            multiprocess_mode="sum",
            registry=registry,
        )
        self._request_metrics: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._prediction_metrics: dict[tuple[str, str], Counter] = {}

    def count_request(self, path: str, status: int, seconds: float) -> None:
        """Count one request.

        Args:
            path: Template of the route, so that there are few labels.
            status: HTTP status.
            seconds: Duration.
        """
        metrics = self._request_metrics.get((path, status))
        if metrics is None:
            metrics = (self._requests.labels(path, str(status)), self._seconds.labels(path))
            self._request_metrics[path, status] = metrics
        metrics[0].inc()
        metrics[1].observe(seconds)

    def count_predictions(self, mode: str, basis: str, *, count: int = 1, out_of_range: int = 0) -> None:
        """Count predictions.

        Args:
            mode: single, batch or csv.
            basis: Inputs used: history or snapshot.
            count: Number of predictions.
            out_of_range: How many of them have a field outside its training range.
        """
        counter = self._prediction_metrics.get((mode, basis))
        if counter is None:
            counter = self._prediction_metrics[mode, basis] = self._predictions.labels(mode, basis)
        counter.inc(count)
        if out_of_range:
            self._out_of_range.inc(out_of_range)

    def record_load(self, *, promoted_at: float, newest_snapshot_at: float) -> None:
        """Count a load of a champion or a history.

        Args:
            promoted_at: Promotion of the champion, in seconds since 1970.
            newest_snapshot_at: Date of the newest snapshot, likewise.
        """
        self._reloads.inc()
        self._promoted_at.set(promoted_at)
        self._newest_snapshot_at.set(newest_snapshot_at)

    def set_dropped_lines(self, lines: int) -> None:
        """Set the number of log lines that this process has dropped since its start."""
        self._dropped.set(lines)

    def render(self) -> bytes:
        """Return the response to a scrape, in Prometheus' text format."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self.registry)
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        return generate_latest(registry)
