"""Settings: the only reader of the environment.

Everything that a user may choose has a name `CRYPTOLIQ_<FIELD>` here, with its unit and its default.
Code takes a `Settings` as an argument; nothing else looks at `os.environ`.
"""

import datetime as dt
import re
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What a home is, where its tables lie, and how its market is read and forecast."""

    # An error that showed its input would write a password into a log.
    model_config = SettingsConfigDict(env_prefix="CRYPTOLIQ_", frozen=True, extra="ignore", hide_input_in_errors=True)

    home: Path = Field(Path(), description="Folder that holds data/, models/, reports/ and .dagster/.")
    storage_url: str | None = Field(
        None, description="Where the tables lie: a folder, s3://… or gs://…; default: data/ in the home."
    )
    postgres_url: SecretStr | None = Field(
        None,
        description="Dagster's database, postgresql+psycopg2://user:password@host:port/name; default: SQLite files in the home.",
    )
    models_url: str | None = Field(
        None,
        description="Where models are read, and never written: a folder, s3://… or gs://…; default: models/ in the home.",
    )
    first_month: str = Field("2013-01", pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$", description="First monthly partition.")

    change_unit: Literal["auto", "percent", "fraction"] = Field(
        "auto",
        description="Unit of 1h, 24h and 7d in raw files that do not declare theirs; auto finds it from each file alone.",
    )
    max_file_mb: float = Field(256.0, gt=0, description="A raw file larger than this (MiB) is refused unread.")
    max_refused_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="A file with more than this share of its rows refused, or without coin, price or volume, is refused whole; "
        "1: no file is refused because of its values.",
    )
    max_empty_share: float = Field(
        0.2,
        ge=0,
        le=1,
        description="A column that is empty in more than this share of a file's rows is an issue of its report.",
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
    data_warn_days: float = Field(
        2.25, gt=0, description="Age of the newest snapshot (days since its date began) from which data is a WARN."
    )
    data_fail_days: float = Field(3.25, gt=0, description="The same age from which it is a FAIL.")
    late_file_days: float = Field(
        2.25, gt=0, description="A file that came more days than this after its date began counts as late."
    )
    max_coins_gone: float = Field(
        0.1, ge=0, le=1, description="Share of the coins of the last 30 days gone for 3 days or more; above: a WARN."
    )
    least_live_skill: float = Field(0.0, lt=1, description="30-day skill of forecasts at or below this is a FAIL.")
    coverage_slack: float = Field(
        0.05, gt=0, lt=0.5, description="30-day coverage further than this from interval_level is a FAIL."
    )
    train_on_failure: bool = Field(
        False, description="Ask for `train` when 30-day skill or coverage fails, once for each newest target date."
    )
    silent_hours: int = Field(
        6, ge=1, le=24, description="Hours without a prediction, where others had some at that time of day: a FAIL."
    )
    max_failed_share: float = Field(
        0.01,
        gt=0,
        lt=1,
        description="Share of a day's requests to predict that failed; above: a WARN, five times it: a FAIL.",
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
    fetch_enabled: bool = Field(
        False, description="Whether the fetch_snapshot schedule runs (hourly from 00:40 UTC until the day is there)."
    )
    coingecko_plan: Literal["keyless", "demo", "pro"] = Field("keyless", description="Plan at CoinGecko.")
    coingecko_key: SecretStr | None = Field(None, description="Key of the demo or pro plan; sent as a header alone.")
    coingecko_url: str | None = Field(
        None,
        pattern=r"^https?://[^/?#@\s]+[^?#@\s]*$",
        description="Address of the API; default: the plan's.",
    )
    coingecko_coins: int = Field(500, ge=1, le=20_000, description="Coins of a snapshot, the largest by market cap.")
    coingecko_per_minute: int | None = Field(
        None, ge=1, description="Requests a minute; default: keyless 5, demo 30, pro 250."
    )
    coingecko_per_month: int | None = Field(
        None, ge=0, description="Requests a month, 0: no limit; default: keyless none, demo 10000, pro 100000."
    )
    fetch_seconds: float = Field(1800.0, gt=0, description="Longest that fetching a snapshot takes, waits included.")
    fetch_history_seconds: float = Field(21_600.0, gt=0, description="Longest that one run of fetch history takes.")
    fetch_request_seconds: float = Field(30.0, gt=0, description="Longest wait for a sign of life in one request.")
    fetch_wait_seconds: float = Field(
        60.0,
        gt=0,
        description="Wait after too many requests where the service names no time; faults wait less at first.",
    )

    alert_urls: SecretStr | None = Field(
        None, description="Channels of the alerts: Apprise URLs (mailto://…, slack://…, json://…), by spaces or commas."
    )
    alert_repeat_hours: float = Field(24.0, gt=0, description="Hours until an incident that stays is told again.")
    alert_send_seconds: float = Field(15.0, gt=0, description="A channel that takes longer (seconds) has failed.")
    watch_seconds: int = Field(60, ge=1, description="Seconds between two looks of the monitor's sensors.")
    feed_frozen_share: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="A snapshot in which a larger share of the coins repeats price and volume of the one before is frozen.",
    )
    feed_slope_factor: float = Field(
        2.0,
        gt=1,
        description="The realised change may be this many times the 24h column, or the column the change, before the two contradict each other; as close to 100 or 0.01 times, the unit is wrong.",
    )
    feed_scale_factor: float = Field(
        10.0,
        gt=1,
        description="Prices, volumes or market caps whose median ratio to the snapshot before, or the quartiles' distance, exceeds this factor changed their scale.",
    )
    feed_clock_fit: float = Field(
        0.75,
        gt=0,
        le=1,
        description="A change column that fits prices a day off this well (1: to the digit), and its own day half as well, is off.",
    )
    feed_coins_kept: float = Field(
        0.9, gt=0, lt=1, description="Fewer coins than this share of the snapshot before, or of the usual, are a loss."
    )
    feed_caps_lost: float = Field(
        0.05, gt=0, lt=1, description="A larger rise of the share of unknown market caps than this is a loss of caps."
    )
    feed_cells_lost: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="A larger rise of the share of coins without price, volume, 24h or 7d than this is a loss of that column.",
    )
    feed_volume_step: float = Field(
        0.3, gt=0, lt=1, description="Volumes that fell by this share for two snapshots, and nothing else, made a step."
    )
    feed_move_z: float = Field(
        5.0,
        gt=0,
        description="Robust z beyond which a market median moved; two of price, volume and volatility are a market move.",
    )
    feed_usual_days: int = Field(
        60, ge=30, le=365, description="Days before a snapshot that say what is usual for a feed."
    )
    drift_days: int = Field(7, ge=1, le=28, description="Days up to the newest snapshot that drift is measured on.")
    drift_reference_days: int = Field(
        90, ge=7, description="Last training days that are kept with a champion as its reference for drift."
    )
    drift_psi_warn: float = Field(0.25, gt=0, description="PSI of a feature, on values centred by day, that warns.")
    drift_psi_fail: float = Field(0.5, gt=0, description="PSI that fails the check `drift`.")
    drift_distance_warn: float = Field(
        0.5, gt=0, description="Wasserstein distance over the reference's interquartile range that warns."
    )
    drift_distance_fail: float = Field(1.0, gt=0, description="The same that fails the check `drift`.")
    drift_missing_warn: float = Field(0.1, gt=0, lt=1, description="Rise or fall of a share of missing that warns.")
    drift_missing_fail: float = Field(0.3, gt=0, lt=1, description="The same that fails the check `drift`.")

    @field_validator("home")
    @classmethod
    def _absolute(cls, home: Path) -> Path:
        return home.expanduser().resolve()

    @field_validator(
        "storage_url",
        "postgres_url",
        "models_url",
        "first_origin",
        "signing_key",
        "api_keys",
        "api_tls_cert",
        "api_tls_key",
        "api_trusted_proxies",
        "api_url",
        "api_key",
        "alert_urls",
        "coingecko_key",
        "coingecko_url",
        "coingecko_per_minute",
        "coingecko_per_month",
        mode="before",
    )
    @classmethod
    def _empty_is_absent(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("postgres_url")
    @classmethod
    def _a_database(cls, url: SecretStr | None) -> SecretStr | None:
        # Dagster reads the variable itself, and SQLAlchemy takes a bare postgresql:// for a driver that Dagster cannot use.
        if url is not None and not re.fullmatch(
            r"postgresql\+psycopg2://[^\s/]*/[^\s/?]+(\?\S*)?", url.get_secret_value()
        ):
            raise ValueError(
                "it has to read postgresql+psycopg2://user:password@host:port/name, % and / in a password as %25 and %2F"
            )
        return url

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
    SECRETS: ClassVar[frozenset[str]] = frozenset(
        {"signing_key", "api_keys", "api_key", "alert_urls", "postgres_url", "coingecko_key"}
    )

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
    def fetch_dir(self) -> Path:
        """What came of a fetch that is not over, and how many requests were made."""
        return self.data_dir / "fetch"

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
    def incidents_path(self) -> Path:
        """Open incidents, what waits to be sent, the last notices; changed by `monitor/alarm.py` alone."""
        return self.reports_dir / "incidents.json"

    @property
    def dagster_home(self) -> Path:
        return self.home / ".dagster"

    @property
    def lock_path(self) -> Path:
        """Held by whoever changes tables or models in this home."""
        return self.dagster_home / "run.lock"
