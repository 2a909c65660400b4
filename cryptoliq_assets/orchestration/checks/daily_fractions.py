"""Daily fractions of flagged rows, and the days on which a fraction differs from its usual value by more than chance.

Add what several checks of flags share. A check itself belongs in the module of its table.
"""

import numpy as np
import pandas as pd

from cryptoliq_assets.core import add_months, max_months_spanned
from cryptoliq_assets.orchestration.checks.registry import CheckOutcome
from cryptoliq_assets.storage import TableStore

# The usual value is the median over this many days before a day.
BASELINE_DAYS = 30
# Days with fewer rows are not checked.
MIN_ROWS = 10
# Standard errors of a fraction that count as chance.
_DEVIATIONS = 3.0
_LISTED_DAYS = 20


def read_daily_fractions(store: TableStore, table: str, months: list[str], flags: dict[str, list[str]]) -> pd.DataFrame:
    """Compute the fraction of each day's rows that have any of some flags.

    Args:
        store: The monthly tables.
        table: Name of the table.
        months: Months of the run; the month before the first is read too, for the usual value.
        flags: Names of fractions, each with its flag columns.

    Returns:
        One row per day, indexed by date: a column per fraction (0 to 1), and `rows`.
    """
    before = [add_months(months[0], -back) for back in range(max_months_spanned(BASELINE_DAYS), 0, -1)]
    columns = sorted({column for names in flags.values() for column in names})
    rows = store.read(table, [*before, *months], columns=["coin", "date", *columns])
    flagged = {name: rows[names].any(axis=1).to_numpy(dtype=float) for name, names in flags.items()}
    by_day = pd.DataFrame({"date": rows["date"], **flagged}).groupby("date")
    return by_day.mean().assign(rows=by_day.size())


def find_unusual_days(
    fractions: pd.DataFrame, name: str, months: list[str], *, limit: float, decrease: bool = False
) -> CheckOutcome:
    """Find days on which a fraction differs from the days before by more than a limit, and by more than chance.

    Args:
        fractions: As `read_daily_fractions` returns them.
        name: Column of the fraction.
        months: Months to report.
        limit: Allowed difference (0 to 1).
        decrease: Whether a fall is unusual instead of a rise.

    Returns:
        An outcome that fails where such days exist, with the first of them.
    """
    counted = fractions[fractions["rows"] >= MIN_ROWS]
    usual = counted[name].rolling(f"{BASELINE_DAYS}D", closed="left").median()
    difference = (usual - counted[name]) if decrease else (counted[name] - usual)
    chance = _DEVIATIONS * np.sqrt(usual * (1.0 - usual) / counted["rows"])
    unusual = counted[(difference > limit + chance) & (counted.index >= np.datetime64(f"{months[0]}-01"))]
    days = {str(day.date()): f"{row[name]:.1%}, usually {usual[day]:.1%}" for day, row in unusual.iterrows()}
    metadata = {"count": len(days), "days": dict(list(days.items())[:_LISTED_DAYS])}
    newest = {"newest_fraction": float(counted[name].iloc[-1])} if len(counted) else {}
    return CheckOutcome(not days, {**newest, **metadata})
