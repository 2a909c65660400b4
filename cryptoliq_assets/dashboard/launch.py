"""Start of the dashboard: Streamlit, in this process, on loopback by default.

Add Streamlit options here. Pages and the menu belong in `main.py` and `pages/`.
"""

import os
from contextlib import suppress
from pathlib import Path

import pandas as pd
from streamlit import net_util
from streamlit.web import cli

from cryptoliq_assets.core import Settings
from cryptoliq_assets.dashboard import charts, error_messages
from cryptoliq_assets.dashboard.data_sources import select_source

# Imported at startup; otherwise the first visitor waits for the import.
from cryptoliq_assets.serving.csv import predict  # noqa: F401


def run_dashboard(settings: Settings, *, host: str, port: int) -> None:
    """Run the dashboard until it is interrupted.

    Args:
        settings: Settings with the data directory or the address of the service.
        host: Address to bind.
        port: TCP port.
    """
    _warm_up(settings)
    # The pages read the data directory from the environment, like this process did.
    os.environ["CRYPTOLIQ_HOME"] = str(settings.home_dir)
    # For a visitor with an unknown origin Streamlit would request this machine's address from a service on the internet.
    net_util.get_external_ip = lambda: None
    script = Path(__file__).with_name("main.py")
    cli.main(["run", str(script), *_streamlit_flags(host, port, settings)], prog_name="cryptoliq app")


def _warm_up(settings: Settings) -> None:
    """Read the forecasts and draw one figure, which prepares schemas, the table reader and Plotly's templates."""
    charts.draw_histogram(pd.Series([0.5]), title="").to_json()
    if not settings.dashboard.api_url:
        # The page shows the error to the visitor; it may be repaired by then.
        with suppress(error_messages.UserFacingError):
            select_source(settings).load_forecasts()


def _streamlit_flags(host: str, port: int, settings: Settings) -> list[str]:
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
        # Pages show a message; tracebacks go to the log.
        "client.showErrorDetails": "none",
        "runner.magicEnabled": "false",
        "theme.primaryColor": "#0072b2",
    }
    return [f"--{name}={value}" for name, value in options.items()]
