"""Settings: the only reader of the environment.

Every setting is a field of `Settings` or of one of its sections, with its unit and its default. Code receives a `Settings` as
an argument. Only variables of other programs (Dagster, Prometheus) are read elsewhere.
"""

import io
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from dotenv.parser import parse_stream
from pydantic import Field, SecretStr, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from cryptoliq_assets.core.config.fetch import CoinGeckoSettings
from cryptoliq_assets.core.config.ingestion import IngestionSettings, SensorSettings
from cryptoliq_assets.core.config.modeling import CrossValidationSettings, IntervalSettings
from cryptoliq_assets.core.config.monitoring import (
    AlertSettings,
    DriftSettings,
    FeedSettings,
    FreshnessSettings,
    PerformanceSettings,
    ServiceMonitorSettings,
)
from cryptoliq_assets.core.config.paths import HomePaths
from cryptoliq_assets.core.config.renamed import renamed_values, variable_name
from cryptoliq_assets.core.config.section import SettingsSection
from cryptoliq_assets.core.config.serving import ApiSettings, DashboardSettings, LogSettings
from cryptoliq_assets.core.config.storage import BackfillSettings, RunLockSettings, StorageSettings
from cryptoliq_assets.core.safe_open import read_text

_HOME, _POSTGRES_URL = "CRYPTOLIQ_HOME", "CRYPTOLIQ_POSTGRES_URL"


