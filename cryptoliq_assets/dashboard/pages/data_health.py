"""Data health: what is not well and what was told of it, how new and whole the data is, drift, how forecasts came true,
what became of the last files."""

from typing import Any

import pandas as pd
import streamlit as st

from cryptoliq_assets.dashboard import chart, charts, figures, health, needs_home, nothing_yet, page, shown, text
from cryptoliq_assets.dashboard.data_sources import Source
from cryptoliq_assets.monitoring import ALERT_KINDS, FAIL, OK, WARN
from cryptoliq_assets.serving import ACCURACY_DAYS

_LISTED = 20
_FILES = {
    "file": st.column_config.TextColumn("File"),
    "arrived_at": st.column_config.TextColumn("Arrived, UTC"),
    "state": st.column_config.TextColumn("State"),
    "rows_read": st.column_config.NumberColumn("Rows read", format="localized"),
    "rows_kept": st.column_config.NumberColumn("Kept", format="localized"),
    "refused": st.column_config.NumberColumn("Refused", format="localized"),
    "reason": st.column_config.TextColumn("Why", width="large"),
}

_LEVELS = (OK, WARN, FAIL)
_INCIDENTS = {
    "id": st.column_config.TextColumn("ID", help="for `cryptoliq alerts close ID`"),
    "level": st.column_config.TextColumn("Level"),
    "title": st.column_config.TextColumn("Incident"),
    "where": st.column_config.TextColumn("Where"),
    "since": st.column_config.TextColumn("Since"),
    "what": st.column_config.TextColumn("What", width="large"),
}
_CLOSED = {
    "id": st.column_config.TextColumn("ID"),
    "level": st.column_config.TextColumn("Level"),
    "title": st.column_config.TextColumn("Incident"),
    "where": st.column_config.TextColumn("Where"),
    "closed_at": st.column_config.TextColumn("Closed, UTC"),
    "by": st.column_config.TextColumn("By"),
    "reason": st.column_config.TextColumn("Why", width="large"),
}
_SILENCES = {
    "kind": st.column_config.TextColumn("Kind"),
    "until": st.column_config.TextColumn("Until, UTC"),
    "by": st.column_config.TextColumn("By"),
    "reason": st.column_config.TextColumn("Why", width="large"),
}
_NOTICES = {
    "at": st.column_config.TextColumn("Told, UTC"),
    "event": st.column_config.TextColumn("Event"),
    "title": st.column_config.TextColumn("Incident"),
    "where": st.column_config.TextColumn("Where"),
    "what": st.column_config.TextColumn("What", width="large"),
}
_FINDINGS = {
    "level": st.column_config.TextColumn("Level"),
    "kind": st.column_config.TextColumn("Kind"),
    "where": st.column_config.TextColumn("Where"),
    "what": st.column_config.TextColumn("What", width="large"),
}
_FEATURES = {
    "name": st.column_config.TextColumn("Feature"),
    "level": st.column_config.TextColumn("Level"),
    "psi": st.column_config.NumberColumn("PSI", format="%.3f"),
    "distance": st.column_config.NumberColumn("Distance", format="%.3f"),
    "shift": st.column_config.NumberColumn("Median shift", format="%.3f"),
    "missing": st.column_config.NumberColumn("Missing", format="percent"),
    "missing_before": st.column_config.NumberColumn("Missing in training", format="percent"),
}


def show(source: Source) -> None:
    if needs_home(source):
        return
    told = health(source)
    for problem in told["problems"]:
        st.warning(text(problem))
    if told["newest_snapshot"] is None:
        nothing_yet(source)
    _not_well(told)
    if told["newest_snapshot"] is not None:
        _freshness(told)
        _drift(told["drift"])
        _accuracy(told)
        _stale(told)
    _alerts(told)
    _files(told["files"])


