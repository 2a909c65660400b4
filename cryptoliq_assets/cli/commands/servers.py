"""serve: the prediction service on this home. app: the dashboard, under Streamlit, in this process."""

from importlib.util import find_spec
from pathlib import Path

import click

from cryptoliq_assets.cli import console, require_home
from cryptoliq_assets.core import Settings


@click.command()
@click.option("--host", default=None, help="Address to bind; default: CRYPTOLIQ_API__HOST (127.0.0.1).")
@click.option("--port", type=click.IntRange(1, 65535), default=None, help="Port; default: CRYPTOLIQ_API__PORT (8000).")
@click.option("--workers", type=click.IntRange(1, 64), default=None, help="Processes; default: CRYPTOLIQ_API__WORKERS.")
@click.option(
    "--new-key", is_flag=True, help="Print a new key and the digest for CRYPTOLIQ_API__KEYS, and do nothing else."
)
@click.pass_obj
def serve(settings: Settings, host: str | None, port: int | None, workers: int | None, new_key: bool) -> None:
    """Serve forecasts over HTTP: POST /predict, GET /forecasts and the rest of /openapi.json.

    SIGHUP, a rollback or a new snapshot make it load what is new, without a pause.
    """
    from cryptoliq_assets.serving.gateway import generate_key

    if new_key:
        key, digest = generate_key()
        console.print(f"key, for whoever asks: {key}", soft_wrap=True)
        console.print(f"CRYPTOLIQ_API__KEYS={digest}", soft_wrap=True)
        return
    chosen = {"host": host, "port": port, "workers": workers}
    settings = settings.with_values(api={name: value for name, value in chosen.items() if value is not None})
    _check(settings)
    if not settings.storage.models_url:
        require_home(settings)
    from cryptoliq_assets.serving.server import run_server

    scheme = "https" if settings.api.tls_cert else "http"
    console.print(f"serving {settings.home_dir} at {scheme}://{settings.api.host}:{settings.api.port}", soft_wrap=True)
    if not run_server(settings):
        raise click.ClickException("the service could not begin: the reason stands above")


def _check(settings: Settings) -> None:
    """Say what is wrong before a worker says it in its own words."""
    from cryptoliq_assets.serving.gateway import is_loopback, parse_key_digests

    try:
        digests = parse_key_digests(settings.api.keys.get_secret_value() if settings.api.keys else None)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if not digests and not is_loopback(settings.api.host):
        raise click.UsageError(
            f"at {settings.api.host} the service would be open to everyone: set CRYPTOLIQ_API__KEYS "
            "(`cryptoliq serve --new-key` makes one), or bind 127.0.0.1"
        )
    for path in (settings.api.tls_cert, settings.api.tls_key):
        if path and not Path(path).is_file():
            raise click.UsageError(f"{path} is no file; expected a certificate and its key (PEM)")
    if bool(settings.api.tls_cert) != bool(settings.api.tls_key):
        raise click.UsageError(
            "CRYPTOLIQ_API__TLS_CERT and CRYPTOLIQ_API__TLS_KEY belong together: one of them is not set"
        )


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8501, show_default=True, type=click.IntRange(1, 65535))
@click.pass_obj
def app(settings: Settings, host: str, port: int) -> None:
    """The dashboard on this home, or on the service that CRYPTOLIQ_DASHBOARD__API_URL names.

    Forecasts, coins, what-if, CSV files, models, data health. It asks for no password: leave it on 127.0.0.1, or put a
    proxy that does before it.
    """
    if not settings.dashboard.api_url:
        require_home(settings)
    if find_spec("streamlit") is None:
        raise click.ClickException("Streamlit is not installed: in cryptoliq's clone, pip install '.[app]'")
    from cryptoliq_assets.dashboard import run_dashboard

    console.print(f"http://{host}:{port} (Ctrl-C ends it)")
    run_dashboard(settings, host=host, port=port)
