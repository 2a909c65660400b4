"""Shares of rows by day, and the days on which a share is further from its usual than chance: what checks of flags share."""

import numpy as np
import pandas as pd

from cryptoliq_assets.core import add_months, max_months_spanned
from cryptoliq_assets.orchestration import Finding
from cryptoliq_assets.storage import TableStore

# The median of so many days before a day is usual.
USUAL_DAYS = 30
# A share of fewer rows says nothing.
MIN_ROWS = 10
# Standard deviations of a share that are left to chance.
_DEVIATIONS = 3.0
_LISTED = 20


def read_daily_fractions(store: TableStore, table: str, months: list[str], flags: dict[str, list[str]]) -> pd.DataFrame:
    """Share of the rows of each day, by name, that have any of its flag columns; and `rows`. Indexed by date.

    The month before the first of `months` is read too, for what is usual.
    """
    before = [add_months(months[0], -back) for back in range(max_months_spanned(USUAL_DAYS), 0, -1)]
    columns = sorted({column for names in flags.values() for column in names})
    rows = store.read(table, [*before, *months], columns=["coin", "date", *columns])
    marked = {name: rows[names].any(axis=1).to_numpy(dtype=float) for name, names in flags.items()}
    by_day = pd.DataFrame({"date": rows["date"], **marked}).groupby("date")
    return by_day.mean().assign(rows=by_day.size())


def find_unusual_days(
    shares: pd.DataFrame, name: str, months: list[str], *, limit: float, falls: bool = False
) -> Finding:
    """Days of these months on which a share lies more than `limit`, and chance, above (`falls`: below) the days before."""
    counted = shares[shares["rows"] >= MIN_ROWS]
    usual = counted[name].rolling(f"{USUAL_DAYS}D", closed="left").median()
    off = (usual - counted[name]) if falls else (counted[name] - usual)
    chance = _DEVIATIONS * np.sqrt(usual * (1.0 - usual) / counted["rows"])
    wrong = counted[(off > limit + chance) & (counted.index >= np.datetime64(f"{months[0]}-01"))]
    days = {str(day.date()): f"{row[name]:.1%}, usually {usual[day]:.1%}" for day, row in wrong.iterrows()}
    newest = float(counted[name].iloc[-1]) if len(counted) else None
    metadata = {"count": len(days), "days": dict(list(days.items())[:_LISTED])}
    return Finding(not days, metadata if newest is None else {"newest_share": newest, **metadata})
