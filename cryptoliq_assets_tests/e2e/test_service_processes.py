"""The service in real processes: clean stops, complete logs, summed metrics and TLS."""

import contextlib
import re
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

import httpx
import psutil
import pytest

from cryptoliq_assets.serving.gateway.auth import generate_key
from cryptoliq_assets_tests.support.load_clients import LoadClients
from cryptoliq_assets_tests.support.services import BODY, COMMAND, environment, serving


@pytest.mark.parametrize("workers", [1, 2])
def test_a_clean_stop_exits_with_0_and_refuses_connections(home, workers):
    with (
        serving(home, api__workers=workers, api__request_timeout_seconds=5) as served,
        contextlib.ExitStack() as open_connections,
    ):
        # Incomplete requests: the stop waits for them. The kernel assigns them to workers.
        for _ in range(6):
            connection = open_connections.enter_context(socket.create_connection(("127.0.0.1", served.port)))
            connection.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
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


def test_a_killed_service_keeps_logs_and_a_second_cannot_bind(home):
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
        moments = []
        with httpx.Client(base_url=served.url) as client:
            while sum(moment < time.time() - 1.0 for moment in moments) <= 100:
                assert client.post("/predict", json=BODY).status_code == 200
                moments.append(time.time())
        killed = time.time()
        served.end(signal.SIGKILL)
        # A killed service loses at most one second of logs.
        safe = sum(moment < killed - 1.0 for moment in moments)
        assert len(served.predictions()) >= safe


def test_json_batches_are_logged_by_row_and_csv_in_blocks(home):
    with serving(home) as served:
        httpx.post(f"{served.url}/predict/batch", json={"rows": [BODY, {**BODY, "coin": "New"}]}).raise_for_status()
        csv = b"coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date\nBitcoin,BTC,1,1,1,1,1,1,2025-07-31\n"
        response = httpx.post(f"{served.url}/predict/batch", content=csv, headers={"Content-Type": "text/csv"})
        response.raise_for_status()
        served.end()
        predictions = served.predictions()
        assert [line["mode"] for line in predictions] == ["batch", "batch", "csv"]
        assert predictions[2]["csv"].encode() == response.content
        assert predictions[2]["version"] == predictions[0]["version"]
        logged = served.app_log("prediction")
        assert [line["mode"] for line in logged] == ["batch", "batch", "csv"]
        assert (logged[2]["rows"], sum(logged[2]["by_basis"].values())) == (1, 1)


# Metrics and logs.


def totals(url: str) -> dict[str, float]:
    text = httpx.get(f"{url}/metrics").text
    return {name: float(value) for name, value in re.findall(r"^(\w+(?:\{.*\})?) ([0-9.e+-]+)$", text, re.MULTILINE)}


def send_load(url: str, *, seconds: float) -> int:
    """Send requests from several threads; return the number of responses."""
    clients = LoadClients(url)
    time.sleep(seconds)
    clients.end()
    assert clients.failures == []
    return len(clients.responses)


@pytest.mark.parametrize("workers", [1, 2])
def test_scrapes_return_the_sum_and_a_stop_loses_no_log_line(home, workers):
    with serving(home, api__workers=workers, logs__max_file_mib=0.1) as served:
        answered = send_load(served.url, seconds=1.5)
        assert answered > 200
        # A request is counted after its response.
        time.sleep(0.2)
        for _ in range(6):
            found = totals(served.url)
            assert found['cryptoliq_requests_total{path="/predict",status="200"}'] == answered
            assert found['cryptoliq_predictions_total{basis="history",mode="single"}'] == answered
            assert found['cryptoliq_request_seconds_count{path="/predict"}'] == answered
            assert found["cryptoliq_newest_snapshot_timestamp_seconds"] == 1753920000
            assert found["cryptoliq_log_lines_dropped"] == 0
        # Lines that are not written yet when the service is stopped.
        answered += send_load(served.url, seconds=0.3)
        served.end()
        predictions, logged = served.predictions(), served.app_log("prediction")
        assert len(predictions) == answered
        # Six files of 0.1 MiB contain all lines, or the newest ones.
        assert len(list((home / "logs").glob("app.log*"))) >= 2
        assert 0 < len(logged) <= answered
        line = predictions[0]
        assert set(line) == {"at", "event", "mode", "inputs", "output", "version", "seconds"}
        assert (line["mode"], line["inputs"]["24h"], line["inputs"]["coin"]) == ("single", -1.5, "Bitcoin")
        assert line["output"]["model_version"] == line["version"]
        assert 0 < line["seconds"] < 5
        assert len(served.app_log("stopped")) == workers


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
            response = client.post("/predict", json=BODY, headers={"Authorization": f"Bearer {secret}"})
            assert response.status_code == 200
            assert response.headers["strict-transport-security"] == "max-age=31536000"
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
        texts = "".join([*written, metrics, served.errors.read_text()])
        assert secret not in texts
        assert digest not in texts
