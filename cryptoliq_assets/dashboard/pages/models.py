"""The models: what is known of the champion, how it compares, which versions are stored, and the ledger."""

from typing import Any

import pandas as pd
import streamlit as st

from cryptoliq_assets.dashboard import (
    ahead,
    chart,
    charts,
    figures,
    needs_home,
    nothing_yet,
    page,
    score_column,
    shown,
    text,
    without_traces,
)
from cryptoliq_assets.dashboard.data_sources import HomeSource, Source
from cryptoliq_assets.modeling.estimators import model_version_of, title_of
from cryptoliq_assets.modeling.model_card import model_table
from cryptoliq_assets.schemas import BUCKETS

_CARD_HEIGHT = 800
_HELPS = {
    "Skill": "1 − MSE / MSE of persistence (no change), mean over folds: 0 is worth nothing, 1 is without error",
    "MAE / HAR": "mean absolute error against that of HAR: below 1 is better than HAR",
    "Skill without history": "on rows that come without a past",
}
_SHARE = st.column_config.NumberColumn(format="%.1f")
_COVERAGE = {
    "group": st.column_config.TextColumn("Group"),
    "rows": st.column_config.NumberColumn("Rows", format="localized"),
    "coverage": st.column_config.NumberColumn("Coverage, %", format="%.1f"),
    "mean_width": score_column("Mean width"),
}


def show(source: Source) -> None:
    metadata = source.model()
    if metadata is None:
        nothing_yet(source)
    else:
        _champion(metadata)
    if needs_home(source):
        return
    told = source.home.models()
    for problem in told["problems"]:
        st.warning(text(problem))
    if told["leaderboard"]:
        _leaderboard(told["leaderboard"])
    if told["by_coin"]:
        _by_coin(told["by_coin"])
    if told["versions"]:
        _versions(told["versions"])
    if told["ledger"]:
        _ledger(told["ledger"])
    if metadata is not None:
        _card(source.home, metadata["version"])


def _champion(metadata: dict[str, Any]) -> None:
    for reason in metadata.get("passed_over", []):
        st.warning(f"{text(reason)}. {text(title_of(metadata))} serves in its place.")
    metrics = metadata["metrics"]
    st.subheader(text(title_of(metadata)))
    promoted = str(metadata.get("promoted_at", ""))[:16].replace("T", " ")
    st.caption(
        f"Forecasts liquidity\\_score ({text(metadata['formula'])}) {ahead(metadata['horizon_days'])}. Promoted "
        f"{promoted} UTC: {text(metadata.get('promotion_reason', ''))}."
    )
    if metadata["provisional"]:
        st.warning("Provisional: there were too few dates, so that coins were held out instead of days.")
    figures(
        {
            "Skill": shown(metrics["skill"]),
            "Worst fold": shown(metrics["worst_skill"]),
            "MAE / HAR": shown(metrics["mae_vs_har"]),
            "Skill without history": shown(metrics.get("skill_without_history")),
            "Known until": metadata["known_until"],
        },
        helps=_HELPS,
    )
    st.markdown("**Folds**")
    formats = {name: st.column_config.NumberColumn(format="localized") for name in ("Train rows", "Test rows")}
    formats |= {"Skill": score_column("Skill"), "MAE": st.column_config.NumberColumn("MAE", format="%.4f")}
    st.dataframe(_folds(metadata), column_config=formats, hide_index=True, key="folds")
    if metadata["coverage"]["pooled"]:
        st.markdown(f"**Coverage of the {metadata['coverage']['level']:.0%} intervals**")
        if metadata["provisional"]:
            st.caption("By coin: other coins on days that were known. An interval claims nothing about new days.")
        table = _coverage(metadata)
        folds = {name: _SHARE for name in table if name.startswith("Fold ")}
        st.dataframe(table, column_config={**_COVERAGE, **folds}, hide_index=True, key="coverage")


def _folds(metadata: dict[str, Any]) -> pd.DataFrame:
    """What each fold knew, what it was tested on, and what it was worth."""
    folds = pd.DataFrame(metadata["folds"])
    scores = pd.DataFrame(metadata["metrics"]["folds"])
    if len(scores):
        scores["skill"] = without_traces(scores["skill"].astype(float))
        folds = folds.merge(scores[["fold", "skill", "mae"]], on="fold", how="left")
    return folds.rename(columns={"mae": "MAE"}).rename(
        columns=lambda name: name[0].upper() + name[1:].replace("_", " ")
    )


def _coverage(metadata: dict[str, Any]) -> pd.DataFrame:
    """Each group of rows, pooled over folds and fold by fold: with, with little or without history, and by size."""
    folds = {f"Fold {fold['fold']}, %": fold["groups"] for fold in metadata["coverage"]["folds"]}
    return pd.DataFrame(
        [
            {
                "group": _group(name),
                "rows": found["rows"],
                "coverage": 100.0 * found["coverage"],
                **{fold: 100.0 * groups[name]["coverage"] for fold, groups in folds.items() if name in groups},
                "mean_width": found["mean_width"],
            }
            for name, found in sorted(metadata["coverage"]["pooled"].items(), key=_place)
        ]
    )


