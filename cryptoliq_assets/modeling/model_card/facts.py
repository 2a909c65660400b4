"""What a model card tells of a model, as plain numbers and frames: from its out-of-fold forecasts and what is stored of it.

How it is shown is `modeling/model_card/html.py`; what of it goes into metadata.json is `modeling/registry/metadata.py`.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cryptoliq_assets.modeling.datasets import TrainingSet
from cryptoliq_assets.modeling.estimators import HAR, PERSISTENCE
from cryptoliq_assets.modeling.evaluation import (
    MIN_COIN_ROWS,
    MISSING_CHANGE_GROUPS,
    WITHOUT,
    Evaluation,
    SplitConformalIntervals,
    find_entry,
    measure_coins,
)
from cryptoliq_assets.schemas import BUCKETS, NO_HISTORY, SHORT_HISTORY, VIEWS, WINDOW_DAYS, WITH_HISTORY

DECILES = 10
IMPORTANT = 15
WORST_COINS = 10
LEDGER_LINES = 12
# Whose residuals a group's half-width comes from, where it has a table of its own.
OWN = "its own"


@dataclass(frozen=True)
class CardFacts:
    """The card of one model: its metadata, and tables with a row a model, decile, group, feature, bucket, coin, day."""

    metadata: Mapping[str, Any]
    models: pd.DataFrame
    calibration: pd.DataFrame
    coverage: pd.DataFrame
    half_widths: pd.DataFrame
    importance: pd.DataFrame
    buckets: pd.DataFrame
    worst_coins: pd.DataFrame
    daily_mae: pd.DataFrame
    ledger: pd.DataFrame


def card_facts(
    metadata: Mapping[str, Any],
    leaderboard: Mapping[str, Any],
    *,
    evaluation: Evaluation,
    rows: TrainingSet,
    ledger: Sequence[Mapping[str, Any]],
) -> CardFacts:
    """Facts of the model evaluated as `evaluation` on `rows`; ledger: its entries, oldest first."""
    return CardFacts(
        metadata=metadata,
        models=model_table(leaderboard),
        calibration=calibration(evaluation.predicted, rows.y[evaluation.rows]),
        coverage=_coverage(metadata),
        half_widths=_half_widths(metadata),
        importance=_importance(evaluation).head(IMPORTANT),
        buckets=_buckets(find_entry(dict(leaderboard), evaluation.name)),
        worst_coins=_worst_coins(evaluation, rows),
        daily_mae=_daily_mae(evaluation, rows),
        ledger=_ledger(ledger),
    )


def longer_windows(metadata: Mapping[str, Any]) -> list[int]:
    """Windows of the features, in days, that are longer than the table that the model learnt from: none of its rows fills them."""
    training = metadata["training"]
    first, last = (dt.date.fromisoformat(training[name]) for name in ("first_date", "last_date"))
    return sorted(window for window in WINDOW_DAYS if window > (last - first).days + 1)


def model_table(leaderboard: Mapping[str, Any]) -> pd.DataFrame:
    """Candidates, then baselines: skill, by fold, errors, and skill on known caps and without history; where coins were held
    out, also skill against a market that moved as one (persistence + the training coins' mean change)."""
    entries = []
    for entry in [*leaderboard["candidates"], *leaderboard["baselines"]]:
        mean = entry["metrics"][WITH_HISTORY]["all"]["mean"]
        entries.append(
            {
                "model": entry["name"],
                "skill": entry["skill"],
                **{f"fold {f['fold']}": f["skill"] for f in entry["metrics"][WITH_HISTORY]["all"]["folds"]},
                **({"skill, mean change": mean["skill_vs_mean_change"]} if "skill_vs_mean_change" in mean else {}),
                "MAE": mean["mae"],
                "RMSE": mean["rmse"],
                "R²": mean["r2"],
                "MAE / persistence": mean["mae_vs_persistence"],
                "MAE / HAR": mean["mae_vs_har"],
                "skill, known cap": entry["skill_known_cap"],
                "skill, no history": entry["skill_without_history"],
            }
        )
    return _numbers(pd.DataFrame(entries), but=("model",))


def calibration(predicted: np.ndarray, realised: np.ndarray, *, parts: int = DECILES) -> pd.DataFrame:
    """Mean forecast and mean realised score of equally many rows, from the lowest forecasts to the highest."""
    order = np.argsort(predicted, kind="stable")
    groups = [part for part in np.array_split(order, parts) if len(part)]
    return pd.DataFrame(
        {
            "decile": np.arange(1, len(groups) + 1),
            "rows": [len(part) for part in groups],
            "predicted": [float(predicted[part].mean()) for part in groups],
            "realised": [float(realised[part].mean()) for part in groups],
        }
    )


def _importance(evaluation: Evaluation) -> pd.DataFrame:
    """One row a feature, the most important first."""
    table = pd.DataFrame({"feature": list(evaluation.importance), "rise": list(evaluation.importance.values())})
    table = table.astype({"rise": float})
    return table.sort_values(["rise", "feature"], ascending=[False, True], ignore_index=True)


def _coverage(metadata: Mapping[str, Any]) -> pd.DataFrame:
    """A row a group: pooled, then fold by fold, NaN where a fold has none of it."""
    folds = {f"fold {fold['fold']}": fold["groups"] for fold in metadata["coverage"]["folds"]}
    entries = [
        {
            "group": name,
            **{key: found[key] for key in ("rows", "coverage")},
            "standard error": found["standard_error"],
            **{fold: groups.get(name, {}).get("coverage") for fold, groups in folds.items()},
            "mean_width": found["mean_width"],
            "fewest residuals": found["residuals"],
            # A view's name stands for groups of several kinds.
            "residuals of": OWN if found["own"] else found["source"] if name not in VIEWS else "several",
        }
        for name, found in metadata["coverage"]["pooled"].items()
    ]
    shares = ["coverage", "standard error", *folds]
    columns = ["group", "rows", *shares, "mean_width", "fewest residuals", "residuals of"]
    return pd.DataFrame(entries, columns=columns).astype(dict.fromkeys(shares, float))


def _half_widths(metadata: Mapping[str, Any]) -> pd.DataFrame:
    """What the model's forecasts are given, for every group there can be, and how many residuals that rests on."""
    table = SplitConformalIntervals.from_dict(metadata["intervals"])
    groups = np.array([*BUCKETS, SHORT_HISTORY, *(WITHOUT + bucket for bucket in BUCKETS), *MISSING_CHANGE_GROUPS])
    told = table.explain(groups)
    return pd.DataFrame(
        {
            "group": groups.astype(object),
            "half-width": told["half_width"],
            "residuals": told["residuals"],
            "residuals of": np.where(told["own"], OWN, told["source"]).astype(object),
        }
    )


def _buckets(entry: Mapping[str, Any]) -> pd.DataFrame:
    bare = entry["metrics"][NO_HISTORY]["all"]["buckets"]
    entries = [
        {
            "market-cap rank": bucket.replace("_", " "),
            "rows": found["rows"],
            "MAE": found["mae"],
            "RMSE": found["rmse"],
            "skill": found["skill"],
            "MAE / HAR": found["mae_vs_har"],
            "skill, no history": bare[bucket]["skill"],
        }
        for bucket, found in entry["metrics"][WITH_HISTORY]["all"]["buckets"].items()
    ]
    return _numbers(pd.DataFrame(entries), but=("market-cap rank", "rows"))


def _worst_coins(evaluation: Evaluation, rows: TrainingSet) -> pd.DataFrame:
    names = {
        "mae": "MAE",
        "mean_absolute_prediction": "mean absolute prediction",
        "rmse": "RMSE",
        "r2": "R²",
        "mae_vs_persistence": "MAE / persistence",
        "mae_vs_har": "MAE / HAR",
    }
    table = measure_coins(evaluation, rows).drop(columns=["model", "view"]).rename(columns=names)
    return table[table["rows"] >= MIN_COIN_ROWS].head(WORST_COINS).reset_index(drop=True)


def _daily_mae(evaluation: Evaluation, rows: TrainingSet) -> pd.DataFrame:
    realised = rows.y[evaluation.rows]
    said = {evaluation.name: evaluation.predicted, **{n: evaluation.references[n] for n in (PERSISTENCE, HAR)}}
    errors = pd.DataFrame({name: np.abs(values - realised) for name, values in said.items()})
    return errors.groupby(pd.DatetimeIndex(rows.date[evaluation.rows].astype("datetime64[ns]"))).mean()


def _ledger(entries: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    last = list(entries)[-LEDGER_LINES:][::-1]
    return pd.DataFrame(
        [
            {
                "at": str(entry.get("at", ""))[:16].replace("T", " "),
                "event": entry.get("event"),
                "model": entry.get("version") or entry.get("candidate"),
                "reason": entry.get("reason"),
            }
            for entry in last
        ],
        columns=["at", "event", "model", "reason"],
    )


def _numbers(frame: pd.DataFrame, *, but: tuple[str, ...]) -> pd.DataFrame:
    """None as NaN: a column of both would not be a number's."""
    return frame.astype({name: float for name in frame.columns if name not in but})
