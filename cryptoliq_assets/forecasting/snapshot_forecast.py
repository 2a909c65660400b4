"""Forecasts of the newest snapshot: every coin in it, appended to what is stored; coins absent that day are stale."""

import datetime as dt
from typing import Protocol

import numpy as np
import pandas as pd

from cryptoliq_assets.core import HISTORY_DAYS
from cryptoliq_assets.modeling.estimators import normalize_model_versions
from cryptoliq_assets.schemas import TABLES

# What a forecast says of the row that it was made from.
FLAGS = ("filled", "outlier")


class Forecaster(Protocol):
    """A loaded champion."""

    model_version: str
    known_until: dt.date
    horizon_days: int

    def predict(self, features: pd.DataFrame) -> pd.DataFrame:
        """predicted, lower and upper of each row."""


def forecast_snapshot(features: pd.DataFrame, champion: Forecaster, *, made_at: pd.Timestamp) -> pd.DataFrame:
    """One forecast a row of `features`, the rows of one snapshot date; columns as in the forecasts table."""
    forecast = champion.predict(features)
    date = features["date"]
    return pd.DataFrame(
        {
            "coin": features["coin"],
            "date": date,
            "target_date": date + pd.Timedelta(days=champion.horizon_days),
            # The model's own training targets are inputs as well.
            "known_until": date.clip(lower=pd.Timestamp(champion.known_until)),
            "model_version": champion.model_version,
            "made_at": made_at,
            "liquidity_score": forecast["predicted"],
            "lower": forecast["lower"],
            "upper": forecast["upper"],
            **{name: features[name].to_numpy(dtype=bool) for name in FLAGS},
        }
    ).reset_index(drop=True)


def describe_row_quality(*, filled: bool, outlier: bool) -> str:
    """What people are told of the row behind a forecast; empty where there is nothing to tell."""
    if outlier:
        return "outlier replaced by the days before"
    return "price or volume filled" if filled else ""


def append_forecasts(stored: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Stored rows, unchanged, and those new ones whose value differs from the newest stored of the same key."""
    key = ["coin", "date", "model_version"]
    plain = dict.fromkeys(("coin", "model_version"), "object")
    stored, new = stored.astype(plain), new.astype(plain)
    # Rows of earlier releases name the same model in another form.
    known, made = (rows.assign(model_version=normalize_model_versions(rows["model_version"])) for rows in (stored, new))
    newest = known.sort_values("made_at", kind="stable").drop_duplicates(key, keep="last")
    values = ["liquidity_score", "lower", "upper", *FLAGS]
    before = made[key].merge(newest[key + values], on=key, how="left")
    same = np.all([before[name].to_numpy() == new[name].to_numpy() for name in values], axis=0)
    parts = [part for part in (stored, new[~same]) if len(part)]
    both = pd.concat(parts, ignore_index=True) if parts else stored
    return both.sort_values(["coin", "date", "made_at"], kind="stable")[TABLES["forecasts"].columns].reset_index(
        drop=True
    )


def find_stale_coins(seen: pd.DataFrame, latest: pd.Timestamp) -> pd.DataFrame:
    """Coins seen in the last 90 days but not on `latest`: coin and last_seen, the longest gone last.

    seen: columns coin, date.
    """
    recent = seen[seen["date"] > latest - pd.Timedelta(days=HISTORY_DAYS)]
    last = recent.groupby("coin", observed=True)["date"].max().rename("last_seen").reset_index()
    return last[last["last_seen"] < latest].sort_values(
        ["last_seen", "coin"], ascending=[False, True], ignore_index=True
    )
