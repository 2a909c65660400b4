"""Page Data health: problems, data freshness, drift, forecast accuracy, alerts, and the last files received."""

from typing import Any

import pandas as pd
import streamlit as st

from cryptoliq_assets.dashboard import (
    Page,
    charts,
    escape_markdown,
    format_number,
    lacks_data_directory,
    load_health,
    render_page,
    show_chart,
    show_empty_state,
    show_metrics,
)
from cryptoliq_assets.dashboard.data_sources import Source
from cryptoliq_assets.monitoring import ALERT_KINDS, FAIL, OK, WARN
from cryptoliq_assets.serving import ACCURACY_DAYS

PAGE = Page("Data health", icon=":material/monitor_heart:", order=60, url_path="health")

_MAX_LISTED = 20
_FILES = {
    "file": st.column_config.TextColumn("File"),
    "arrived_at": st.column_config.TextColumn("Arrived, UTC"),
    "state": st.column_config.TextColumn("Status"),
    "rows_read": st.column_config.NumberColumn("Rows read", format="localized"),
    "rows_kept": st.column_config.NumberColumn("Rows accepted", format="localized"),
    "refused": st.column_config.NumberColumn("Rows rejected", format="localized"),
    "reason": st.column_config.TextColumn("Reason", width="large"),
}
# States of the catalog as they are displayed.
_STATE_LABELS = {"refused": "rejected"}

_LEVELS = (OK, WARN, FAIL)
_INCIDENTS = {
    "id": st.column_config.TextColumn("ID", help="for `cryptoliq alerts close ID`"),
    "level": st.column_config.TextColumn("Level"),
    "title": st.column_config.TextColumn("Incident"),
    "where": st.column_config.TextColumn("Subject"),
    "since": st.column_config.TextColumn("Since"),
    "what": st.column_config.TextColumn("Message", width="large"),
}
_CLOSED = {
    "id": st.column_config.TextColumn("ID"),
    "level": st.column_config.TextColumn("Level"),
    "title": st.column_config.TextColumn("Incident"),
    "where": st.column_config.TextColumn("Subject"),
    "closed_at": st.column_config.TextColumn("Closed, UTC"),
    "by": st.column_config.TextColumn("By"),
    "reason": st.column_config.TextColumn("Reason", width="large"),
}
_SILENCES = {
    "kind": st.column_config.TextColumn("Alert kind"),
    "until": st.column_config.TextColumn("Until, UTC"),
    "by": st.column_config.TextColumn("By"),
    "reason": st.column_config.TextColumn("Reason", width="large"),
}
_NOTIFICATIONS = {
    "at": st.column_config.TextColumn("Notified, UTC"),
    "event": st.column_config.TextColumn("Event"),
    "title": st.column_config.TextColumn("Incident"),
    "where": st.column_config.TextColumn("Subject"),
    "what": st.column_config.TextColumn("Message", width="large"),
}
_FINDINGS = {
    "level": st.column_config.TextColumn("Level"),
    "kind": st.column_config.TextColumn("Kind"),
    "where": st.column_config.TextColumn("Subject"),
    "what": st.column_config.TextColumn("Message", width="large"),
}
_FEATURES = {
    "name": st.column_config.TextColumn("Feature"),
    "level": st.column_config.TextColumn("Level"),
    "psi": st.column_config.NumberColumn("PSI", format="%.3f"),
    "distance": st.column_config.NumberColumn("Wasserstein distance", format="%.3f"),
    "shift": st.column_config.NumberColumn("Median shift", format="%.3f", help="in training standard deviations"),
    "missing": st.column_config.NumberColumn("Missing", format="percent"),
    "missing_before": st.column_config.NumberColumn("Missing in training", format="percent"),
}


def show(source: Source) -> None:
    """Draw the page."""
    if lacks_data_directory(source):
        return
    health = load_health(source)
    for problem in health["problems"]:
        st.warning(escape_markdown(problem))
    if health["newest_snapshot"] is None:
        show_empty_state(source)
    _show_findings(health)
    if health["newest_snapshot"] is not None:
        _show_freshness(health)
        _show_drift(health["drift"])
        _show_accuracy(health)
        _show_stale_coins(health)
    _show_alerts(health)
    _show_files(health["files"])


