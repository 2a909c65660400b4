"""Page Models: the champion, the leaderboard, stored versions, the audit log and the model card."""

from typing import Any

import pandas as pd
import streamlit as st

from cryptoliq_assets.dashboard import (
    Page,
    charts,
    escape_markdown,
    format_horizon,
    format_number,
    lacks_data_directory,
    make_score_column,
    render_page,
    show_chart,
    show_empty_state,
    show_metrics,
    zero_below_precision,
)
from cryptoliq_assets.dashboard.data_sources import HomeSource, Source
from cryptoliq_assets.modeling.estimators import model_title, model_version_of
from cryptoliq_assets.modeling.model_card import model_table
from cryptoliq_assets.schemas import BUCKETS

PAGE = Page("Models", icon=":material/model_training:", order=50)

_CARD_HEIGHT = 800
_HELPS = {
    "Skill": "1 − MSE / MSE of persistence (no change), mean over folds: 0 is no better than persistence, 1 is error-free",
    "MAE / HAR": "mean absolute error relative to HAR: below 1 is better than HAR",
    "Cold-start skill": "skill on rows without history",
}
_FOLD_COVERAGE = st.column_config.NumberColumn(format="%.1f")
_COVERAGE = {
    "group": st.column_config.TextColumn("Group"),
    "rows": st.column_config.NumberColumn("Rows", format="localized"),
    "coverage": st.column_config.NumberColumn("Coverage, %", format="%.1f"),
    "mean_width": make_score_column("Mean width"),
}
_GROUP_LABELS = {"without_history": "no history", "young": "newly listed", "partial": "missing changes"}


def show(source: Source) -> None:
    """Draw the page."""
    metadata = source.load_model()
    if metadata is None:
        show_empty_state(source)
    else:
        _show_champion(metadata)
    if lacks_data_directory(source):
        return
    assert source.home is not None
    models = source.home.load_models()
    for problem in models["problems"]:
        st.warning(escape_markdown(problem))
    if models["leaderboard"]:
        _show_leaderboard(models["leaderboard"])
    if models["by_coin"]:
        _show_accuracy_by_coin(models["by_coin"])
    if models["versions"]:
        _show_versions(models["versions"])
    if models["ledger"]:
        _show_audit_log(models["ledger"])
    if metadata is not None:
        _show_card(source.home, metadata["version"])


def _show_champion(metadata: dict[str, Any]) -> None:
    for reason in metadata.get("passed_over", []):
        st.warning(f"{escape_markdown(reason)}. {escape_markdown(model_title(metadata))} serves instead.")
    metrics = metadata["metrics"]
    st.subheader(escape_markdown(model_title(metadata)))
    promoted_at = str(metadata.get("promoted_at", ""))[:16].replace("T", " ")
    st.caption(
        f"Forecasts liquidity\\_score ({escape_markdown(metadata['formula'])}) {format_horizon(metadata['horizon_days'])}. "
        f"Promoted {promoted_at} UTC: {escape_markdown(metadata.get('promotion_reason', ''))}."
    )
    if metadata["provisional"]:
        st.warning("Provisional: too few dates for test dates, so coins were held out instead.")
    show_metrics(
        {
            "Skill": format_number(metrics["skill"]),
            "Worst fold": format_number(metrics["worst_skill"]),
            "MAE / HAR": format_number(metrics["mae_vs_har"]),
            "Cold-start skill": format_number(metrics.get("skill_without_history")),
            "Data cutoff": metadata["known_until"],
        },
        helps=_HELPS,
    )
    st.markdown("**Folds**")
    formats: dict[str, Any] = {
        name: st.column_config.NumberColumn(format="localized") for name in ("Train rows", "Test rows")
    }
    formats |= {"Skill": make_score_column("Skill"), "MAE": st.column_config.NumberColumn("MAE", format="%.4f")}
    formats |= {"Known until": st.column_config.TextColumn("Data cutoff")}
    st.dataframe(_make_fold_table(metadata), column_config=formats, hide_index=True, key="folds")
    if metadata["coverage"]["pooled"]:
        st.markdown(f"**Coverage of the {metadata['coverage']['level']:.0%} prediction intervals**")
        if metadata["provisional"]:
            st.caption("Measured on other coins on known dates: the intervals are not verified for new dates.")
        table = _make_coverage_table(metadata)
        folds = {name: _FOLD_COVERAGE for name in table if name.startswith("Fold ")}
        st.dataframe(table, column_config={**_COVERAGE, **folds}, hide_index=True, key="coverage")


def _make_fold_table(metadata: dict[str, Any]) -> pd.DataFrame:
    """Return one row per fold: data cutoff, test dates, row counts, skill and MAE."""
    folds = pd.DataFrame(metadata["folds"])
    scores = pd.DataFrame(metadata["metrics"]["folds"])
    if len(scores):
        scores["skill"] = zero_below_precision(scores["skill"].astype(float))
        folds = folds.merge(scores[["fold", "skill", "mae"]], on="fold", how="left")
    return folds.rename(columns={"mae": "MAE"}).rename(
        columns=lambda name: name[0].upper() + name[1:].replace("_", " ")
    )


