"""serve: the prediction service on this home."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import click
from filelock import FileLock

from cryptoliq_assets.commands.console import console, require_home
from cryptoliq_assets.settings import Settings

# Connections, and requests under way, of one process.
_MOST_AT_ONCE = 2000
# Folders in which several processes keep their metrics, and the file in them that their supervisor holds locked.
_METRICS, _LOCK = "cryptoliq-metrics-", "supervisor.lock"


@click.command()
@click.option("--host", default=None, help="Address to bind; default: CRYPTOLIQ_API_HOST (127.0.0.1).")
@click.option("--port", type=click.IntRange(1, 65535), default=None, help="Port; default: CRYPTOLIQ_API_PORT (8000).")
@click.option("--workers", type=click.IntRange(1, 64), default=None, help="Processes; default: CRYPTOLIQ_API_WORKERS.")
@click.option(
    "--new-key", is_flag=True, help="Print a new key and the digest for CRYPTOLIQ_API_KEYS, and do nothing else."
)
@click.pass_obj
def serve(settings: Settings, host: str | None, port: int | None, workers: int | None, new_key: bool) -> None:
    """Serve forecasts over HTTP: POST /predict, GET /forecasts and the rest of /openapi.json.

    SIGHUP, a rollback or a new snapshot make it load what is new, without a pause.
    """
    from cryptoliq_assets.serving.keys import new_key as made

    if new_key:
        key, digest = made()
        console.print(f"key, for whoever asks: {key}", soft_wrap=True)
        console.print(f"CRYPTOLIQ_API_KEYS={digest}", soft_wrap=True)
        return
    chosen = {"api_host": host, "api_port": port, "api_workers": workers}
    settings = settings.model_copy(update={name: value for name, value in chosen.items() if value is not None})
    _check(settings)
    if not settings.models_url:
        require_home(settings)
    # Workers are processes of their own: they read the settings from the environment.
    os.environ |= {
        "CRYPTOLIQ_HOME": str(settings.home),
        "CRYPTOLIQ_API_HOST": settings.api_host,
        "CRYPTOLIQ_API_PORT": str(settings.api_port),
    }
    if settings.api_workers == 1:
        _run(settings)
        return
    _remove_left_metrics()
    with tempfile.TemporaryDirectory(prefix=_METRICS) as folder, FileLock(Path(folder, _LOCK)):
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        _run(settings)


def _remove_left_metrics() -> None:
    """Folders of metrics whose supervisor was killed: nobody holds their lock."""
    for lock in Path(tempfile.gettempdir()).glob(f"{_METRICS}*/{_LOCK}"):
        # Held, or another user's.
        with contextlib.suppress(OSError), FileLock(lock, timeout=0):
            shutil.rmtree(lock.parent)


def _check(settings: Settings) -> None:
    """Say what is wrong before a worker says it in its own words."""
    from cryptoliq_assets.serving.keys import digests_in, is_loopback

    try:
        digests = digests_in(settings.api_keys.get_secret_value() if settings.api_keys else None)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if not digests and not is_loopback(settings.api_host):
        raise click.UsageError(
            f"at {settings.api_host} the service would be open to everyone: set CRYPTOLIQ_API_KEYS "
            "(`cryptoliq serve --new-key` makes one), or bind 127.0.0.1"
        )
    for path in (settings.api_tls_cert, settings.api_tls_key):
        if path and not Path(path).is_file():
            raise click.UsageError(f"{path} is no file; expected a certificate and its key (PEM)")
    if bool(settings.api_tls_cert) != bool(settings.api_tls_key):
        raise click.UsageError(
            "CRYPTOLIQ_API_TLS_CERT and CRYPTOLIQ_API_TLS_KEY belong together: one of them is not set"
        )


def _run(settings: Settings) -> None:
    import uvicorn

    from cryptoliq_assets.serving.wire import Protocol
    from cryptoliq_assets.serving.workers import run

    scheme = "https" if settings.api_tls_cert else "http"
    console.print(f"serving {settings.home} at {scheme}://{settings.api_host}:{settings.api_port}", soft_wrap=True)
    config = uvicorn.Config(
        "cryptoliq_assets.serving.workers:application",
        factory=True,
        http=Protocol,
        host=settings.api_host,
        port=settings.api_port,
        workers=settings.api_workers,
        ssl_certfile=settings.api_tls_cert,
        ssl_keyfile=settings.api_tls_key,
        # Nobody's word on where a request came from is taken, unless a setting names the proxy.
        proxy_headers=bool(settings.api_trusted_proxies),
        forwarded_allow_ips=settings.api_trusted_proxies or "",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=30,
        timeout_keep_alive=30,
        limit_concurrency=_MOST_AT_ONCE,
        backlog=2048,
    )
    try:
        began = run(config)
    except KeyboardInterrupt:
        return
    except SystemExit as end:
        # A clean stop, or uvicorn's way to say that it could not begin: the port is taken, the certificate is none.
        began = end.code == 0
    if not began:
        raise click.ClickException("the service could not begin: the reason stands above")
