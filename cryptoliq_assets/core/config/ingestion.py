"""How raw files are accepted, and how often they are looked for."""

from typing import Literal

from pydantic import Field

from cryptoliq_assets.core.config.section import SettingsSection


class IngestionSettings(SettingsSection):
    """Acceptance of raw files."""

    change_unit: Literal["auto", "percent", "fraction"] = Field(
        "auto",
        description="Unit of 1h, 24h and 7d in raw files that do not declare theirs; auto finds it from each file alone.",
    )
    max_file_mib: float = Field(256.0, gt=0, description="A raw file larger than this (MiB) is refused unread.")
    max_rejected_fraction: float = Field(
        0.5,
        ge=0,
        le=1,
        description="A file with more than this share of its rows refused, or without coin, price or volume, is refused whole; "
        "1: no file is refused because of its values.",
    )
    max_empty_fraction: float = Field(
        0.2,
        ge=0,
        le=1,
        description="A column that is empty in more than this share of a file's rows is an issue of its report.",
    )


class SensorSettings(SettingsSection):
    """How often Dagster sensors check, and how often they retry."""

    raw_files_interval_seconds: int = Field(10, ge=1, description="Seconds between two looks of the raw_files sensor.")
    monitor_interval_seconds: int = Field(60, ge=1, description="Seconds between two looks of the monitor's sensors.")
    max_run_attempts: int = Field(
        3, ge=1, description="Times that the sensor asks for the same work before it gives up."
    )