def _not_well(told: dict[str, Any]) -> None:
    """A box for each fault: how bad, what, where, since when, what to do."""
    for fault in told["conditions"]:
        since = f" Since {text(fault['since'])}." if fault["since"] else ""
        box = st.error if fault["level"] == FAIL else st.warning
        box(
            f"**{fault['level'].upper()}: {text(fault['title'])}: {text(fault['where'])}**\n\n"
            f"{text(fault['what'])}.{since}\n\nWhat to do: {text(fault['to_do'])}.",
            icon=":material/error:" if fault["level"] == FAIL else ":material/warning:",
        )
    # An empty home is not well, it is empty: what is to be done there stands above.
    if not told["conditions"] and told["conditions_looked_at"] and told["newest_snapshot"] is not None:
        st.success(f"All is well: the monitor looked at {told['conditions_looked_at']} things.")


def _alerts(told: dict[str, Any]) -> None:
    st.subheader("Alerts")
    if told["looked_at"] is None:
        st.caption("Nothing has raised alarms here yet: `cryptoliq monitor` does, and the daemon of `cryptoliq ui`.")
        return
    st.caption(f"Looked at last: {text(told['looked_at'][:16].replace('T', ' '))} UTC.")
    if told["incidents"]:
        st.markdown("**Open incidents**")
        open_ = pd.DataFrame(told["incidents"])[list(_INCIDENTS)]
        st.dataframe(open_, column_config=_INCIDENTS, hide_index=True, key="incidents")
    if told["closed"]:
        st.markdown("**Closed incidents: not raised again unless they grow worse, or recover and come back**")
        closed = pd.DataFrame(told["closed"])[list(_CLOSED)]
        st.dataframe(closed, column_config=_CLOSED, hide_index=True, key="closed")
    if told["silences"]:
        st.markdown("**Silenced kinds: recorded, and not delivered until then**")
        silences = pd.DataFrame(told["silences"])[list(_SILENCES)]
        st.dataframe(silences, column_config=_SILENCES, hide_index=True, key="silences")
    if told["notices"]:
        st.markdown("**What was told last, newest first**")
        notices = pd.DataFrame(told["notices"])
        notices["at"] = notices["at"].str.slice(0, 16).str.replace("T", " ")
        notices["title"] = [ALERT_KINDS[kind].title if kind in ALERT_KINDS else kind for kind in notices["kind"]]
        st.dataframe(notices[list(_NOTICES)], column_config=_NOTICES, hide_index=True, key="notices")


def _freshness(told: dict[str, Any]) -> None:
    age, missing = told["age_days"], told["missing_days"]
    figures(
        {
            "Newest snapshot": told["newest_snapshot"],
            "Age": f"{age} day" if age == 1 else f"{age} days",
            "Snapshots": f"{told['days']:,}",
            "Missing days": f"{len(missing):,}",
            "Stale coins": f"{len(told['stale']):,}",
        },
        helps={
            "Missing days": f"days without a snapshot since {told['first_snapshot']}",
            "Stale coins": "seen in the last 90 days, absent from the newest forecast snapshot",
        },
    )
    if age > 1:
        st.caption(f"The newest snapshot is {age} days old: drop newer files into `data/raw`.")
    if missing:
        more = f" and {len(missing) - _LISTED:,} more" if len(missing) > _LISTED else ""
        st.caption(f"Missing, newest first: {', '.join(missing[:_LISTED])}{more}.")
    chart(
        charts.columns_by_day(
            pd.DataFrame(told["snapshots"]), "coins", title="Coins in each snapshot", y_title="coins"
        ),
        key="coins",
    )