class Settings(HomePaths, BaseSettings):
    """Settings of one data directory.

    Values come, in this order, from arguments, `CRYPTOLIQ_<FIELD>` or `CRYPTOLIQ_<SECTION>__<FIELD>` in the environment, the
    same names in the file `.env` of the data directory, and the defaults.
    """

    # Hide inputs in validation errors: they may contain secrets.
    model_config = SettingsConfigDict(
        env_prefix="CRYPTOLIQ_",
        env_nested_delimiter="__",
        env_nested_max_split=1,
        nested_model_default_partial_update=True,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    home_dir: Path = Field(
        Path(), description="Data directory (CRYPTOLIQ_HOME): contains data/, models/, reports/ and .dagster/."
    )
    postgres_url: SecretStr | None = Field(
        None,
        description="Database of Dagster and of what machines share, postgresql+psycopg2://user:password@host:port/name; default: files in the data directory.",
    )
    dask_address: str | None = Field(
        None,
        description="Address of a Dask scheduler, tcp://host:8786, whose workers compute tables and train models; default: this process does.",
    )
    formula: str = Field("kyle_obizhaeva", description="Name of the liquidity formula behind liquidity_score.")
    horizon_days: int = Field(1, ge=1, le=28, description="Forecast horizon, in days.")
    xgboost_device: Literal["cpu", "cuda"] = Field("cpu", description="Device on which xgboost trains.")
    xgboost_rows_in_memory: int = Field(
        500_000,
        ge=0,
        description="xgboost keeps the table of more training rows than this on disk, in models/, instead of in memory.",
    )
    signing_key: SecretStr | None = Field(
        None, description="Key that signs and verifies model artifacts (HMAC-SHA256)."
    )
    seed: int = Field(7, description="Seed of every random draw in training and simulation.")

    storage: StorageSettings = StorageSettings()
    run_lock: RunLockSettings = RunLockSettings()
    backfill: BackfillSettings = BackfillSettings()
    ingestion: IngestionSettings = IngestionSettings()
    sensors: SensorSettings = SensorSettings()
    coingecko: CoinGeckoSettings = CoinGeckoSettings()
    cv: CrossValidationSettings = CrossValidationSettings()
    intervals: IntervalSettings = IntervalSettings()
    api: ApiSettings = ApiSettings()
    logs: LogSettings = LogSettings()
    dashboard: DashboardSettings = DashboardSettings()
    freshness: FreshnessSettings = FreshnessSettings()
    performance: PerformanceSettings = PerformanceSettings()
    service_monitor: ServiceMonitorSettings = ServiceMonitorSettings()
    feed: FeedSettings = FeedSettings()
    drift: DriftSettings = DriftSettings()
    alerts: AlertSettings = AlertSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read arguments, environment and the `.env` file of the data directory, the first of them with priority."""
        arguments = init_settings.init_kwargs if isinstance(init_settings, InitSettingsSource) else {}
        home = Path(arguments.get("home_dir") or os.environ.get(_HOME) or Path()).expanduser()
        return (
            init_settings,
            _VariableSource(settings_cls, os.environ),
            _VariableSource(settings_cls, _read_env_file(home / ".env")),
        )

    @field_validator("home_dir")
    @classmethod
    def _make_absolute(cls, home: Path) -> Path:
        return home.expanduser().resolve()

    @field_validator("postgres_url", "signing_key", "dask_address", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("postgres_url")
    @classmethod
    def _check_postgres_url(cls, url: SecretStr | None) -> SecretStr | None:
        # Dagster reads the variable itself, and SQLAlchemy resolves a bare postgresql:// to a driver that Dagster cannot use.
        if url is not None and not re.fullmatch(
            r"postgresql\+psycopg2://[^\s/]*/[^\s/?]+(\?\S*)?", url.get_secret_value()
        ):
            raise ValueError(
                "it must read postgresql+psycopg2://user:password@host:port/name, % and / in a password as %25 and %2F"
            )
        return url

    @field_validator("dask_address")
    @classmethod
    def _check_dask_address(cls, address: str | None) -> str | None:
        if address is None:
            return None
        if not re.fullmatch(r"(tcp|tls|ws|wss)://[^\s/]+:[0-9]+", address):
            raise ValueError("it must read tcp://host:port, or tls://host:port")
        from cryptoliq_assets.core.cluster import explain_missing_dask

        reason = explain_missing_dask()
        if reason:
            raise ValueError(reason)
        return address

    @classmethod
    def declarations(cls) -> dict[tuple[str, ...], FieldInfo]:
        """Return the declaration of every setting by its path, such as `("api", "port")`, in the order of the sections."""
        fields: dict[tuple[str, ...], FieldInfo] = {}
        for name, field in cls.model_fields.items():
            section = field.annotation
            if isinstance(section, type) and issubclass(section, SettingsSection):
                fields |= {(name, leaf): declared for leaf, declared in section.model_fields.items()}
            else:
                fields[(name,)] = field
        return fields

    @classmethod
    def variables(cls) -> dict[str, FieldInfo]:
        """Return the declaration of every setting by its environment variable, in the order of the sections."""
        return {variable_name(path): field for path, field in cls.declarations().items()}

    @classmethod
    def secrets(cls) -> frozenset[tuple[str, ...]]:
        """Return the paths of all secrets, which are never in a resource configuration, a log or a cache key."""
        return frozenset(
            path
            for path, field in cls.declarations().items()
            if SecretStr in (field.annotation, *get_args(field.annotation))
        )

    def public_values(self) -> dict[str, Any]:
        """Return everything that is not a secret, as JSON values; `Settings(**values)` takes them back."""
        secrets: dict[str, Any] = {}
        for path in self.secrets():
            if len(path) == 1:
                secrets[path[0]] = True
            else:
                secrets.setdefault(path[0], set()).add(path[1])
        return self.model_dump(mode="json", exclude_none=True, exclude=secrets)

    def with_values(self, **sections: Mapping[str, Any]) -> "Settings":
        """Return a copy with other values in some sections: `settings.with_values(api={"port": 8001})`.

        Raises:
            ValidationError: A value is not allowed, or a field does not exist.
        """
        updated = {}
        for name, values in sections.items():
            section: SettingsSection = getattr(self, name)
            updated[name] = section.model_validate({**section.model_dump(exclude_unset=True), **values})
        return self.model_copy(update=updated)

    @property
    def tables_url(self) -> str:
        """Root of the tables: `storage.url`, or data/ in the data directory."""
        return self.storage.url or str(self.data_dir)


class _VariableSource(EnvSettingsSource):
    """Variables of an environment or of a file, under present and former names."""

    def __init__(self, settings_cls: type[BaseSettings], variables: Mapping[str, str | None]) -> None:
        self._variables = variables
        super().__init__(settings_cls)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._variables.items()}

    def __call__(self) -> dict[str, Any]:
        values = super().__call__()
        home = {name.upper(): value for name, value in self._variables.items()}.get(_HOME)
        if home and self._variables is os.environ:
            values["home_dir"] = home
        for section, renamed in renamed_values(self._variables).items():
            values[section] = {**renamed, **values.get(section, {})} if isinstance(renamed, dict) else renamed
        return values


def _read_env_file(path: Path) -> dict[str, str | None]:
    """Read the variables of a `.env` file.

    Returns:
        Values by variable; empty if the path is not a file (a virtual environment may have this name).

    Raises:
        FileReadError: The file cannot be read, is a link, or is too large.
        ValueError: A line about a setting is not NAME=value, or sets what only the environment can.
    """
    if not path.is_file():
        return {}
    variables: dict[str, str | None] = {}
    for binding in parse_stream(io.StringIO(read_text(path))):
        name = (binding.key or "").upper()
        # Lines of other programs are not ours to judge.
        if "CRYPTOLIQ_" in binding.original.string and (binding.error or (name and binding.value is None)):
            raise ValueError(f"{path}, line {binding.original.line}: expected NAME=value")
        if name == _POSTGRES_URL:
            raise ValueError(
                f"{path}, line {binding.original.line}: set {name} in the environment, where Dagster reads it itself"
            )
        if name:
            variables[name] = binding.value
    return variables
