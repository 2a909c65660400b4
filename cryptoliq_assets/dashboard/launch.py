"""Start the dashboard: Streamlit, in this process, on loopback unless told otherwise."""

import os
from contextlib import suppress
from pathlib import Path

import pandas as pd
from streamlit import net_util
from streamlit.web import cli

from cryptoliq_assets.core import Settings
from cryptoliq_assets.dashboard import charts, error_messages
from cryptoliq_assets.dashboard.data_sources import source_of

# Imported before the first visitor comes, who would wait for it.
from cryptoliq_assets.serving.csv import predict  # noqa: F401


def run_dashboard(settings: Settings, *, host: str, port: int) -> None:
    """Run the dashboard until it is interrupted."""
    _warm(settings)
    # The pages find the home the same way this process did.
    os.environ["CRYPTOLIQ_HOME"] = str(settings.home_dir)
    # Asked for the origin of a visitor that it does not know, Streamlit would ask a service on the internet who it is.
    net_util.get_external_ip = lambda: None
    script = Path(__file__).with_name("main.py")
    cli.main(["run", str(script), *_flags(host, port, settings)], prog_name="cryptoliq app")


def _warm(settings: Settings) -> None:
    """Read the forecasts and draw a figure once: schemas, the reader of tables and Plotly's templates are made ready so."""
    charts.spread(pd.Series([0.5]), title="").to_json()
    if not settings.dashboard.api_url:
        # What is wrong is told to the visitor, who may have mended it by then.
        with suppress(error_messages.UserFacingError):
            source_of(settings).forecasts()


def _flags(host: str, port: int, settings: Settings) -> list[str]:
    options = {
        "server.address": host,
        "server.port": port,
        "server.headless": "true",
        "server.enableXsrfProtection": "true",
        "server.enableCORS": "true",
        "server.fileWatcherType": "none",
        "server.maxUploadSize": max(1, int(settings.ingestion.max_file_mib)),
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        # What goes wrong is told in words; tracebacks go to the log.
        "client.showErrorDetails": "none",
        "runner.magicEnabled": "false",
        "theme.primaryColor": "#0072b2",
    }
    return [f"--{name}={value}" for name, value in options.items()]
