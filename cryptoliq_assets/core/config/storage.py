"""Where tables, models and the run history are stored, and how runs share them."""

import datetime as dt

from pydantic import Field, field_validator

from cryptoliq_assets.core.config.section import SettingsSection
from cryptoliq_assets.core.object_store import CallLimits


class StorageSettings(SettingsSection):
    """Locations of tables, files and models."""

    url: str | None = Field(
        None, description="Location of the tables: a folder, s3://… or gs://…; default: data/ in the data directory."
    )
    models_url: str | None = Field(
        None,
        description="Location from which models are read, never written: a folder, s3://… or gs://…; default: models/ in the data directory.",
    )
    files_url: str | None = Field(
        None,
        description="Location of archive, quarantine, reports, predictions and models: a folder, s3://… or gs://…; default: the data directory.",
    )
    timeout_seconds: float = Field(
        10.0,
        gt=0,
        le=600,
        description="Time limit (seconds) for connecting to an object store, and for the next bytes of its answer.",
    )
    max_retries: int = Field(
        2, ge=0, le=20, description="Number of further attempts after a failed call to an object store."
    )
    first_month: str = Field("2013-01", pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$", description="First monthly partition.")

    @property
    def limits(self) -> CallLimits:
        """Limits of each call to an object store."""
        return CallLimits(timeout_seconds=self.timeout_seconds, max_retries=self.max_retries)

    @field_validator("url", "models_url", "files_url")
    @classmethod
    def _reject_url_without_driver(cls, url: str | None) -> str | None:
        if url and "://" in url:
            # Only here: it loads the clients' registry.
            from cryptoliq_assets.core.locations import explain_missing_driver

            reason = explain_missing_driver(url)
            if reason:
                raise ValueError(reason)
        return url

    @field_validator("first_month")
    @classmethod
    def _reject_future_month(cls, month: str) -> str:
        current = f"{dt.datetime.now(dt.UTC):%Y-%m}"
        if month > current:
            raise ValueError(f"the first month is after the current one, {current}")
        return month


class RunLockSettings(SettingsSection):
    """The run lock of a data directory."""

    timeout_seconds: float = Field(
        3600.0, ge=0, description="Seconds that a run waits for another run on the same data directory."
    )


class BackfillSettings(SettingsSection):
    """Size of one run."""

    max_months_per_run: int = Field(24, ge=2, le=240, description="Maximum number of months that one run refreshes.")
