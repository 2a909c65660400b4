"""Thresholds of monitoring, and alerts."""

from pydantic import Field, SecretStr

from cryptoliq_assets.core.config.section import SettingsSection


class FreshnessSettings(SettingsSection):
    """Age and completeness of the data."""

    warn_after_days: float = Field(
        2.25, gt=0, description="Age of the newest snapshot (days since its date began) from which staleness is a WARN."
    )
    fail_after_days: float = Field(3.25, gt=0, description="Age from which staleness is a FAIL.")
    late_after_days: float = Field(
        2.25, gt=0, description="A file that arrives more than this many days after its date began counts as late."
    )
    max_missing_coin_fraction: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Fraction of the coins of the last 30 days missing for 3 days or more; above: a WARN.",
    )


class PerformanceSettings(SettingsSection):
    """Accuracy of live forecasts."""

    min_skill: float = Field(0.0, lt=1, description="A 30-day skill of forecasts at or below this is a FAIL.")
    coverage_tolerance: float = Field(
        0.05,
        gt=0,
        lt=0.5,
        description="A 30-day coverage further than this from CRYPTOLIQ_INTERVALS__COVERAGE is a FAIL.",
    )
    retrain_on_failure: bool = Field(
        False,
        description="Request a `train` run when 30-day skill or coverage fails, once for each newest target date.",
    )


class ServiceMonitorSettings(SettingsSection):
    """Health of the prediction service."""

    no_traffic_hours: int = Field(
        6, ge=1, le=24, description="Hours without a prediction, at a time of day that usually has some: a FAIL."
    )
    max_error_rate: float = Field(
        0.01,
        gt=0,
        lt=1,
        description="Fraction of a day's prediction requests that failed; above: a WARN, above five times it: a FAIL.",
    )


class FeedSettings(SettingsSection):
    """Plausibility of a snapshot compared with previous days."""

    max_stale_fraction: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="A snapshot in which a larger fraction of the coins repeats the previous price and volume is frozen.",
    )
    unit_slope_ratio: float = Field(
        2.0,
        gt=1,
        description="Maximum ratio, either way, between the realised change and the 24h column; beyond it they contradict each other, and within the same ratio of 100 or 0.01 the unit is wrong.",
    )
    scale_ratio: float = Field(
        10.0,
        gt=1,
        description="Prices, volumes or market caps changed scale if their median ratio to the previous snapshot, or its interquartile ratio, exceeds this factor.",
    )
    clock_shift_fit: float = Field(
        0.75,
        gt=0,
        le=1,
        description="A change column has a timestamp mismatch if it fits prices of another day this well (1: exactly), and its own day half as well.",
    )
    min_coin_retention: float = Field(
        0.9,
        gt=0,
        lt=1,
        description="Fewer coins than this fraction of the previous snapshot, or of the usual count, are missing coins.",
    )
    max_missing_cap_increase: float = Field(
        0.05, gt=0, lt=1, description="A larger increase of the fraction of missing market caps is reported."
    )
    max_missing_value_increase: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="A larger increase of the fraction of coins without price, volume, 24h or 7d is reported for that column.",
    )
    volume_drop_fraction: float = Field(
        0.3,
        gt=0,
        lt=1,
        description="Volumes that fell by this fraction for two snapshots, while nothing else did, are a volume level shift.",
    )
    market_move_z: float = Field(
        5.0,
        gt=0,
        description="Robust z-score beyond which a market median moved; two of price, volume and volatility are a market move.",
    )
    baseline_days: int = Field(
        60, ge=30, le=365, description="Days before a snapshot that form the baseline of a feed."
    )


class DriftSettings(SettingsSection):
    """Drift of model inputs."""

    window_days: int = Field(7, ge=1, le=28, description="Days up to the newest snapshot on which drift is measured.")
    reference_days: int = Field(
        90, ge=7, description="Last training days that are stored with a champion as its drift reference."
    )
    psi_warn: float = Field(
        0.25, gt=0, description="PSI of a feature, on values centered by day, from which drift is a WARN."
    )
    psi_fail: float = Field(0.5, gt=0, description="PSI from which the check `drift` fails.")
    wasserstein_warn: float = Field(
        0.5,
        gt=0,
        description="Wasserstein distance, in interquartile ranges of the reference, from which drift is a WARN.",
    )
    wasserstein_fail: float = Field(1.0, gt=0, description="Wasserstein distance from which the check `drift` fails.")
    missing_rate_warn: float = Field(
        0.1, gt=0, lt=1, description="Change of the fraction of missing values from which drift is a WARN."
    )
    missing_rate_fail: float = Field(
        0.3, gt=0, lt=1, description="Change of the fraction of missing values from which the check `drift` fails."
    )


class AlertSettings(SettingsSection):
    """Notification channels."""

    urls: SecretStr | None = Field(
        None,
        description="Notification channels: Apprise URLs (mailto://…, slack://…, json://…), separated by spaces or commas.",
    )
    repeat_after_hours: float = Field(24.0, gt=0, description="Hours until an open incident is notified again.")
    send_timeout_seconds: float = Field(
        15.0, gt=0, description="Timeout of a channel (seconds); a slower one counts as failed."
    )
