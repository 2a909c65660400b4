"""The service's metrics for Prometheus, right with several workers.

With PROMETHEUS_MULTIPROC_DIR set (`cryptoliq serve` sets it for more than one worker) each process keeps its numbers in
files of that folder, and a scrape of any of them adds all up.
"""

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """What one process counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own = {"registry": self.registry}
        self._requests = Counter("cryptoliq_requests", "Requests answered.", ["path", "status"], **own)
        self._seconds = Histogram("cryptoliq_request_seconds", "Time to answer.", ["path"], buckets=_SECONDS, **own)
        self._predictions = Counter("cryptoliq_predictions", "Predictions made.", ["mode", "basis"], **own)
        self._outside = Counter("cryptoliq_predictions_out_of_range", "Predictions with a field out of range.", **own)
        self._reloads = Counter("cryptoliq_reloads", "Times a champion or history was loaded.", **own)
        newest = {"multiprocess_mode": "mostrecent", **own}
        self._model = Gauge("cryptoliq_model_promoted_timestamp_seconds", "Promotion of the champion.", **newest)
        self._newest = Gauge("cryptoliq_newest_snapshot_timestamp_seconds", "Day of the newest snapshot.", **newest)
        whole = {"multiprocess_mode": "sum", **own}
        self._dropped = Gauge("cryptoliq_log_lines_dropped", "Log lines lost because no disk took them.", **whole)
        self._bound: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._bound_predictions: dict[tuple[str, str], Counter] = {}

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count one request; `path` is a route's template, so that there are few."""
        bound = self._bound.get((path, status))
        if bound is None:
            bound = self._bound[path, status] = (self._requests.labels(path, str(status)), self._seconds.labels(path))
        bound[0].inc()
        bound[1].observe(seconds)

    def predicted(self, mode: str, basis: str, *, count: int = 1, outside: int = 0) -> None:
        bound = self._bound_predictions.get((mode, basis))
        if bound is None:
            bound = self._bound_predictions[mode, basis] = self._predictions.labels(mode, basis)
        bound.inc(count)
        if outside:
            self._outside.inc(outside)

    def loaded(self, *, promoted: float, newest: float) -> None:
        """Count a load; both are seconds since 1970."""
        self._reloads.inc()
        self._model.set(promoted)
        self._newest.set(newest)

    def dropped(self, lines: int) -> None:
        """Lines that this process has lost so far."""
        self._dropped.set(lines)

    def text(self) -> bytes:
        """What a scrape gets."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self.registry)
        whole = CollectorRegistry()
        multiprocess.MultiProcessCollector(whole)
        return generate_latest(whole)
