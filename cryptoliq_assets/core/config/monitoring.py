"""Thresholds of the monitor, and alerts."""

from pydantic import Field, SecretStr

from cryptoliq_assets.core.config.section import SettingsSection


class FreshnessSettings(SettingsSection):
    """Age and completeness of the data."""

    warn_after_days: float = Field(
        2.25, gt=0, description="Age of the newest snapshot (days since its date began) from which data is a WARN."
    )
    fail_after_days: float = Field(3.25, gt=0, description="The same age from which it is a FAIL.")
    late_after_days: float = Field(
        2.25, gt=0, description="A file that came more days than this after its date began counts as late."
    )
    max_missing_coin_fraction: float = Field(
        0.1, ge=0, le=1, description="Share of the coins of the last 30 days gone for 3 days or more; above: a WARN."
    )


class PerformanceSettings(SettingsSection):
    """Accuracy of live forecasts."""

    min_skill: float = Field(0.0, lt=1, description="30-day skill of forecasts at or below this is a FAIL.")
    coverage_tolerance: float = Field(
        0.05, gt=0, lt=0.5, description="30-day coverage further than this from interval_level is a FAIL."
    )
    retrain_on_failure: bool = Field(
        False, description="Ask for `train` when 30-day skill or coverage fails, once for each newest target date."
    )


class ServiceMonitorSettings(SettingsSection):
    """Health of the prediction service."""

    no_traffic_hours: int = Field(
        6, ge=1, le=24, description="Hours without a prediction, where others had some at that time of day: a FAIL."
    )
    max_error_rate: float = Field(
        0.01,
        gt=0,
        lt=1,
        description="Share of a day's requests to predict that failed; above: a WARN, five times it: a FAIL.",
    )


class FeedSettings(SettingsSection):
    """Plausibility of a snapshot compared with the days before."""

    max_stale_fraction: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="A snapshot in which a larger share of the coins repeats price and volume of the one before is frozen.",
    )
    unit_slope_ratio: float = Field(
        2.0,
        gt=1,
        description="The realised change may be this many times the 24h column, or the column the change, before the two contradict each other; as close to 100 or 0.01 times, the unit is wrong.",
    )
    scale_ratio: float = Field(
        10.0,
        gt=1,
        description="Prices, volumes or market caps whose median ratio to the snapshot before, or the quartiles' distance, exceeds this factor changed their scale.",
    )
    clock_shift_fit: float = Field(
        0.75,
        gt=0,
        le=1,
        description="A change column that fits prices a day off this well (1: to the digit), and its own day half as well, is off.",
    )
    min_coin_retention: float = Field(
        0.9, gt=0, lt=1, description="Fewer coins than this share of the snapshot before, or of the usual, are a loss."
    )
    max_missing_cap_increase: float = Field(
        0.05, gt=0, lt=1, description="A larger rise of the share of unknown market caps than this is a loss of caps."
    )
    max_missing_value_increase: float = Field(
        0.05,
        gt=0,
        lt=1,
        description="A larger rise of the share of coins without price, volume, 24h or 7d than this is a loss of that column.",
    )
    volume_drop_fraction: float = Field(
        0.3, gt=0, lt=1, description="Volumes that fell by this share for two snapshots, and nothing else, made a step."
    )
    market_move_z: float = Field(
        5.0,
        gt=0,
        description="Robust z beyond which a market median moved; two of price, volume and volatility are a market move.",
    )
    baseline_days: int = Field(
        60, ge=30, le=365, description="Days before a snapshot that say what is usual for a feed."
    )


class DriftSettings(SettingsSection):
    """Drift of model inputs."""

    window_days: int = Field(7, ge=1, le=28, description="Days up to the newest snapshot that drift is measured on.")
    reference_days: int = Field(
        90, ge=7, description="Last training days that are kept with a champion as its reference for drift."
    )
    psi_warn: float = Field(0.25, gt=0, description="PSI of a feature, on values centred by day, that warns.")
    psi_fail: float = Field(0.5, gt=0, description="PSI that fails the check `drift`.")
    wasserstein_warn: float = Field(
        0.5, gt=0, description="Wasserstein distance over the reference's interquartile range that warns."
    )
    wasserstein_fail: float = Field(1.0, gt=0, description="The same that fails the check `drift`.")
    missing_rate_warn: float = Field(0.1, gt=0, lt=1, description="Rise or fall of a share of missing that warns.")
    missing_rate_fail: float = Field(0.3, gt=0, lt=1, description="The same that fails the check `drift`.")


class AlertSettings(SettingsSection):
    """Notification channels."""

    urls: SecretStr | None = Field(
        None, description="Channels of the alerts: Apprise URLs (mailto://…, slack://…, json://…), by spaces or commas."
    )
    repeat_after_hours: float = Field(24.0, gt=0, description="Hours until an incident that stays is told again.")
    send_timeout_seconds: float = Field(15.0, gt=0, description="A channel that takes longer (seconds) has failed.")
