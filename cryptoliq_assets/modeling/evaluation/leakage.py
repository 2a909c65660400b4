"""Leakage check on the stored tables: recompute a day's features from raw rows up to that day, and compare.

A leak is barely visible in the skill (tomorrow's market mean among the features raises it only from 0.32 to 0.39), so the
check is made where a leak would enter. The leakage limits on skill belong in `modeling.registry.promotion`.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from cryptoliq_assets.cleaning import clean_snapshots
from cryptoliq_assets.core import CLEANING_BACK_DAYS, HISTORY_DAYS, month_of, months_between
from cryptoliq_assets.features import engineer_features
from cryptoliq_assets.schemas import TABLES
from cryptoliq_assets.storage import TableStore

SAMPLED_DATES = 3
_KEYS = ("coin", "symbol", "date")
_COMPARED = tuple(name for name in TABLES["engineered_features"].columns if name not in _KEYS)
_SAMPLES = 5


def sample_dates(store: TableStore, *, count: int = SAMPLED_DATES) -> list[dt.date]:
    """Return the newest date of the features and `count` - 1 evenly spaced earlier ones; deterministic."""
    days = sorted(
        day
        for month in store.months("engineered_features")
        if (stamp := store.stamp("engineered_features", month))
        for day in stamp.days
    )
    positions = np.linspace(0, len(days) - 1, count + 1)[1:].tolist() if days else []
    return [dt.date.fromisoformat(days[position]) for position in dict.fromkeys(map(round, positions))]


def find_look_ahead(store: TableStore, dates: Sequence[dt.date], *, formula: str) -> dict[str, Any]:
    """Compare stored feature rows with those recomputed from raw rows up to each date.

    Rows with a filled cell are skipped: they may be filled from the next day, are flagged, and are not used to train or
    score a model. Values must be equal to the last bit, and missing in the same places.

    Args:
        store: The tables.
        dates: Dates to compare.
        formula: Name of the liquidity formula.

    Returns:
        {"dates", "rows", "values", "differing": {column: count}, "samples": […]}; a row that only one side has counts in
        `differing` under "rows".
    """
    result: dict[str, Any] = {"dates": [str(date) for date in dates], "rows": 0, "values": 0}
    differing: dict[str, int] = {}
    samples: list[str] = []
    for date in dates:
        stored, recomputed = _stored(store, date), _recomputed(store, date, formula=formula)
        filled = set(stored["coin"][stored["filled"]].astype(str))
        stored, recomputed = (frame[~frame["coin"].astype(str).isin(filled)] for frame in (stored, recomputed))
        result["rows"] += len(recomputed)
        result["values"] += len(recomputed) * len(_COMPARED)
        names, others = set(stored["coin"].astype(str)), set(recomputed["coin"].astype(str))
        if names != others:
            differing["rows"] = differing.get("rows", 0) + len(names ^ others)
            samples += [f"{coin} {date}: stored or recomputed only" for coin in sorted(names ^ others)]
        both = sorted(names & others)
        left, right = (frame.set_index(frame["coin"].astype(str)).loc[both] for frame in (stored, recomputed))
        for column in _COMPARED:
            unequal = _unequal(left[column].to_numpy(), right[column].to_numpy())
            if unequal.any():
                differing[column] = differing.get(column, 0) + int(unequal.sum())
                at = int(np.flatnonzero(unequal)[0])
                samples.append(f"{both[at]} {date}: {column} {left[column].iloc[at]}, not {right[column].iloc[at]}")
    return {**result, "differing": differing, "samples": samples[:_SAMPLES]}


def _stored(store: TableStore, date: dt.date) -> pd.DataFrame:
    month = store.read("engineered_features", [month_of(date)])
    return month[month["date"] == pd.Timestamp(date)]


def _recomputed(store: TableStore, date: dt.date, *, formula: str) -> pd.DataFrame:
    first, day = date - dt.timedelta(days=HISTORY_DAYS - 1), pd.Timestamp(date)
    first_raw = first - dt.timedelta(days=CLEANING_BACK_DAYS)
    raw = store.read("raw_snapshots", months_between(month_of(first_raw), month_of(date)))
    visible = raw[(raw["date"] >= pd.Timestamp(first_raw)) & (raw["date"] <= day)].reset_index(drop=True)
    cleaned, _ = clean_snapshots(visible, since=pd.Timestamp(first), until=day)
    return engineer_features(cleaned, formula=formula, since=day)


def _unequal(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    unequal: npt.NDArray[np.bool_] = one != other
    if one.dtype.kind == "f":
        unequal &= ~(np.isnan(one) & np.isnan(other))
    return unequal
