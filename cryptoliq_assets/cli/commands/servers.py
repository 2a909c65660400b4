"""Commands serve (the prediction service), app (the dashboard) and cluster (a Dask scheduler and workers), each until it is stopped."""

from importlib.util import find_spec
from pathlib import Path

import click

from cryptoliq_assets.cli import console, require_home
from cryptoliq_assets.core import Settings


@click.command()
@click.option("--host", default=None, help="Address to bind; default: CRYPTOLIQ_API__HOST (127.0.0.1).")
@click.option("--port", type=click.IntRange(1, 65535), default=None, help="Port; default: CRYPTOLIQ_API__PORT (8000).")
@click.option("--workers", type=click.IntRange(1, 64), default=None, help="Processes; default: CRYPTOLIQ_API__WORKERS.")
@click.option("--new-key", is_flag=True, help="Print a new API key and its digest for CRYPTOLIQ_API__KEYS, and exit.")
@click.pass_obj
def serve(settings: Settings, host: str | None, port: int | None, workers: int | None, new_key: bool) -> None:
    """Serve forecasts over HTTP: POST /predict, GET /forecasts and the other routes of /openapi.json.

    It reloads model and data without downtime after SIGHUP, a rollback or a new snapshot.
    """
    from cryptoliq_assets.serving.gateway import generate_key

    if new_key:
        key, digest = generate_key()
        console.print(f"API key for clients: {key}", soft_wrap=True)
        console.print(f"CRYPTOLIQ_API__KEYS={digest}", soft_wrap=True)
        return
    options = {"host": host, "port": port, "workers": workers}
    settings = settings.with_values(api={name: value for name, value in options.items() if value is not None})
    _check_options(settings)
    if not settings.storage.models_url:
        require_home(settings)
    from cryptoliq_assets.serving.server import run_server

    scheme = "https" if settings.api.tls_cert else "http"
    console.print(f"serving {settings.home_dir} at {scheme}://{settings.api.host}:{settings.api.port}", soft_wrap=True)
    if not run_server(settings):
        raise click.ClickException("the service could not start: see the reason above")


def _check_options(settings: Settings) -> None:
    """Reject invalid settings here, with a clearer message than a worker's."""
    from cryptoliq_assets.serving.gateway import is_loopback, parse_key_digests

    try:
        digests = parse_key_digests(settings.api.keys.get_secret_value() if settings.api.keys else None)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if not digests and not is_loopback(settings.api.host):
        raise click.UsageError(
            f"at {settings.api.host} the service would be open to everyone: set CRYPTOLIQ_API__KEYS "
            "(`cryptoliq serve --new-key` generates a key), or bind 127.0.0.1"
        )
    for path in (settings.api.tls_cert, settings.api.tls_key):
        if path and not Path(path).is_file():
            raise click.UsageError(f"{path} is not a file; expected a certificate and its key (PEM)")
    if bool(settings.api.tls_cert) != bool(settings.api.tls_key):
        raise click.UsageError(
            "CRYPTOLIQ_API__TLS_CERT and CRYPTOLIQ_API__TLS_KEY must be set together: one of them is missing"
        )


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8501, show_default=True, type=click.IntRange(1, 65535))
@click.pass_obj
def app(settings: Settings, host: str, port: int) -> None:
    """Run the dashboard on the data directory, or on the service that CRYPTOLIQ_DASHBOARD__API_URL names.

    Forecasts, coins, what-if, CSV files, models, data health. It has no authentication: bind 127.0.0.1, or put an
    authenticating proxy in front of it.
    """
    if not settings.dashboard.api_url:
        require_home(settings)
    if find_spec("streamlit") is None:
        raise click.ClickException("Streamlit is not installed: run `pip install '.[app]'` in the clone of cryptoliq")
    from cryptoliq_assets.dashboard import run_dashboard

    console.print(f"http://{host}:{port} (stop with Ctrl-C)")
    run_dashboard(settings, host=host, port=port)


@click.command()
@click.option(
    "--workers", default=2, show_default=True, type=click.IntRange(1, 256), help="Number of worker processes."
)
@click.option(
    "--port",
    default=8786,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port of the scheduler; 0: a free one.",
)
@click.pass_obj
def cluster(settings: Settings, workers: int, port: int) -> None:
    """Run a Dask scheduler and workers on this machine, until Ctrl-C. Other commands use them with CRYPTOLIQ_DASK_ADDRESS.

    They listen on 127.0.0.1 only: anybody who reaches a scheduler can run any code. Workers have the environment of this command, so
    CRYPTOLIQ_POSTGRES_URL and the credentials of an object store must be set here too.
    """
    from cryptoliq_assets.core.cluster import explain_missing_dask, run_local_cluster

    missing = explain_missing_dask()
    if missing:
        raise click.ClickException(f"no cluster can be started: {missing}")

    def announce(address: str) -> None:
        console.print(f"{workers} worker(s) at {address} (stop with Ctrl-C)", soft_wrap=True)
        console.print(f"CRYPTOLIQ_DASK_ADDRESS={address}", soft_wrap=True)

    run_local_cluster(workers, port=port, announce=announce)
