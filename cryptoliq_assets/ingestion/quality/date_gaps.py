"""Gaps: days on which a coin has no row although it was seen before and after.

Days without any snapshot of the market belong in `monitoring.data`.
"""

import datetime as dt
from collections.abc import Sequence

import numpy as np
import pandas as pd

from cryptoliq_assets.core import add_months, first_day, last_day
from cryptoliq_assets.storage import InvalidTableError, TableStore, sort_rows


def count_gaps(rows: pd.DataFrame, *, since: dt.date, until: dt.date) -> dict[str, int]:
    """Count the gaps in a range of days.

    Args:
        rows: Columns coin (categorical) and date, sorted by both; rows outside the range show that a coin was seen before or
            after.
        since: First day.
        until: Last day.

    Returns:
        "spans" of missing days, "missing_days" (only those in the range), and "coins" with a gap.

    Example:
        >>> dates = pd.to_datetime(["2025-03-01", "2025-03-04"])
        >>> rows = pd.DataFrame({"coin": pd.Categorical(["bitcoin", "bitcoin"]), "date": dates})
        >>> count_gaps(rows, since=dt.date(2025, 3, 1), until=dt.date(2025, 3, 31))
        {'spans': 1, 'missing_days': 2, 'coins': 1}
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
    """Count the gaps in raw months, taking the stored months around them into account.

    Args:
        store: Stored tables.
        frame: Raw rows of the months.
        months: Months to check.

    Returns:
        As `count_gaps`.
    """
    if frame.empty:
        return {"spans": 0, "missing_days": 0, "coins": 0}
    around = sorted({add_months(month, step) for month in months for step in (-1, 1)} - set(months))
    parts = [frame[["coin", "date"]], *(_read_stored(store, month) for month in around)]
    rows = pd.DataFrame(
        {
            "coin": pd.api.types.union_categoricals([part["coin"] for part in parts]),
            "date": np.concatenate([part["date"].to_numpy() for part in parts]),
        }
    )
    return count_gaps(sort_rows(rows), since=first_day(min(months)), until=last_day(max(months)))


def _read_stored(store: TableStore, month: str) -> pd.DataFrame:
    try:
        return store.read("raw_snapshots", [month], columns=["coin", "date"])
    except InvalidTableError:
        # A damaged month is repaired by its own run; other months must not wait for that.
        return store.read("raw_snapshots", [], columns=["coin", "date"])
