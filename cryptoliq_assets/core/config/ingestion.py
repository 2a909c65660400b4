"""How raw files are accepted, and how often sensors check for them."""

from typing import Literal

from pydantic import Field

from cryptoliq_assets.core.config.section import SettingsSection


class IngestionSettings(SettingsSection):
    """Acceptance of raw files."""

    change_unit: Literal["auto", "percent", "fraction"] = Field(
        "auto",
        description="Unit of 1h, 24h and 7d in raw files that do not declare one; auto infers it from each file alone.",
    )
    max_file_mib: float = Field(
        256.0, gt=0, description="A raw file larger than this (MiB) is rejected without being read."
    )
    max_rejected_fraction: float = Field(
        0.5,
        ge=0,
        le=1,
        description="A file is rejected if more than this fraction of its rows is rejected, or lacks coin, price or volume; "
        "1: no file is rejected because of its values.",
    )
    max_empty_fraction: float = Field(
        0.2,
        ge=0,
        le=1,
        description="A column that is empty in more than this fraction of a file's rows is an issue in its report.",
    )


class SensorSettings(SettingsSection):
    """How often Dagster sensors check, and how often they retry."""

    raw_files_interval_seconds: int = Field(
        10, ge=1, description="Seconds between two evaluations of the raw_files sensor."
    )
    monitor_interval_seconds: int = Field(
        60, ge=1, description="Seconds between two evaluations of the monitoring sensors."
    )
    max_run_attempts: int = Field(3, ge=1, description="Maximum number of run requests for the same work.")
