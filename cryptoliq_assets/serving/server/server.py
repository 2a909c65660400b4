"""Start and configuration of the prediction service's uvicorn server."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import uvicorn
from filelock import FileLock

from cryptoliq_assets.core import Settings
from cryptoliq_assets.serving.gateway import HttpProtocol
from cryptoliq_assets.serving.server.workers import run_workers

# Connections, and concurrent requests, of one process.
_MAX_CONCURRENCY = 2000
# Folders for the metrics of several processes, and the file in them that the supervisor keeps locked.
_METRICS_PREFIX, _LOCK_NAME = "cryptoliq-metrics-", "supervisor.lock"


def run_server(settings: Settings) -> bool:
    """Serve until a signal stops the server.

    Args:
        settings: Settings of the data directory, with host, port and number of workers.

    Returns:
        False if the server could not start.
    """
    # Workers are separate processes: they read the settings from the environment.
    os.environ |= {
        "CRYPTOLIQ_HOME": str(settings.home_dir),
        "CRYPTOLIQ_API__HOST": settings.api.host,
        "CRYPTOLIQ_API__PORT": str(settings.api.port),
    }
    if settings.api.workers == 1:
        return _run(settings)
    _remove_stale_metrics()
    with tempfile.TemporaryDirectory(prefix=_METRICS_PREFIX) as folder, FileLock(Path(folder, _LOCK_NAME)):
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        return _run(settings)


def _remove_stale_metrics() -> None:
    """Remove metrics folders of supervisors that were killed: their lock is free."""
    for lock in Path(tempfile.gettempdir()).glob(f"{_METRICS_PREFIX}*/{_LOCK_NAME}"):
        # OSError: the lock is taken, or the folder belongs to another user.
        with contextlib.suppress(OSError), FileLock(lock, timeout=0):
            shutil.rmtree(lock.parent)


def _run(settings: Settings) -> bool:
    config = uvicorn.Config(
        "cryptoliq_assets.serving.server.workers:application",
        factory=True,
        http=HttpProtocol,
        host=settings.api.host,
        port=settings.api.port,
        workers=settings.api.workers,
        ssl_certfile=settings.api.tls_cert,
        ssl_keyfile=settings.api.tls_key,
        # Forwarded headers are trusted only from the proxies that a setting names.
        proxy_headers=bool(settings.api.trusted_proxies),
        forwarded_allow_ips=settings.api.trusted_proxies or "",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=30,
        timeout_keep_alive=30,
        limit_concurrency=_MAX_CONCURRENCY,
        backlog=2048,
    )
    try:
        return run_workers(config)
    except KeyboardInterrupt:
        return True
    except SystemExit as stop:
        # A clean stop, or uvicorn's report that it could not start: the port is in use, the certificate is invalid.
        return stop.code == 0
