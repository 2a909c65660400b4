"""The prediction service, its logs, and the dashboard."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from cryptoliq_assets.core.config.section import SettingsSection


class ApiSettings(SettingsSection):
    """The prediction service."""

    host: str = Field("127.0.0.1", description="Address that the service binds; keys are needed for any but loopback.")
    port: int = Field(8000, ge=1, le=65535, description="Port of the service.")
    workers: int = Field(1, ge=1, le=64, description="Processes of the service.")
    keys: SecretStr | None = Field(
        None,
        description="sha256 (hex) of each key that the service takes, by commas; `cryptoliq serve --new-key` makes one.",
    )
    max_body_mib: float = Field(32.0, gt=0, description="A request with a larger body (MiB) is refused (413).")
    max_batch_rows: int = Field(1000, ge=1, description="Most rows of one JSON batch; CSV has the body's limit only.")
    rate_per_minute: int = Field(6000, ge=0, description="Requests a minute a key may make of a worker; 0: no limit.")
    request_timeout_seconds: float = Field(30.0, gt=0, description="A request that takes longer is given up (503).")
    reload_interval_seconds: float = Field(
        2.0, gt=0, description="Seconds between two looks for a new champion or history."
    )
    tls_cert: Path | None = Field(None, description="Certificate (PEM); with api_tls_key the service speaks TLS.")
    tls_key: Path | None = Field(None, description="Private key (PEM) of the certificate.")
    trusted_proxies: str | None = Field(
        None, description="Addresses, by commas, whose X-Forwarded-For and -Proto are believed; default: nobody's."
    )


class LogSettings(SettingsSection):
    """Log and prediction log of the service."""

    prediction_days: int = Field(90, ge=1, description="Days that files of data/predictions are kept.")
    destination: Literal["files", "stdout"] = Field(
        "files",
        description="Where the service writes its log and predictions: logs/ and data/predictions, or its standard output alone.",
    )
    max_file_mib: float = Field(
        20.0, gt=0, description="logs/app.log is turned over at this size (MiB); five are kept."
    )


class DashboardSettings(SettingsSection):
    """Source of the dashboard."""

    api_url: str | None = Field(
        None,
        pattern=r"^https?://[^/?#@\s]+[^?#@\s]*$",
        description="Service that the app asks; default: the home itself.",
    )
    api_key: SecretStr | None = Field(None, description="Key that the app sends to the service.")
