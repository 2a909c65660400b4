"""The server of the prediction service: one process, or several under a supervisor, with uvicorn."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import uvicorn
from filelock import FileLock

from cryptoliq_assets.core import Settings
from cryptoliq_assets.serving.gateway import HttpProtocol
from cryptoliq_assets.serving.server.workers import run

# Connections, and requests under way, of one process.
_MOST_AT_ONCE = 2000
# Folders in which several processes keep their metrics, and the file in them that their supervisor holds locked.
_METRICS, _LOCK = "cryptoliq-metrics-", "supervisor.lock"


def run_server(settings: Settings) -> bool:
    """Serve until a signal ends it; False where it could not start."""
    # Workers are processes of their own: they read the settings from the environment.
    os.environ |= {
        "CRYPTOLIQ_HOME": str(settings.home_dir),
        "CRYPTOLIQ_API__HOST": settings.api.host,
        "CRYPTOLIQ_API__PORT": str(settings.api.port),
    }
    if settings.api.workers == 1:
        return _run(settings)
    _remove_left_metrics()
    with tempfile.TemporaryDirectory(prefix=_METRICS) as folder, FileLock(Path(folder, _LOCK)):
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        return _run(settings)


def _remove_left_metrics() -> None:
    """Folders of metrics whose supervisor was killed: nobody holds their lock."""
    for lock in Path(tempfile.gettempdir()).glob(f"{_METRICS}*/{_LOCK}"):
        # Held, or another user's.
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
        # Nobody's word on where a request came from is taken, unless a setting names the proxy.
        proxy_headers=bool(settings.api.trusted_proxies),
        forwarded_allow_ips=settings.api.trusted_proxies or "",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=30,
        timeout_keep_alive=30,
        limit_concurrency=_MOST_AT_ONCE,
        backlog=2048,
    )
    try:
        return run(config)
    except KeyboardInterrupt:
        return True
    except SystemExit as end:
        # A clean stop, or uvicorn's way to say that it could not start: the port is taken, the certificate is none.
        return end.code == 0