def _make_coverage_table(metadata: dict[str, Any]) -> pd.DataFrame:
    """Return one row per group of rows (by history and size), with coverage pooled and per fold in percent."""
    folds = {f"Fold {fold['fold']}, %": fold["groups"] for fold in metadata["coverage"]["folds"]}
    return pd.DataFrame(
        [
            {
                "group": _format_group(name),
                "rows": group["rows"],
                "coverage": 100.0 * group["coverage"],
                **{fold: 100.0 * groups[name]["coverage"] for fold, groups in folds.items() if name in groups},
                "mean_width": group["mean_width"],
            }
            for name, group in sorted(metadata["coverage"]["pooled"].items(), key=_group_order)
        ]
    )


def _group_order(item: tuple[str, Any]) -> tuple[str, int]:
    """Sort each kind before its sizes, and the sizes from the largest coins to the smallest."""
    kind, _, bucket = item[0].rpartition(":")
    return (kind, BUCKETS.index(bucket)) if bucket in BUCKETS else (kind, -1)


def _format_group(name: str) -> str:
    """Format `without_history:51-200` as "no history, rank 51-200"."""
    parts = [part for part in name.split(":") if part]
    return ", ".join(
        f"rank {part.replace('_', ' ')}" if part in BUCKETS else _GROUP_LABELS.get(part, part.replace("_", " "))
        for part in parts
    )


def _show_leaderboard(board: dict[str, Any]) -> None:
    st.subheader("Leaderboard")
    evaluation = "rolling-origin folds" if board["evaluation"] == "over_time" else "folds by coin (provisional)"
    st.caption(
        f"Candidates and baselines on the same {evaluation}; generated {board['generated_at'][:16].replace('T', ' ')} UTC."
    )
    table = model_table(board).rename(columns={"model": "Model", "skill": "Skill"})
    table.columns = [name[0].upper() + name[1:] for name in table.columns]
    table["Model"] = table["Model"].str.replace("_", " ")
    numeric = table.columns.drop("Model")
    table[numeric] = zero_below_precision(table[numeric].astype(float))
    folds = [name for name in table.columns if name.startswith("Fold ")]
    show_chart(
        charts.draw_grouped_bars(
            {row["Model"]: [row[fold] for fold in folds] for _, row in table.iterrows()},
            folds,
            title="Skill by fold",
            y_title="skill",
        ),
        key="skill",
    )
    formats: dict[str, Any] = {name: make_score_column(name) for name in table.columns if name != "Model"}
    formats |= {name: st.column_config.NumberColumn(name, format="%.4f") for name in ("MAE", "RMSE")}
    formats["Model"] = st.column_config.TextColumn("Model", pinned=True)
    st.dataframe(table, column_config=formats, hide_index=True, key="leaderboard")


def _show_accuracy_by_coin(rows: list[dict[str, Any]]) -> None:
    st.subheader("Holdout error by coin")
    st.caption(
        "On test dates that the model spec was not trained on, largest error first. MAE and mean absolute prediction are in "
        "units of the score."
    )
    names = {"coin": "Coin", "rows": "Days", "mae": "MAE", "mean_absolute_prediction": "Mean absolute prediction"}
    table = pd.DataFrame(rows).rename(columns=names)
    formats = {name: st.column_config.NumberColumn(name, format="%.4f") for name in table.columns[2:]}
    st.dataframe(table, column_config=formats, hide_index=True, key="by_coin")


def _show_versions(versions: list[dict[str, Any]]) -> None:
    st.subheader("Stored versions")
    table = pd.DataFrame(
        {
            "Model": [entry["version"] for entry in versions],
            "Version": [model_version_of(entry) for entry in versions],
            "Current": [entry["current"] for entry in versions],
            "Skill": [entry.get("metrics", {}).get("skill") for entry in versions],
            "Data cutoff": [entry.get("known_until", "") for entry in versions],
            "Promoted, UTC": [str(entry.get("promoted_at", ""))[:16].replace("T", " ") for entry in versions],
            "Note": [entry.get("problem") or entry.get("promotion_reason", "") for entry in versions],
        }
    ).astype({"Skill": float})
    table["Skill"] = zero_below_precision(table["Skill"])
    st.dataframe(table, column_config={"Skill": make_score_column("Skill")}, hide_index=True, key="versions")
    st.caption(
        "`cryptoliq models rollback --to VERSION` makes a stored version current again; it accepts either of the two names."
    )


def _show_audit_log(entries: list[dict[str, Any]]) -> None:
    st.subheader("Audit log, newest first")
    table = pd.DataFrame(
        {
            "Time, UTC": [str(entry.get("at", ""))[:16].replace("T", " ") for entry in entries],
            "Event": [entry.get("event") for entry in entries],
            "Model": [entry.get("version") or entry.get("candidate") for entry in entries],
            "Reason": [entry.get("reason") for entry in entries],
        }
    )
    st.dataframe(
        table, hide_index=True, key="ledger", column_config={"Reason": st.column_config.TextColumn(width="large")}
    )


def _show_card(home: HomeSource, version: str) -> None:
    st.subheader("Model card")
    card = home.read_model_card()
    if card is None:
        st.caption("This version has no model card: `cryptoliq train` writes one with the next champion.")
        return
    st.download_button(
        "Download model card", card, file_name=f"{version}.html", mime="text/html", on_click="ignore", key="card"
    )
    if st.toggle("Show model card", key="show_card"):
        st.iframe(card, height=_CARD_HEIGHT)


if __name__ == "__main__":
    render_page(PAGE, show)
