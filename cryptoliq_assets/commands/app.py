"""app: the dashboard, under Streamlit, in this process."""

import importlib
import os
from contextlib import suppress
from pathlib import Path

import click

from cryptoliq_assets.commands.console import console, require_home
from cryptoliq_assets.settings import Settings

_LOADED = ("cryptoliq_assets.serving.sources", "cryptoliq_assets.serving.batch", "cryptoliq_assets.serving.charts")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8501, show_default=True, type=click.IntRange(1, 65535))
@click.pass_obj
def app(settings: Settings, host: str, port: int) -> None:
    """The dashboard on this home, or on the service that CRYPTOLIQ_API_URL names.

    Forecasts, coins, what-if, CSV files, models, data health. It asks for no password: leave it on 127.0.0.1, or put a
    proxy that does before it.
    """
    if not settings.api_url:
        require_home(settings)
    try:
        from streamlit import net_util
        from streamlit.web import cli
    except ImportError as error:
        raise click.ClickException("Streamlit is not installed: in cryptoliq's clone, pip install '.[app]'") from error
    # Loaded before the first visitor comes, who would wait for it.
    for module in _LOADED:
        importlib.import_module(module)
    _warm(settings)
    # The pages find the home the same way this process did.
    os.environ["CRYPTOLIQ_HOME"] = str(settings.home)
    # Asked for the origin of a visitor that it does not know, Streamlit would ask a service on the internet who it is.
    net_util.get_external_ip = lambda: None
    console.print(f"http://{host}:{port} (Ctrl-C ends it)")
    script = Path(__file__).parents[1] / "serving" / "dashboard.py"
    cli.main(["run", str(script), *_flags(host, port, settings)], prog_name="cryptoliq app")


def _warm(settings: Settings) -> None:
    """Read the forecasts and draw a figure once: schemas, the reader of tables and Plotly's templates are made ready so."""
    import pandas as pd

    from cryptoliq_assets.serving import charts, sources, telling

    charts.spread(pd.Series([0.5]), title="").to_json()
    if not settings.api_url:
        # What is wrong is told to the visitor, who may have mended it by then.
        with suppress(telling.Problem):
            sources.source_of(settings).forecasts()


def _flags(host: str, port: int, settings: Settings) -> list[str]:
    options = {
        "server.address": host,
        "server.port": port,
        "server.headless": "true",
        "server.enableXsrfProtection": "true",
        "server.enableCORS": "true",
        "server.fileWatcherType": "none",
        "server.maxUploadSize": max(1, int(settings.max_file_mb)),
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        # What goes wrong is told in words; tracebacks go to the log.
        "client.showErrorDetails": "none",
        "runner.magicEnabled": "false",
        "theme.primaryColor": "#0072b2",
    }
    return [f"--{name}={value}" for name, value in options.items()]
