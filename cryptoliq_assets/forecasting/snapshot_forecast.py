"""Forecasts of the newest snapshot: one per coin, appended to the stored ones; coins missing from it are stale.

How a model predicts belongs in `modeling.inference`.
"""

import datetime as dt
from typing import Protocol

import numpy as np
import pandas as pd

from cryptoliq_assets.core import HISTORY_DAYS
from cryptoliq_assets.modeling.estimators import normalize_model_versions
from cryptoliq_assets.schemas import TABLES

# Flags of the row behind a forecast.
FLAGS = ("filled", "outlier")


class Forecaster(Protocol):
    """A loaded champion."""

    @property
    def model_version(self) -> str:
        """Version as forecasts show it."""

    @property
    def known_until(self) -> dt.date:
        """Data cutoff: the newest target date that it was trained on."""

    @property
    def horizon_days(self) -> int:
        """Horizon of its forecasts, in days."""

    def predict(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return predicted, lower and upper of each row."""


def forecast_snapshot(features: pd.DataFrame, champion: Forecaster, *, made_at: pd.Timestamp) -> pd.DataFrame:
    """Forecast the rows of one snapshot date.

    Args:
        features: Feature rows of one date.
        champion: The model.
        made_at: Time of the forecast, UTC.

    Returns:
        One row per coin, with the columns of the forecasts table.
    """
    forecast = champion.predict(features)
    date = features["date"]
    return pd.DataFrame(
        {
            "coin": features["coin"],
            "date": date,
            "target_date": date + pd.Timedelta(days=champion.horizon_days),
            # The training targets of the model are inputs too.
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
    """Return a note on the quality of the row behind a forecast; empty without one."""
    if outlier:
        return "outlier replaced by previous days"
    return "price or volume filled" if filled else ""


def append_forecasts(stored: pd.DataFrame, new: pd.DataFrame) -> pd.DataFrame:
    """Append new forecasts to the stored ones, which never change.

    A new row is added only if its values differ from the newest stored row with the same coin, date and model version.
    """
    key = ["coin", "date", "model_version"]
    plain = dict.fromkeys(("coin", "model_version"), "object")
    stored, new = stored.astype(plain), new.astype(plain)
    # Rows of earlier releases have another form of the model version.
    stored_rows, new_rows = (
        rows.assign(model_version=normalize_model_versions(rows["model_version"])) for rows in (stored, new)
    )
    newest = stored_rows.sort_values("made_at", kind="stable").drop_duplicates(key, keep="last")
    values = ["liquidity_score", "lower", "upper", *FLAGS]
    before = new_rows[key].merge(newest[key + values], on=key, how="left")
    same = np.all([before[name].to_numpy() == new[name].to_numpy() for name in values], axis=0)
    parts = [part for part in (stored, new[~same]) if len(part)]
    both = pd.concat(parts, ignore_index=True) if parts else stored
    return both.sort_values(["coin", "date", "made_at"], kind="stable")[TABLES["forecasts"].columns].reset_index(
        drop=True
    )


def find_stale_coins(seen: pd.DataFrame, latest: pd.Timestamp) -> pd.DataFrame:
    """Return coins seen in the last 90 days but not on `latest`, the most recently seen first.

    Args:
        seen: Columns coin, date.
        latest: Date of the newest snapshot.

    Returns:
        Columns coin and last_seen.
    """
    recent = seen[seen["date"] > latest - pd.Timedelta(days=HISTORY_DAYS)]
    last = recent.groupby("coin", observed=True)["date"].max().rename("last_seen").reset_index()
    return last[last["last_seen"] < latest].sort_values(
        ["last_seen", "coin"], ascending=[False, True], ignore_index=True
    )
