"""The service in real processes: complete logs, summed metrics, TLS, and reloads under load without failed requests."""

import collections
import contextlib
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import psutil
import pytest

from cryptoliq_assets.serving.gateway.auth import generate_key
from cryptoliq_assets_tests.support import services
from cryptoliq_assets_tests.support.services import (
    BODY,
    COMMAND,
    Served,
    environment,
    lines_of,
    promote_again,
    serving,
    shown_versions,
)


@pytest.fixture
def home(trained_home, tmp_path) -> Path:
    return trained_home.copy_to(tmp_path / "home")


class Clients:
    """Threads that send requests continuously, each over its own connection, and record the responses."""

    def __init__(self, url: str, *, count: int = 8) -> None:
        self.answers: list[tuple[int, str]] = []
        self.failures: list[str] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(url,)) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _ask(self, url: str) -> None:
        with httpx.Client(base_url=url, timeout=30) as client:
            while not self._stop.is_set():
                try:
                    answer = client.post("/predict", json=BODY)
                except httpx.HTTPError as error:
                    self.failures.append(repr(error))
                    continue
                version = answer.json().get("model_version", answer.text)
                self.answers.append((answer.status_code, version))

    def wait_for(self, version: str, *, answers: int = 50, seconds: float = 30.0) -> None:
        """Wait until this version has given so many more responses."""
        since, start = time.monotonic(), len(self.answers)
        while sum(said == version for _, said in self.answers[start:]) < answers:
            assert time.monotonic() - since < seconds, collections.Counter(self.answers)
            time.sleep(0.05)

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)


@pytest.mark.parametrize("workers", [1, 2])
def test_reloads_under_load_drop_no_request(home, workers):
    # There are no periodic reloads: SIGHUP has to trigger them.
    with serving(home, api__workers=workers, api__reload_interval_seconds=1000, folds=2) as served:
        pids = {process.pid for process in served.workers()}
        # The service is ready with its first worker: another one that loads after the promotion would not need the signal.
        served.wait_for_loads(workers)
        clients = Clients(served.url)
        try:
            first, second = shown_versions(home, *promote_again(home))
            clients.wait_for(first)
            assert {version for _, version in clients.answers} == {first}
            served.process.send_signal(signal.SIGHUP)
            clients.wait_for(second)
            # All workers must load it: one that reloads only after the rollback would find no change.
            served.wait_for_loads(2 * workers)
            back = subprocess.run(
                [*COMMAND, "models", "rollback"], env=environment(home), capture_output=True, text=True, check=False
            )
            assert back.returncode == 0, back.stdout + back.stderr
            clients.wait_for(second, answers=5)
            for _ in range(3):
                served.process.send_signal(signal.SIGHUP)
                time.sleep(0.3)
            clients.wait_for(first)
            loads = served.wait_for_loads(3 * workers)
        finally:
            clients.end()
        counts = collections.Counter(clients.answers)
        assert clients.failures == []
        assert set(counts) == {(200, first), (200, second)}
        assert min(counts.values()) >= 50
        # No worker was restarted.
        assert {process.pid for process in served.workers()} == pids
        assert sorted(loads) == sorted([first, second, first] * workers)


def test_a_new_champion_is_loaded_without_a_signal(home):
    with serving(home, api__reload_interval_seconds=0.2) as served:
        _, second = shown_versions(home, *promote_again(home))
        clients = Clients(served.url, count=2)
        try:
            clients.wait_for(second)
        finally:
            clients.end()
        assert clients.failures == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_clean_stop_exits_with_0_and_refuses_connections(home, workers):
    with (
        serving(home, api__workers=workers, api__request_timeout_seconds=5) as served,
        contextlib.ExitStack() as open_still,
    ):
        # Incomplete requests: the stop waits for them. The kernel assigns them to workers.
        for _ in range(6):
            wire = open_still.enter_context(socket.create_connection(("127.0.0.1", served.port)))
            wire.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        time.sleep(0.5)
        served.process.send_signal(signal.SIGTERM)
        # On a busy machine it takes a while until the last process has closed its socket.
        until = time.monotonic() + 4
        while is_taken(served.port) and time.monotonic() < until:
            time.sleep(0.1)
        assert not is_taken(served.port)
        assert served.process.is_running()
        assert served.process.wait(40) == 0


