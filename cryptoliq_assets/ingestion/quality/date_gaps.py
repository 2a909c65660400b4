"""Gaps: days on which a coin has no row though it was seen before and after."""

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pandas as pd

from cryptoliq_assets.core import add_months, first_day, last_day
from cryptoliq_assets.storage import InvalidTableError, TableStore, sort_rows


def count_gaps(rows: pd.DataFrame, *, since: dt.date, until: dt.date) -> dict[str, int]:
    """Gaps from `since` to `until`: spans of missing days, those days, and the coins that have any.

    rows: columns coin (categorical) and date, sorted by both; rows outside these days show that a coin was seen
    before or after. Of a span that begins or ends outside, the days inside count.
    """
    codes = rows["coin"].cat.codes.to_numpy()
    days = rows["date"].to_numpy().astype("datetime64[D]").astype(np.int64)
    first, last = (int(np.datetime64(day, "D").astype(np.int64)) for day in (since, until))
    missing = np.minimum(days[1:] - 1, last) - np.maximum(days[:-1] + 1, first) + 1
    gap = (codes[1:] == codes[:-1]) & (missing > 0)
    return {
        "spans": int(np.count_nonzero(gap)),
        "missing_days": int(missing[gap].sum()),
        "coins": len(np.unique(codes[1:][gap])),
    }


def count_month_gaps(store: TableStore, frame: pd.DataFrame, months: Sequence[str]) -> dict[str, int]:
    """Gaps of raw months whose rows are `frame`, in view of the stored months around them."""
    if frame.empty:
        return {"spans": 0, "missing_days": 0, "coins": 0}
    around = sorted({add_months(month, step) for month in months for step in (-1, 1)} - set(months))
    parts = [frame[["coin", "date"]], *(_stored(store, month) for month in around)]
    rows = pd.DataFrame(
        {
            "coin": pd.api.types.union_categoricals([part["coin"] for part in parts]),
            "date": np.concatenate([part["date"].to_numpy() for part in parts]),
        }
    )
    return count_gaps(sort_rows(rows), since=first_day(min(months)), until=last_day(max(months)))


def _stored(store: TableStore, month: str) -> pd.DataFrame:
    try:
        return store.read("raw_snapshots", [month], columns=["coin", "date"])
    except InvalidTableError:
        # A damaged month is mended by its own run; no other has to wait for that.
        return store.read("raw_snapshots", [], columns=["coin", "date"])