def _accuracy(told: dict[str, Any]) -> None:
    st.subheader("How forecasts came true")
    accuracy = told["accuracy"]
    if accuracy is None:
        st.caption("No stored forecast has come true yet: it takes a snapshot of the day forecast.")
        return
    figures(
        {
            "Forecasts": f"{accuracy['forecasts']:,}",
            "Skill": shown(accuracy["skill"]),
            "MAE": shown(accuracy["mae"], ".4f"),
            "MAE of persistence": shown(accuracy["mae_persistence"], ".4f"),
            "Coverage": f"{accuracy['coverage']:.1%}",
        },
        helps={"Coverage": "share of the realised scores that lay inside their interval"},
    )
    st.caption(f"Forecasts of the last {ACCURACY_DAYS} days that have come true, {accuracy['days']:,} target dates.")
    days = pd.DataFrame(told["accuracy_by_day"]).rename(columns={"target_date": "date"})
    errors = {"mae": "forecasts", "mae_persistence": "persistence"}
    chart(
        charts.lines(days, errors, title="Mean absolute error by target date", y_title="MAE", form=".4f"), key="errors"
    )


def _stale(told: dict[str, Any]) -> None:
    if not told["stale"]:
        return
    st.subheader("Stale coins")
    columns = {"coin": "Coin", "last_seen": "Last seen"}
    st.dataframe(pd.DataFrame(told["stale"]), column_config=columns, hide_index=True, key="stale")
    st.caption(f"Not in the snapshot of {told['stale_on']}, so not forecast.")


def _files(files: dict[str, Any]) -> None:
    st.subheader("Files received")
    counts = files["counts"]
    if not any(counts.values()):
        st.caption("No file was received yet.")
        return
    st.caption(", ".join(f"{count:,} {state}" for state, count in counts.items() if count) + ".")
    if files["refused"]:
        st.markdown("**Refused: they lie in** `data/quarantine`")
        st.dataframe(
            _table(files["refused"])[["file", "arrived_at", "reason"]], column_config=_FILES, hide_index=True, key="no"
        )
    st.markdown("**The last ones**")
    st.dataframe(_table(files["latest"]), column_config=_FILES, hide_index=True, key="latest")


def _table(files: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "file": file["file"],
                "arrived_at": str(file["arrived_at"])[:16].replace("T", " "),
                "state": file["state"],
                "rows_read": file["rows_read"],
                "rows_kept": file["rows_kept"],
                "refused": sum(file["rows_refused"].values()),
                "reason": file["reason"] or "; ".join(file["issues"]),
            }
            for file in files
        ],
        columns=list(_FILES),
    )


def _drift(report: dict[str, Any] | None) -> None:
    st.subheader("Drift")
    if report is None:
        st.caption("No drift report yet: `cryptoliq monitor` makes one.")
        return
    findings = [finding for finding in report.get("conditions", []) if isinstance(finding, dict)]
    if findings:
        shown = [{name: str(finding.get(name) or "") for name in _FINDINGS} for finding in findings]
        shown.sort(key=lambda row: ("fail", "warn", "ok").index(row["level"]) if row["level"] in _LEVELS else 3)
        st.dataframe(pd.DataFrame(shown), column_config=_FINDINGS, hide_index=True, key="drift")
    if report.get("not_measured"):
        st.caption(f"The features were not held against training: {text(str(report['not_measured']))}.")
    features = _features_of(report)
    if features is not None:
        st.markdown("**Feature by feature, the largest PSI first**")
        st.dataframe(features, column_config=_FEATURES, hide_index=True, key="features")
        st.caption(
            "PSI and distance are of values less their day's median; the shift is of the median as it is, in spreads of training. "
            "`reports/drift_report.html` has the plots."
        )
    with st.expander("The whole report"):
        st.json(report, expanded=1)


def _features_of(report: dict[str, Any]) -> pd.DataFrame | None:
    """The report's `drift`, a row a feature; None where it has none."""
    features = report.get("drift")
    if not isinstance(features, list) or not features or not all(isinstance(row, dict) for row in features):
        return None
    frame = pd.DataFrame(features).reindex(columns=[*_FEATURES, "judged"])
    # What is told and not judged has no level of its own.
    frame["level"] = frame["level"].where(frame["judged"].ne(False), "told only")
    return frame[list(_FEATURES)]


page("Data health", show)