def _show_findings(health: dict[str, Any]) -> None:
    """Show one box per warning or failure: level, subject, message, start, and what to do."""
    for finding in health["conditions"]:
        since = f" Since {escape_markdown(finding['since'])}." if finding["since"] else ""
        show_box = st.error if finding["level"] == FAIL else st.warning
        show_box(
            f"**{finding['level'].upper()}: {escape_markdown(finding['title'])}: {escape_markdown(finding['where'])}**\n\n"
            f"{escape_markdown(finding['what'])}.{since}\n\nWhat to do: {escape_markdown(finding['to_do'])}.",
            icon=":material/error:" if finding["level"] == FAIL else ":material/warning:",
        )
    # For an empty data directory the next step is shown instead.
    if not health["conditions"] and health["conditions_looked_at"] and health["newest_snapshot"] is not None:
        checks = health["conditions_looked_at"]
        st.success(f"{checks} {'check' if checks == 1 else 'checks'} passed.")


def _show_alerts(health: dict[str, Any]) -> None:
    st.subheader("Alerts")
    if health["looked_at"] is None:
        st.caption("Alerts were never evaluated: `cryptoliq monitor` does, and so does the daemon of `cryptoliq ui`.")
        return
    st.caption(f"Last checked: {escape_markdown(health['looked_at'][:16].replace('T', ' '))} UTC.")
    if health["incidents"]:
        st.markdown("**Open incidents**")
        incidents = pd.DataFrame(health["incidents"])[list(_INCIDENTS)]
        st.dataframe(incidents, column_config=_INCIDENTS, hide_index=True, key="incidents")
    if health["closed"]:
        st.markdown("**Closed incidents: raised again only if they worsen, or recur after recovery**")
        closed = pd.DataFrame(health["closed"])[list(_CLOSED)]
        st.dataframe(closed, column_config=_CLOSED, hide_index=True, key="closed")
    if health["silences"]:
        st.markdown("**Silenced alert kinds: recorded, but not delivered until the end of the silence**")
        silences = pd.DataFrame(health["silences"])[list(_SILENCES)]
        st.dataframe(silences, column_config=_SILENCES, hide_index=True, key="silences")
    if health["notices"]:
        st.markdown("**Last notifications, newest first**")
        notifications = pd.DataFrame(health["notices"])
        notifications["at"] = notifications["at"].str.slice(0, 16).str.replace("T", " ")
        notifications["title"] = [
            ALERT_KINDS[kind].title if kind in ALERT_KINDS else kind for kind in notifications["kind"]
        ]
        st.dataframe(notifications[list(_NOTIFICATIONS)], column_config=_NOTIFICATIONS, hide_index=True, key="notices")


def _show_freshness(health: dict[str, Any]) -> None:
    age, missing = health["age_days"], health["missing_days"]
    show_metrics(
        {
            "Newest snapshot": health["newest_snapshot"],
            "Age": f"{age} day" if age == 1 else f"{age} days",
            "Snapshots": f"{health['days']:,}",
            "Missing days": f"{len(missing):,}",
            "Stale coins": f"{len(health['stale']):,}",
        },
        helps={
            "Missing days": f"days without a snapshot since {health['first_snapshot']}",
            "Stale coins": "seen in the last 90 days, missing from the newest forecast snapshot",
        },
    )
    if age > 1:
        st.caption(f"The newest snapshot is {age} days old: drop newer files into `data/raw`.")
    if missing:
        more = f" and {len(missing) - _MAX_LISTED:,} more" if len(missing) > _MAX_LISTED else ""
        st.caption(f"Missing, newest first: {', '.join(missing[:_MAX_LISTED])}{more}.")
    show_chart(
        charts.draw_daily_bars(
            pd.DataFrame(health["snapshots"]), "coins", title="Coins in each snapshot", y_title="coins"
        ),
        key="coins",
    )


