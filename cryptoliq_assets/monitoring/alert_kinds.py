"""The alert kinds: name, title, remedy, highest level and figures of each, declared once.

Add a kind here before a check raises it; nothing else lists kinds, and the table in docs/operations.md has the same
rows. What a check measures does not belong here.
"""

from cryptoliq_assets.monitoring.alert_registry import (
    ALERT_KINDS as ALERT_KINDS,
    WARN,
    AlertKind,
    register_alert_kind,
    require_alert_kind as require_alert_kind,
)

_COLUMN_FIELDS = ("missing", "usually_missing", "lost_by_known")

for _kind in (
    AlertKind(
        "data_stale",
        title="Data is stale",
        remedy="find out why no snapshot arrives: check the source, data/raw and the raw_files sensor",
        fields=("age_days", "newest_snapshot", "warn_days", "fail_days"),
    ),
    AlertKind(
        "days_missing",
        title="Days are missing",
        remedy="fetch or request the missing snapshots; when late files arrive, downstream tables are recomputed",
        fields=(
            *("missing_30", "missing_90", "missing", "newest_snapshot"),
            *("files_30", "late_files", "latest_days", "late"),
        ),
    ),
    AlertKind(
        "files_refused",
        title="Files were rejected",
        remedy="read reports/validation/<file>.json, correct the file and drop it again",
        fields=("refused", "left", "accepted", "files"),
    ),
    AlertKind(
        "validation_failed",
        title="A table failed its checks",
        remedy="open the check in the UI; it names column, value and rows",
        fields=("run_id",),
    ),
    AlertKind(
        "feed_frozen",
        title="The feed is frozen",
        remedy="report to the source that values repeat those of the previous day",
        fields=("frozen_share",),
        ok_message="prices and volumes differ from the previous snapshot",
        subject="feed fault",
    ),
    AlertKind(
        "clock_off",
        title="The feed has a timestamp mismatch",
        remedy="compare the date of the file with the date of its prices; drop it again under the correct date",
        fields=(
            *("fit_24h", "fit_24h_column_behind", "fit_24h_prices_behind"),
            *("fit_7d", "fit_7d_of_6_days", "fit_7d_of_8_days"),
        ),
        ok_message="the change columns match the prices of their own days",
        subject="feed fault",
    ),
    AlertKind(
        "unit_switched",
        title="The unit of the change columns switched",
        remedy="ask the source whether 1h, 24h and 7d are percents or fractions",
        fields=("slope", "unit", "unit_before"),
        ok_message="the change columns have their usual unit",
        subject="feed fault",
    ),
    AlertKind(
        "scale_changed",
        title="The scale of a column changed",
        remedy="ask the source for the unit of the named column; drop the file again with values in USD",
        fields=("price_factor", "24h_volume_factor", "mkt_cap_factor"),
        ok_message="prices, volumes and market caps have their usual scale",
        subject="feed fault",
    ),
    AlertKind(
        "changes_contradict",
        title="The change columns contradict the prices",
        remedy="ask the source for the reference point of its 24h column; compare it with another source",
        fields=("slope",),
        ok_message="the 24h column agrees with the prices",
        subject="feed fault",
    ),
    AlertKind(
        "coins_lost",
        title="Coins are missing from the snapshot",
        remedy="compare the number of rows with the previous day; request the complete file",
        fields=("coins", "of_snapshot_before", "of_usual"),
        ok_message="as many coins as usual",
        subject="feed fault",
    ),
    AlertKind(
        "prices_missing",
        title="Prices are missing",
        remedy="request the complete file from the source and drop it again; coins without a price are not forecast",
        fields=_COLUMN_FIELDS,
        ok_message="prices are as complete as usual",
        subject="feed fault",
    ),
    AlertKind(
        "volumes_missing",
        title="Volumes are missing",
        remedy="request the complete file from the source and drop it again; filled rows are excluded from training "
        "and evaluation",
        fields=_COLUMN_FIELDS,
        ok_message="volumes are as complete as usual",
        subject="feed fault",
    ),
    AlertKind(
        "changes_missing",
        title="24h or 7d changes are missing",
        remedy="request 24h and 7d from the source and drop the file again; rows without them are excluded from "
        "training and evaluation",
        fields=tuple(f"{column}_{field}" for column in ("24h", "7d") for field in _COLUMN_FIELDS),
        ok_message="24h and 7d changes are as complete as usual",
        subject="feed fault",
    ),
    AlertKind(
        "caps_missing",
        title="Market caps are missing",
        remedy="ask the source; market caps stay unknown until the source corrects them",
        fields=_COLUMN_FIELDS,
        ok_message="market caps are as complete as usual",
        subject="feed fault",
    ),
    AlertKind(
        "volume_step",
        title="Volumes shifted to a lower level",
        remedy="compare with another source whether trading fell or the feed covers fewer markets",
        level=WARN,
        fields=("first", "second", "usual_deviation"),
        ok_message="no volume level shift",
        subject="feed market",
    ),
    AlertKind(
        "market_move",
        title="The market moved",
        remedy="nothing to correct: the data is valid; expect larger forecast errors for some days",
        level=WARN,
        fields=("price_z", "volume_z", "volatility_z", "price", "volume", "volatility"),
        ok_message="the market moves as usual",
        subject="feed market",
    ),
    AlertKind(
        "feature_drift",
        title="Features drifted",
        remedy="read reports/drift_report.html; if the drift persists, run `cryptoliq train`",
        fields=(
            *(
                f"{of}_{name}"
                for name in ("psi", "distance", "missing_change", "shift")
                for of in ("median", "largest")
            ),
            "beyond",
        ),
    ),
    AlertKind(
        "skill_lost",
        title="The champion lost its skill",
        remedy="`cryptoliq train`, or `cryptoliq models rollback`",
        fields=("skill", "mae", "mae_persistence", "forecasts", "days", "through"),
    ),
    AlertKind(
        "coverage_lost",
        title="Interval coverage is off",
        remedy="`cryptoliq train` recalibrates the intervals",
        fields=("coverage", "level", "low", "high", "forecasts", "days", "through", "outside"),
    ),
    AlertKind(
        "model_missing",
        title="The champion is missing",
        remedy="`cryptoliq train`",
        fields=("version",),
    ),
    AlertKind(
        "model_broken",
        title="The champion does not load",
        remedy="`cryptoliq models verify`, then restore it or roll back",
        fields=("version",),
    ),
    AlertKind(
        "model_rolled_back",
        title="The champion was rolled back",
        remedy="read models/ledger.jsonl for who requested it and why",
        level=WARN,
        fields=("version", "before"),
    ),
    AlertKind(
        "data_damaged",
        title="Stored data is damaged",
        remedy="`cryptoliq verify` lists each item and its remedy; run it again after the repair",
        fields=("checked", "damaged", "deep", "months"),
    ),
    AlertKind(
        "run_failed",
        title="A run failed",
        remedy="open the run in the UI; its error names the step and the reason",
        fields=("run_id",),
        ends_when_closed=True,
    ),
    AlertKind(
        "predictions_stopped",
        title="Prediction volume fell to zero",
        remedy="check /readyz, logs/app.log and the clients of the service",
        fields=("predictions", "hours", "last_at", "failed", "usual", "windows_with_use"),
    ),
    AlertKind(
        "monitor_broken",
        title="A part of the monitor failed",
        remedy="read the error; `cryptoliq monitor` runs the part again, all other parts were evaluated",
        fields=("error",),
    ),
    AlertKind(
        "report_broken",
        title="A report cannot be read",
        remedy="`cryptoliq monitor` writes it again",
    ),
    AlertKind(
        "service_errors",
        title="Requests to the service fail",
        remedy="search logs/app.log for the events `exception` and `problem`",
        fields=("failed", "answered", "error_rate"),
    ),
):
    register_alert_kind(_kind)

# Defects of the feed, in the order of diagnosis; and all kinds that a snapshot can raise.
FEED_FAULT_KINDS = tuple(name for name, kind in ALERT_KINDS.items() if kind.subject == "feed fault")
FEED_KINDS = tuple(name for name, kind in ALERT_KINDS.items() if kind.subject != "other")
