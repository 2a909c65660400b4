"""Settings: the only reader of the environment.

Everything that a user may choose has a name `CRYPTOLIQ_<FIELD>` here, with its unit and its default.
Code takes a `Settings` as an argument; nothing else looks at `os.environ`.
"""

import datetime as dt
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What a home is, where its tables lie, and how its market is read and forecast."""

    model_config = SettingsConfigDict(env_prefix="CRYPTOLIQ_", frozen=True, extra="ignore")

    home: Path = Field(Path(), description="Folder that holds data/, models/, reports/ and .dagster/.")
    storage_url: str | None = Field(
        None, description="Where the tables lie: a folder, s3://… or gs://…; default: data/ in the home."
    )
    models_url: str | None = Field(
        None,
        description="Where models are read, and never written: a folder, s3://… or gs://…; default: models/ in the home.",
    )
    first_month: str = Field("2013-01", pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$", description="First monthly partition.")

    change_unit: Literal["auto", "percent", "fraction"] = Field(
        "auto", description="Unit of 1h, 24h and 7d in raw files; auto finds it from each file alone."
    )
    max_file_mb: float = Field(256.0, gt=0, description="A raw file larger than this (MiB) is refused unread.")
    max_refused_share: float = Field(
        0.5, ge=0, le=1, description="A file with more than this share of its rows refused is refused whole."
    )

    formula: str = Field("kyle_obizhaeva", description="Name of the liquidity formula behind liquidity_score.")
    horizon_days: int = Field(1, ge=1, le=28, description="Forecast horizon, in days.")

    folds: int = Field(4, ge=1, le=12, description="Rolling-origin folds.")
    first_origin: dt.date | None = Field(
        None, description="First test date of the first fold; default: after the first third of the dates."
    )
    min_train_dates: int = Field(
        40, ge=10, description="Labelled dates below which training falls back to folds by coin."
    )
    interval_level: float = Field(0.9, gt=0.5, lt=1, description="Nominal coverage of forecast intervals.")
    device: Literal["cpu", "cuda"] = Field("cpu", description="Where xgboost trains.")
    signing_key: SecretStr | None = Field(None, description="Signs model artifacts (HMAC-SHA256) and checks them.")
    seed: int = Field(7, description="Seed of every random draw in training and simulation.")

    months_per_run: int = Field(24, ge=2, le=240, description="Most months that one run refreshes.")
    sensor_seconds: int = Field(10, ge=1, description="Seconds between two looks of the raw_files sensor.")
    max_attempts: int = Field(3, ge=1, description="Times that the sensor asks for the same work before it gives up.")
    lock_seconds: float = Field(3600.0, ge=0, description="Seconds a run waits for another run on the same home.")

    api_host: str = Field(
        "127.0.0.1", description="Address that the service binds; keys are needed for any but loopback."
    )
    api_port: int = Field(8000, ge=1, le=65535, description="Port of the service.")
    api_workers: int = Field(1, ge=1, le=64, description="Processes of the service.")
    api_keys: SecretStr | None = Field(
        None,
        description="sha256 (hex) of each key that the service takes, by commas; `cryptoliq serve --new-key` makes one.",
    )
    api_body_mb: float = Field(32.0, gt=0, description="A request with a larger body (MiB) is refused (413).")
    api_batch_rows: int = Field(1000, ge=1, description="Most rows of one JSON batch; CSV has the body's limit only.")
    api_rate_per_minute: int = Field(
        6000, ge=0, description="Requests a minute a key may make of a worker; 0: no limit."
    )
    api_request_seconds: float = Field(30.0, gt=0, description="A request that takes longer is given up (503).")
    api_reload_seconds: float = Field(2.0, gt=0, description="Seconds between two looks for a new champion or history.")
    api_tls_cert: Path | None = Field(None, description="Certificate (PEM); with api_tls_key the service speaks TLS.")
    api_tls_key: Path | None = Field(None, description="Private key (PEM) of the certificate.")
    api_trusted_proxies: str | None = Field(
        None, description="Addresses, by commas, whose X-Forwarded-For and -Proto are believed; default: nobody's."
    )
    prediction_log_days: int = Field(90, ge=1, description="Days that files of data/predictions are kept.")
    log_to: Literal["files", "stdout"] = Field(
        "files",
        description="Where the service writes its log and predictions: logs/ and data/predictions, or its standard output alone.",
    )
    log_mb: float = Field(20.0, gt=0, description="logs/app.log is turned over at this size (MiB); five are kept.")
    api_url: str | None = Field(
        None,
        pattern=r"^https?://[^/?#@\s]+[^?#@\s]*$",
        description="Service that the app asks; default: the home itself.",
    )
    api_key: SecretStr | None = Field(None, description="Key that the app sends to the service.")

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().resolve()

    @field_validator(
        "storage_url",
        "models_url",
        "first_origin",
        "signing_key",
        "api_keys",
        "api_tls_cert",
        "api_tls_key",
        "api_trusted_proxies",
        "api_url",
        "api_key",
        mode="before",
    )
    @classmethod
    def _empty_is_absent(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("formula")
    @classmethod
    def _registered(cls, name: str) -> str:
        from cryptoliq_assets.labels.liquidity import formula_named

        return formula_named(name).name

    @field_validator("first_month")
    @classmethod
    def _begun(cls, month: str) -> str:
        present = f"{dt.datetime.now(dt.UTC):%Y-%m}"
        if month > present:
            raise ValueError(f"the first month lies after the present one, {present}")
        return month

    # What nobody is shown: no resource configuration, no log and no key of a cache has it.
    SECRETS: ClassVar[frozenset[str]] = frozenset({"signing_key", "api_keys", "api_key"})

    def open_values(self) -> dict[str, Any]:
        """All that is no secret, as JSON values; Settings.model_validate takes it back."""
        return self.model_dump(mode="json", exclude_none=True, exclude=set(self.SECRETS))

    @cached_property
    def tables_url(self) -> str:
        """Root of the tables: `storage_url`, or data/ in the home."""
        return self.storage_url or str(self.data_dir)

    @property
    def data_dir(self) -> Path:
        return self.home / "data"

    @property
    def raw_dir(self) -> Path:
        """The drop folder."""
        return self.data_dir / "raw"

    @property
    def archive_dir(self) -> Path:
        """A copy of every accepted file."""
        return self.data_dir / "archive"

    @property
    def quarantine_dir(self) -> Path:
        """Every refused file, and the refused rows of accepted ones."""
        return self.data_dir / "quarantine"

    @property
    def catalogue_path(self) -> Path:
        """SQLite catalogue of the files received."""
        return self.data_dir / "catalogue.sqlite"

    @property
    def models_dir(self) -> Path:
        return self.home / "models"

    @property
    def reports_dir(self) -> Path:
        return self.home / "reports"

    @property
    def predictions_dir(self) -> Path:
        """What the service forecast, a file a day."""
        return self.data_dir / "predictions"

    @property
    def logs_dir(self) -> Path:
        return self.home / "logs"

    @property
    def validation_dir(self) -> Path:
        """One JSON report a file."""
        return self.reports_dir / "validation"

    @property
    def dagster_home(self) -> Path:
        return self.home / ".dagster"

    @property
    def lock_path(self) -> Path:
        """Held by whoever changes tables or models in this home."""
        return self.dagster_home / "run.lock"