def _place(named: tuple[str, Any]) -> tuple[str, int]:
    """Where a group comes: each kind as a whole before its sizes, those from the largest coins on."""
    kind, _, bucket = named[0].rpartition(":")
    return (kind, BUCKETS.index(bucket)) if bucket in BUCKETS else (kind, -1)


def _group(name: str) -> str:
    """`without_history:51-200` as "without history, rank 51-200"."""
    kind, _, bucket = name.rpartition(":")
    size = {"unknown": "rank unknown", "above_1000": "rank above 1000"}.get(bucket, bucket.replace("_", " "))
    size = f"rank {size}" if size[0].isdigit() else size
    return f"{kind.replace('_', ' ')}, {size}" if kind else size


def _leaderboard(board: dict[str, Any]) -> None:
    st.subheader("Leaderboard")
    how = "on rolling origins" if board["evaluation"] == "over_time" else "by coin (provisional)"
    st.caption(
        f"Candidates and baselines on the same folds, {how}; generated {board['generated_at'][:16].replace('T', ' ')} UTC."
    )
    table = model_table(board).rename(columns={"model": "Model", "skill": "Skill"})
    table.columns = [name[0].upper() + name[1:] for name in table.columns]
    table["Model"] = table["Model"].str.replace("_", " ")
    numbers = table.columns.drop("Model")
    table[numbers] = without_traces(table[numbers].astype(float))
    folds = [name for name in table.columns if name.startswith("Fold ")]
    chart(
        charts.groups(
            {row["Model"]: [row[fold] for fold in folds] for _, row in table.iterrows()},
            folds,
            title="Skill by fold",
            y_title="skill",
        ),
        key="skill",
    )
    formats = {name: score_column(name) for name in table.columns if name != "Model"}
    formats |= {name: st.column_config.NumberColumn(name, format="%.4f") for name in ("MAE", "RMSE")}
    formats["Model"] = st.column_config.TextColumn("Model", pinned=True)
    st.dataframe(table, column_config=formats, hide_index=True, key="leaderboard")


def _by_coin(rows: list[dict[str, Any]]) -> None:
    st.subheader("Coins on the holdout")
    st.caption(
        "Days that the model's recipe had not seen, the largest error first. MAE and mean absolute prediction are scores."
    )
    names = {"coin": "Coin", "rows": "Days", "mae": "MAE", "mean_absolute_prediction": "Mean absolute prediction"}
    table = pd.DataFrame(rows).rename(columns=names)
    formats = {name: st.column_config.NumberColumn(name, format="%.4f") for name in table.columns[2:]}
    st.dataframe(table, column_config=formats, hide_index=True, key="by_coin")


def _versions(versions: list[dict[str, Any]]) -> None:
    st.subheader("Stored versions")
    table = pd.DataFrame(
        {
            "Model": [entry["version"] for entry in versions],
            "Version": [model_version_of(entry) for entry in versions],
            "Current": [entry["current"] for entry in versions],
            "Skill": [entry.get("metrics", {}).get("skill") for entry in versions],
            "Known until": [entry.get("known_until", "") for entry in versions],
            "Promoted, UTC": [str(entry.get("promoted_at", ""))[:16].replace("T", " ") for entry in versions],
            "Note": [entry.get("problem") or entry.get("promotion_reason", "") for entry in versions],
        }
    ).astype({"Skill": float})
    table["Skill"] = without_traces(table["Skill"])
    st.dataframe(table, column_config={"Skill": score_column("Skill")}, hide_index=True, key="versions")
    st.caption(
        "`cryptoliq models rollback --to VERSION` makes a stored one current again; it takes either of the two names."
    )


def _ledger(entries: list[dict[str, Any]]) -> None:
    st.subheader("Ledger, newest first")
    table = pd.DataFrame(
        {
            "At, UTC": [str(entry.get("at", ""))[:16].replace("T", " ") for entry in entries],
            "Event": [entry.get("event") for entry in entries],
            "Model": [entry.get("version") or entry.get("candidate") for entry in entries],
            "Reason": [entry.get("reason") for entry in entries],
        }
    )
    st.dataframe(
        table, hide_index=True, key="ledger", column_config={"Reason": st.column_config.TextColumn(width="large")}
    )


def _card(home: HomeSource, version: str) -> None:
    st.subheader("Model card")
    card = home.card()
    if card is None:
        st.caption("This version has no card: `cryptoliq train` writes one with the next champion.")
        return
    st.download_button(
        "Download the card", card, file_name=f"{version}.html", mime="text/html", on_click="ignore", key="card"
    )
    if st.toggle("Show the card", key="show_card"):
        st.iframe(card, height=_CARD_HEIGHT)


page("Models", show)
