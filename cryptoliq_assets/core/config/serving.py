"""The prediction service, its logs, and the dashboard."""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr

from cryptoliq_assets.core.config.section import SettingsSection


class ApiSettings(SettingsSection):
    """The prediction service."""

    host: str = Field(
        "127.0.0.1", description="Address that the service binds; API keys are required for any but loopback."
    )
    port: int = Field(8000, ge=1, le=65535, description="Port of the service.")
    workers: int = Field(1, ge=1, le=64, description="Worker processes of the service.")
    keys: SecretStr | None = Field(
        None,
        description="SHA-256 (hex) of each accepted API key, separated by commas; `cryptoliq serve --new-key` creates one.",
    )
    max_body_mib: float = Field(32.0, gt=0, description="A request with a larger body (MiB) is rejected (413).")
    max_batch_rows: int = Field(
        1000, ge=1, description="Maximum number of rows in one JSON batch; CSV is limited only by the body size."
    )
    rate_per_minute: int = Field(
        6000, ge=0, description="Rate limit: requests per minute, per key and worker; 0: no limit."
    )
    request_timeout_seconds: float = Field(30.0, gt=0, description="Timeout of a request (seconds; 503).")
    reload_interval_seconds: float = Field(
        2.0, gt=0, description="Seconds between two checks for a new champion or history."
    )
    tls_cert: Path | None = Field(
        None, description="Certificate (PEM); together with CRYPTOLIQ_API__TLS_KEY it enables TLS."
    )
    tls_key: Path | None = Field(None, description="Private key (PEM) of the certificate.")
    trusted_proxies: str | None = Field(
        None,
        description="Addresses, separated by commas, whose X-Forwarded-For and -Proto headers are trusted; default: none.",
    )


class LogSettings(SettingsSection):
    """Log and prediction log of the service."""

    prediction_days: int = Field(90, ge=1, description="Days after which files of data/predictions are deleted.")
    destination: Literal["files", "stdout"] = Field(
        "files",
        description="Where the service writes its log and predictions: logs/ and data/predictions, or only standard output.",
    )
    max_file_mib: float = Field(
        20.0, gt=0, description="logs/app.log is rotated at this size (MiB); five rotated files remain."
    )


class DashboardSettings(SettingsSection):
    """Source of the dashboard."""

    api_url: str | None = Field(
        None,
        pattern=r"^https?://[^/?#@\s]+[^?#@\s]*$",
        description="URL of the service that the dashboard reads; default: the data directory itself.",
    )
    api_key: SecretStr | None = Field(None, description="API key that the dashboard sends to the service.")