def is_taken(port: int) -> bool:
    """Return whether a process listens on the port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_workers_end_when_their_supervisor_is_killed(home):
    with serving(home, api__workers=2) as served:
        workers = served.workers()
        assert len(workers) == 2
        served.process.kill()
        _, alive = psutil.wait_procs(workers, timeout=15)
        assert alive == []
        assert len(served.app_log("stopped")) == 2


@pytest.mark.parametrize("workers", [1, 2])
def test_a_clean_stop_loses_no_log_line(home, workers):
    with serving(home, api__workers=workers, logs__max_file_mib=0.1) as served:
        clients = Clients(served.url)
        time.sleep(1.5)
        clients.end()
        served.end()
        answered = len(clients.answers)
        assert (answered > 200, clients.failures) == (True, [])
        noted, result = served.predictions(), served.app_log("prediction")
        assert len(noted) == answered
        # Six files of 0.1 MiB contain all lines, or the newest ones.
        assert len(list((home / "logs").glob("app.log*"))) >= 2
        assert 0 < len(result) <= answered
        line = noted[0]
        assert set(line) == {"at", "event", "mode", "inputs", "output", "version", "seconds"}
        assert (line["mode"], line["inputs"]["24h"], line["inputs"]["coin"]) == ("single", -1.5, "Bitcoin")
        assert line["output"]["model_version"] == line["version"]
        assert 0 < line["seconds"] < 5
        assert len(served.app_log("stopped")) == workers


def test_a_killed_service_loses_at_most_one_second_of_logs(home):
    with serving(home) as served:
        moments = []
        with httpx.Client(base_url=served.url) as client:
            until = time.time() + 3
            while time.time() < until:
                assert client.post("/predict", json=BODY).status_code == 200
                moments.append(time.time())
        killed = time.time()
        served.end(signal.SIGKILL)
        safe = sum(moment < killed - 1.0 for moment in moments)
        assert safe > 100
        assert len(served.predictions()) >= safe


def test_json_batches_are_logged_by_row_and_csv_in_blocks(home):
    with serving(home) as served:
        httpx.post(f"{served.url}/predict/batch", json={"rows": [BODY, {**BODY, "coin": "New"}]}).raise_for_status()
        csv = b"coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date\nBitcoin,BTC,1,1,1,1,1,1,2025-07-31\n"
        answer = httpx.post(f"{served.url}/predict/batch", content=csv, headers={"Content-Type": "text/csv"})
        answer.raise_for_status()
        served.end()
        noted = served.predictions()
        assert [line["mode"] for line in noted] == ["batch", "batch", "csv"]
        assert noted[2]["csv"].encode() == answer.content
        assert noted[2]["version"] == noted[0]["version"]
        result = served.app_log("prediction")
        assert [line["mode"] for line in result] == ["batch", "batch", "csv"]
        assert (result[2]["rows"], sum(result[2]["by_basis"].values())) == (1, 1)


# Metrics.


def totals(url: str) -> dict[str, float]:
    text = httpx.get(f"{url}/metrics").text
    return {name: float(value) for name, value in re.findall(r"^(\w+(?:\{.*\})?) ([0-9.e+-]+)$", text, re.MULTILINE)}


def test_a_scrape_of_any_worker_returns_the_sum(home):
    with serving(home, api__workers=2) as served:
        clients = Clients(served.url)
        time.sleep(1.5)
        clients.end()
        expected = len(clients.answers)
        # A request is counted after its response.
        time.sleep(0.2)
        for _ in range(6):
            found = totals(served.url)
            assert found['cryptoliq_requests_total{path="/predict",status="200"}'] == expected
            assert found['cryptoliq_predictions_total{basis="history",mode="single"}'] == expected
            assert found['cryptoliq_request_seconds_count{path="/predict"}'] == expected
            assert found["cryptoliq_newest_snapshot_timestamp_seconds"] == 1753920000
            assert found["cryptoliq_log_lines_dropped"] == 0


# TLS and keys.


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


def test_with_a_certificate_the_service_accepts_only_tls(home, certificate):
    cert, key = certificate
    secret, digest = generate_key()
    with serving(home, scheme="https", api__tls_cert=cert, api__tls_key=key, api__keys=digest) as served:
        trust = ssl.create_default_context(cafile=str(cert))
        with httpx.Client(base_url=served.url, verify=trust) as client:
            answer = client.post("/predict", json=BODY, headers={"Authorization": f"Bearer {secret}"})
            assert answer.status_code == 200
            assert answer.headers["strict-transport-security"] == "max-age=31536000"
            assert client.post("/predict", json=BODY).status_code == 401
            assert client.get("/model", headers={"X-API-Key": f"{secret}x"}).status_code == 403
            metrics = client.get("/metrics", headers={"X-API-Key": secret}).text
        with pytest.raises(httpx.TransportError):
            httpx.get(served.url.replace("https", "http") + "/healthz")
        with pytest.raises(httpx.ConnectError, match="certificate"):
            httpx.get(f"{served.url}/healthz")
        served.end()
        written = [path.read_text() for path in (home / "logs").rglob("*") if path.is_file()]
        written += [path.read_text() for path in (home / "data" / "predictions").glob("*")]
        said = "".join([*written, metrics, served.errors.read_text()])
        assert secret not in said
        assert digest not in said


def test_a_service_that_cannot_bind_states_why_and_ends(home):
    with serving(home) as served:
        run = subprocess.run(
            [*COMMAND, "serve", "--port", str(served.port)],
            env=environment(home),
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 1
        assert "address already in use" in run.stderr
        assert "Traceback" not in run.stderr


def test_a_service_is_not_ready_until_a_champion_exists(trained_home, home):
    models = home / "models"
    aside = models.rename(home / "aside")
    served = Served(home, api__reload_interval_seconds=0.2)
    try:
        for _ in range(300):
            try:
                answer = httpx.get(f"{served.url}/readyz")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        assert answer.status_code == 503
        assert "cryptoliq materialize" in answer.json()["detail"]
        refused = httpx.post(f"{served.url}/predict", json=BODY)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "10")
        assert httpx.get(f"{served.url}/healthz").status_code == 200
        if models.exists():
            models.rmdir()
        aside.rename(models)
        served.wait_until_ready(seconds=20)
        assert httpx.post(f"{served.url}/predict", json=BODY).status_code == 200
        assert len(lines_of([home / "logs" / "app.log"])) >= 1
    finally:
        served.end()


_HANGING = """
import threading
from cryptoliq_assets.serving import predictor
load, loads = predictor.Predictor.refresh, []
def refresh(self):
    loads.append(1)
    return load(self) if len(loads) == 1 else threading.Event().wait()
predictor.Predictor.refresh = refresh
from cryptoliq_assets.cli.main import main
main()
"""


def test_a_service_with_a_hanging_thread_can_be_stopped(home, monkeypatch):
    monkeypatch.setattr(services, "COMMAND", [sys.executable, "-c", _HANGING])
    served = services.Served(home, api__reload_interval_seconds=1)
    try:
        served.wait_until_ready()
        time.sleep(1.5)
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(15) == 0
    finally:
        served.end(signal.SIGKILL)
