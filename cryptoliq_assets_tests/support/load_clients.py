"""Clients that put load on a service."""

import collections
import threading
import time

import httpx

from cryptoliq_assets_tests.support.services import BODY


class LoadClients:
    """Threads that send requests continuously, each over its own connection, and record the responses."""

    def __init__(self, url: str, *, count: int = 8) -> None:
        self.responses: list[tuple[int, str]] = []
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send_requests, args=(url,)) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _send_requests(self, url: str) -> None:
        with httpx.Client(base_url=url, timeout=30) as client:
            while not self._stop.is_set():
                try:
                    response = client.post("/predict", json=BODY)
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                    continue
                version = response.json().get("model_version", response.text)
                self.responses.append((response.status_code, version))

    def wait_for(self, version: str, *, responses: int = 50, seconds: float = 30.0) -> None:
        """Wait until this version has given so many more responses."""
        since, start = time.monotonic(), len(self.responses)
        while sum(served_version == version for _, served_version in self.responses[start:]) < responses:
            assert time.monotonic() - since < seconds, collections.Counter(self.responses)
            time.sleep(0.05)

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
