"""Names that settings had before they were grouped in sections. They still work, and warn once."""

import warnings
from collections.abc import Mapping
from typing import Any

# Old field → path of the new one. The variables are CRYPTOLIQ_<OLD> and CRYPTOLIQ_<SECTION>__<FIELD>.
RENAMED_SETTINGS: dict[str, tuple[str, ...]] = {
    "storage_url": ("storage", "url"),
    "models_url": ("storage", "models_url"),
    "first_month": ("storage", "first_month"),
    "change_unit": ("ingestion", "change_unit"),
    "max_file_mb": ("ingestion", "max_file_mib"),
    "max_refused_share": ("ingestion", "max_rejected_fraction"),
    "max_empty_share": ("ingestion", "max_empty_fraction"),
    "folds": ("cv", "n_splits"),
    "first_origin": ("cv", "first_test_date"),
    "min_train_dates": ("cv", "min_train_dates"),
    "interval_level": ("intervals", "coverage"),
    "device": ("xgboost_device",),
    "months_per_run": ("backfill", "max_months_per_run"),
    "sensor_seconds": ("sensors", "raw_files_interval_seconds"),
    "watch_seconds": ("sensors", "monitor_interval_seconds"),
    "max_attempts": ("sensors", "max_run_attempts"),
    "lock_seconds": ("run_lock", "timeout_seconds"),
    "api_host": ("api", "host"),
    "api_port": ("api", "port"),
    "api_workers": ("api", "workers"),
    "api_keys": ("api", "keys"),
    "api_body_mb": ("api", "max_body_mib"),
    "api_batch_rows": ("api", "max_batch_rows"),
    "api_rate_per_minute": ("api", "rate_per_minute"),
    "api_request_seconds": ("api", "request_timeout_seconds"),
    "api_reload_seconds": ("api", "reload_interval_seconds"),
    "api_tls_cert": ("api", "tls_cert"),
    "api_tls_key": ("api", "tls_key"),
    "api_trusted_proxies": ("api", "trusted_proxies"),
    "data_warn_days": ("freshness", "warn_after_days"),
    "data_fail_days": ("freshness", "fail_after_days"),
    "late_file_days": ("freshness", "late_after_days"),
    "max_coins_gone": ("freshness", "max_missing_coin_fraction"),
    "least_live_skill": ("performance", "min_skill"),
    "coverage_slack": ("performance", "coverage_tolerance"),
    "train_on_failure": ("performance", "retrain_on_failure"),
    "silent_hours": ("service_monitor", "no_traffic_hours"),
    "max_failed_share": ("service_monitor", "max_error_rate"),
    "prediction_log_days": ("logs", "prediction_days"),
    "log_to": ("logs", "destination"),
    "log_mb": ("logs", "max_file_mib"),
    "api_url": ("dashboard", "api_url"),
    "api_key": ("dashboard", "api_key"),
    "fetch_enabled": ("coingecko", "enabled"),
    "coingecko_plan": ("coingecko", "plan"),
    "coingecko_key": ("coingecko", "api_key"),
    "coingecko_url": ("coingecko", "url"),
    "coingecko_coins": ("coingecko", "top_n"),
    "coingecko_per_minute": ("coingecko", "requests_per_minute"),
    "coingecko_per_month": ("coingecko", "requests_per_month"),
    "fetch_seconds": ("coingecko", "snapshot_timeout_seconds"),
    "fetch_history_seconds": ("coingecko", "history_timeout_seconds"),
    "fetch_request_seconds": ("coingecko", "request_timeout_seconds"),
    "fetch_wait_seconds": ("coingecko", "backoff_seconds"),
    "alert_urls": ("alerts", "urls"),
    "alert_repeat_hours": ("alerts", "repeat_after_hours"),
    "alert_send_seconds": ("alerts", "send_timeout_seconds"),
    "feed_frozen_share": ("feed", "max_stale_fraction"),
    "feed_slope_factor": ("feed", "unit_slope_ratio"),
    "feed_scale_factor": ("feed", "scale_ratio"),
    "feed_clock_fit": ("feed", "clock_shift_fit"),
    "feed_coins_kept": ("feed", "min_coin_retention"),
    "feed_caps_lost": ("feed", "max_missing_cap_increase"),
    "feed_cells_lost": ("feed", "max_missing_value_increase"),
    "feed_volume_step": ("feed", "volume_drop_fraction"),
    "feed_move_z": ("feed", "market_move_z"),
    "feed_usual_days": ("feed", "baseline_days"),
    "drift_days": ("drift", "window_days"),
    "drift_reference_days": ("drift", "reference_days"),
    "drift_psi_warn": ("drift", "psi_warn"),
    "drift_psi_fail": ("drift", "psi_fail"),
    "drift_distance_warn": ("drift", "wasserstein_warn"),
    "drift_distance_fail": ("drift", "wasserstein_fail"),
    "drift_missing_warn": ("drift", "missing_rate_warn"),
    "drift_missing_fail": ("drift", "missing_rate_fail"),
}

_warned: set[str] = set()


def variable_name(path: tuple[str | int, ...]) -> str:
    """Return the environment variable of a setting, given its path: ("api", "port") gives CRYPTOLIQ_API__PORT."""
    if path[:1] == ("home_dir",):
        return "CRYPTOLIQ_HOME"
    return "CRYPTOLIQ_" + "__".join(map(str, path)).upper()


def renamed_values(environment: Mapping[str, str | None]) -> dict[str, Any]:
    """Collect the settings that an environment gives under old names, nested as the new ones.

    Args:
        environment: Variables with their values; names in any case.

    Returns:
        Values by section and field. A variable that is also set under its new name is left out.
    """
    given = {name.upper(): value for name, value in environment.items()}
    values: dict[str, Any] = {}
    for old, path in RENAMED_SETTINGS.items():
        name, new = f"CRYPTOLIQ_{old.upper()}", variable_name(path)
        if name not in given or new in given:
            continue
        if name not in _warned:
            _warned.add(name)
            warnings.warn(f"{name} is now {new}; the old name will be removed", FutureWarning, stacklevel=2)
        place = values
        for part in path[:-1]:
            place = place.setdefault(part, {})
        place[path[-1]] = given[name]
    return values
