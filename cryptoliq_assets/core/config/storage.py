"""Where tables, models and the run history are stored, and how runs share them."""

import datetime as dt

from pydantic import Field, field_validator

from cryptoliq_assets.core.config.section import SettingsSection


class StorageSettings(SettingsSection):
    """Locations of tables and models."""

    url: str | None = Field(
        None, description="Where the tables lie: a folder, s3://… or gs://…; default: data/ in the home."
    )
    models_url: str | None = Field(
        None,
        description="Where models are read, and never written: a folder, s3://… or gs://…; default: models/ in the home.",
    )
    first_month: str = Field("2013-01", pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$", description="First monthly partition.")

    @field_validator("first_month")
    @classmethod
    def _begun(cls, month: str) -> str:
        present = f"{dt.datetime.now(dt.UTC):%Y-%m}"
        if month > present:
            raise ValueError(f"the first month lies after the present one, {present}")
        return month


class RunLockSettings(SettingsSection):
    """The lock that runs on one data directory take."""

    timeout_seconds: float = Field(3600.0, ge=0, description="Seconds a run waits for another run on the same home.")


class BackfillSettings(SettingsSection):
    """How much work one run takes on."""

    max_months_per_run: int = Field(24, ge=2, le=240, description="Most months that one run refreshes.")