def _show_accuracy(health: dict[str, Any]) -> None:
    st.subheader("Forecast accuracy")
    accuracy = health["accuracy"]
    if accuracy is None:
        st.caption("No actual value for a stored forecast yet: it needs a snapshot of the target date.")
        return
    show_metrics(
        {
            "Forecasts": f"{accuracy['forecasts']:,}",
            "Skill": format_number(accuracy["skill"]),
            "MAE": format_number(accuracy["mae"], ".4f"),
            "MAE of persistence": format_number(accuracy["mae_persistence"], ".4f"),
            "Coverage": f"{accuracy['coverage']:.1%}",
        },
        helps={"Coverage": "fraction of the actual scores that are within their prediction interval"},
    )
    st.caption(
        f"Forecast vs. actual: forecasts of the last {ACCURACY_DAYS} days with an actual value, {accuracy['days']:,} target "
        "dates."
    )
    days = pd.DataFrame(health["accuracy_by_day"]).rename(columns={"target_date": "date"})
    errors = {"mae": "forecasts", "mae_persistence": "persistence"}
    show_chart(
        charts.draw_lines(days, errors, title="Mean absolute error by target date", y_title="MAE", form=".4f"),
        key="errors",
    )


def _show_stale_coins(health: dict[str, Any]) -> None:
    if not health["stale"]:
        return
    st.subheader("Stale coins")
    columns = {"coin": "Coin", "last_seen": "Last seen"}
    st.dataframe(pd.DataFrame(health["stale"]), column_config=columns, hide_index=True, key="stale")
    st.caption(f"Missing from the snapshot of {health['stale_on']}, so not forecast.")


def _show_files(files: dict[str, Any]) -> None:
    st.subheader("Files received")
    counts = files["counts"]
    if not any(counts.values()):
        st.caption("No file was received yet.")
        return
    st.caption(
        ", ".join(f"{count:,} {_STATE_LABELS.get(state, state)}" for state, count in counts.items() if count) + "."
    )
    if files["refused"]:
        st.markdown("**Rejected files, stored in** `data/quarantine`")
        st.dataframe(
            _make_file_table(files["refused"])[["file", "arrived_at", "reason"]],
            column_config=_FILES,
            hide_index=True,
            key="no",
        )
    st.markdown("**Last files**")
    st.dataframe(_make_file_table(files["latest"]), column_config=_FILES, hide_index=True, key="latest")


def _make_file_table(files: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "file": file["file"],
                "arrived_at": str(file["arrived_at"])[:16].replace("T", " "),
                "state": _STATE_LABELS.get(file["state"], file["state"]),
                "rows_read": file["rows_read"],
                "rows_kept": file["rows_kept"],
                "refused": sum(file["rows_refused"].values()),
                "reason": file["reason"] or "; ".join(file["issues"]),
            }
            for file in files
        ],
        columns=list(_FILES),
    )


def _show_drift(report: dict[str, Any] | None) -> None:
    st.subheader("Drift")
    if report is None:
        st.caption("No drift report yet: `cryptoliq monitor` writes one.")
        return
    findings = [finding for finding in report.get("conditions", []) if isinstance(finding, dict)]
    if findings:
        rows = [{name: str(finding.get(name) or "") for name in _FINDINGS} for finding in findings]
        rows.sort(key=lambda row: ("fail", "warn", "ok").index(row["level"]) if row["level"] in _LEVELS else 3)
        st.dataframe(pd.DataFrame(rows), column_config=_FINDINGS, hide_index=True, key="drift")
    if report.get("not_measured"):
        st.caption(f"The features were not compared with training: {escape_markdown(str(report['not_measured']))}.")
    features = _make_feature_table(report)
    if features is not None:
        st.markdown("**By feature, largest PSI first**")
        st.dataframe(features, column_config=_FEATURES, hide_index=True, key="features")
        st.caption(
            "PSI and Wasserstein distance are of values minus the median of their day; the median shift is of the values "
            "themselves, in training standard deviations. `reports/drift_report.html` contains the plots."
        )
    with st.expander("Full report"):
        st.json(report, expanded=1)


def _make_feature_table(report: dict[str, Any]) -> pd.DataFrame | None:
    """Return one row per feature of the report's `drift`; None if it has none."""
    features = report.get("drift")
    if not isinstance(features, list) or not features or not all(isinstance(row, dict) for row in features):
        return None
    frame = pd.DataFrame(features).reindex(columns=[*_FEATURES, "judged"])
    # A feature that is reported but not evaluated has no level of its own.
    frame["level"] = frame["level"].where(frame["judged"].ne(False), "reported only")
    return frame[list(_FEATURES)]


if __name__ == "__main__":
    render_page(PAGE, show)
