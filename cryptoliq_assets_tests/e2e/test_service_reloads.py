"""Reloads of the service in real processes: under load, without a signal, and from no champion to one."""

import collections
import signal
import sys
import time

import httpx
import pytest

from cryptoliq_assets.cli.main import cli
from cryptoliq_assets_tests.support import services
from cryptoliq_assets_tests.support.load_clients import LoadClients
from cryptoliq_assets_tests.support.services import (
    BODY,
    Served,
    lines_of,
    promote_again,
    serving,
    shown_versions,
)


@pytest.mark.parametrize("workers", [1, 2])
def test_reloads_under_load_drop_no_request(home, workers):
    # There are no periodic reloads: SIGHUP has to trigger them.
    with serving(home, api__workers=workers, api__reload_interval_seconds=1000, folds=2) as served:
        pids = {process.pid for process in served.workers()}
        # The service is ready with its first worker: another one that loads after the promotion would not need the signal.
        served.wait_for_loads(workers)
        clients = LoadClients(served.url, count=4)
        try:
            first, second = shown_versions(home, *promote_again(home))
            clients.wait_for(first)
            assert {version for _, version in clients.responses} == {first}
            served.process.send_signal(signal.SIGHUP)
            clients.wait_for(second)
            # All workers must load it: one that reloads only after the rollback would find no change.
            served.wait_for_loads(2 * workers)
            cli.main(["--home", str(home), "models", "rollback"], standalone_mode=False)
            clients.wait_for(second, responses=5)
            for _ in range(3):
                served.process.send_signal(signal.SIGHUP)
                time.sleep(0.3)
            clients.wait_for(first)
            loads = served.wait_for_loads(3 * workers)
        finally:
            clients.end()
        counts = collections.Counter(clients.responses)
        assert clients.failures == []
        assert set(counts) == {(200, first), (200, second)}
        assert min(counts.values()) >= 50
        # No worker was restarted.
        assert {process.pid for process in served.workers()} == pids
        assert sorted(loads) == sorted([first, second, first] * workers)


def test_a_first_and_a_new_champion_load_without_a_signal(home):
    models = home / "models"
    moved_models = models.rename(home / "moved_models")
    served = Served(home, api__reload_interval_seconds=0.2)
    try:
        for _ in range(300):
            try:
                response = httpx.get(f"{served.url}/readyz")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        assert response.status_code == 503
        assert "cryptoliq materialize" in response.json()["detail"]
        rejected = httpx.post(f"{served.url}/predict", json=BODY)
        assert (rejected.status_code, rejected.headers["retry-after"]) == (503, "10")
        assert httpx.get(f"{served.url}/healthz").status_code == 200
        if models.exists():
            models.rmdir()
        moved_models.rename(models)
        served.wait_until_ready(seconds=20)
        assert httpx.post(f"{served.url}/predict", json=BODY).status_code == 200
        assert len(lines_of([home / "logs" / "app.log"])) >= 1
        _, second = shown_versions(home, *promote_again(home))
        clients = LoadClients(served.url, count=2)
        try:
            clients.wait_for(second)
        finally:
            clients.end()
        assert clients.failures == []
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
