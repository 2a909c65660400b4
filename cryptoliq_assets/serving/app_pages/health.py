"""Data health: how new and whole the data is, what became of the last files, how forecasts came true, drift."""

from typing import Any

import pandas as pd
import streamlit as st

from cryptoliq_assets.serving import charts
from cryptoliq_assets.serving.app_kit import chart, figures, health, needs_home, nothing_yet, page, shown, text
from cryptoliq_assets.serving.home_views import ACCURACY_DAYS
from cryptoliq_assets.serving.sources import Source

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


def show(source: Source) -> None:
    if needs_home(source):
        return
    told = health(source)
    for problem in told["problems"]:
        st.warning(text(problem))
    if told["newest_snapshot"] is None:
        nothing_yet(source)
    else:
        _freshness(told)
        _accuracy(told)
        _stale(told)
    _files(told["files"])
    _drift(told["drift"])


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
        st.warning(f"The newest snapshot is {age} days old: drop newer files into `data/raw`.")
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
        st.caption("No drift report yet: the asset `drift_report` writes `reports/drift_report.json`.")
        return
    st.json(report, expanded=1)


page("Data health", show)
