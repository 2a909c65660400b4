"""The facts of a model card as plain numbers and frames, from out-of-fold forecasts and metadata.

Add a table here. How it is shown belongs in `modeling.model_card.html`, what is stored in `modeling.registry.metadata`.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptoliq_assets.modeling.datasets import TrainingRows
from cryptoliq_assets.modeling.estimators import HAR, PERSISTENCE
from cryptoliq_assets.modeling.evaluation import (
    MIN_COIN_ROWS,
    MISSING_CHANGE_GROUPS,
    NO_HISTORY_PREFIX,
    Evaluation,
    SplitConformalIntervals,
    find_entry,
    measure_coins,
)
from cryptoliq_assets.schemas import BUCKETS, NO_HISTORY, SHORT_HISTORY, VIEWS, WINDOW_DAYS, WITH_HISTORY

DECILES = 10
MAX_FEATURES = 15
MAX_WORST_COINS = 10
MAX_LEDGER_LINES = 12
# Shown as the source of a group's half-width that is computed from its own residuals.
OWN = "its own"


@dataclass(frozen=True)
class CardFacts:
    """The card of one model: its metadata, and tables with a row per model, decile, group, feature, bucket, coin or day."""

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
    rows: TrainingRows,
    ledger: Sequence[Mapping[str, Any]],
) -> CardFacts:
    """Collect the facts of a model.

    Args:
        metadata: Metadata of the model.
        leaderboard: The leaderboard of its training.
        evaluation: Its out-of-fold evaluation.
        rows: The training set.
        ledger: Entries of the audit log, oldest first.
    """
    return CardFacts(
        metadata=metadata,
        models=model_table(leaderboard),
        calibration=calibration(evaluation.predicted, rows.y[evaluation.rows]),
        coverage=_coverage(metadata),
        half_widths=_half_widths(metadata),
        importance=_importance(evaluation).head(MAX_FEATURES),
        buckets=_buckets(find_entry(dict(leaderboard), evaluation.name)),
        worst_coins=_worst_coins(evaluation, rows),
        daily_mae=_daily_mae(evaluation, rows),
        ledger=_ledger(ledger),
    )


def longer_windows(metadata: Mapping[str, Any]) -> list[int]:
    """Return the feature windows, in days, that are longer than the training table, so that no row fills them."""
    training = metadata["training"]
    first, last = (dt.date.fromisoformat(training[name]) for name in ("first_date", "last_date"))
    return sorted(window for window in WINDOW_DAYS if window > (last - first).days + 1)


def model_table(leaderboard: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row per candidate, then per baseline: skill, overall, by fold, for known market caps and without history.

    With folds by coin also the skill against a market that moves as one (persistence + the training coins' mean change).
    """
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
                "cold-start skill": entry["skill_without_history"],
            }
        )
    return _as_floats(pd.DataFrame(entries), except_for=("model",))


def calibration(
    predicted: npt.NDArray[np.float64], realised: npt.NDArray[np.float64], *, parts: int = DECILES
) -> pd.DataFrame:
    """Return the mean forecast and mean realized score of equally many rows, from the lowest forecasts to the highest.

    Args:
        predicted: Forecasts of n rows.
        realised: Realized scores of the same rows.
        parts: Number of parts.
    """
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
    """One row per feature, the most important first."""
    table = pd.DataFrame({"feature": list(evaluation.importance), "rise": list(evaluation.importance.values())})
    table = table.astype({"rise": float})
    return table.sort_values(["rise", "feature"], ascending=[False, True], ignore_index=True)


def _coverage(metadata: Mapping[str, Any]) -> pd.DataFrame:
    """One row per group: pooled, then fold by fold, NaN where a fold has no rows of it."""
    folds = {f"fold {fold['fold']}": fold["groups"] for fold in metadata["coverage"]["folds"]}
    entries = [
        {
            "group": name,
            **{key: values[key] for key in ("rows", "coverage")},
            "standard error": values["standard_error"],
            **{fold: groups.get(name, {}).get("coverage") for fold, groups in folds.items()},
            "mean_width": values["mean_width"],
            "fewest residuals": values["residuals"],
            # A view has groups of several kinds.
            "residuals of": OWN if values["own"] else values["source"] if name not in VIEWS else "several",
        }
        for name, values in metadata["coverage"]["pooled"].items()
    ]
    fractions = ["coverage", "standard error", *folds]
    columns = ["group", "rows", *fractions, "mean_width", "fewest residuals", "residuals of"]
    return pd.DataFrame(entries, columns=columns).astype(dict.fromkeys(fractions, float))


def _half_widths(metadata: Mapping[str, Any]) -> pd.DataFrame:
    """The half-width of every possible group, and the number of residuals behind it."""
    table = SplitConformalIntervals.from_dict(metadata["intervals"])
    groups = np.array(
        [*BUCKETS, SHORT_HISTORY, *(NO_HISTORY_PREFIX + bucket for bucket in BUCKETS), *MISSING_CHANGE_GROUPS]
    )
    explained = table.explain(groups)
    return pd.DataFrame(
        {
            "group": groups.astype(object),
            "half-width": explained["half_width"],
            "residuals": explained["residuals"],
            "residuals of": np.where(explained["own"], OWN, explained["source"]).astype(object),
        }
    )


def _buckets(entry: Mapping[str, Any]) -> pd.DataFrame:
    no_history = entry["metrics"][NO_HISTORY]["all"]["buckets"]
    entries = [
        {
            "market-cap rank": bucket.replace("_", " "),
            "rows": values["rows"],
            "MAE": values["mae"],
            "RMSE": values["rmse"],
            "skill": values["skill"],
            "MAE / HAR": values["mae_vs_har"],
            "cold-start skill": no_history[bucket]["skill"],
        }
        for bucket, values in entry["metrics"][WITH_HISTORY]["all"]["buckets"].items()
    ]
    return _as_floats(pd.DataFrame(entries), except_for=("market-cap rank", "rows"))


def _worst_coins(evaluation: Evaluation, rows: TrainingRows) -> pd.DataFrame:
    names = {
        "mae": "MAE",
        "mean_absolute_prediction": "mean absolute prediction",
        "rmse": "RMSE",
        "r2": "R²",
        "mae_vs_persistence": "MAE / persistence",
        "mae_vs_har": "MAE / HAR",
    }
    table = measure_coins(evaluation, rows).drop(columns=["model", "view"]).rename(columns=names)
    return table[table["rows"] >= MIN_COIN_ROWS].head(MAX_WORST_COINS).reset_index(drop=True)


def _daily_mae(evaluation: Evaluation, rows: TrainingRows) -> pd.DataFrame:
    realized = rows.y[evaluation.rows]
    forecasts = {evaluation.name: evaluation.predicted, **{n: evaluation.references[n] for n in (PERSISTENCE, HAR)}}
    errors = pd.DataFrame({name: np.abs(values - realized) for name, values in forecasts.items()})
    return errors.groupby(pd.DatetimeIndex(rows.date[evaluation.rows].astype("datetime64[ns]"))).mean()


def _ledger(entries: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    last = list(entries)[-MAX_LEDGER_LINES:][::-1]
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


def _as_floats(frame: pd.DataFrame, *, except_for: tuple[str, ...]) -> pd.DataFrame:
    """Numeric columns as float, with None as NaN."""
    return frame.astype({name: float for name in frame.columns if name not in except_for})
