"""Compare the 24h column with the change of the prices of two consecutive snapshots, to detect a wrong unit.

Only the 24h column is compared here; the scale of prices, volumes and market caps belongs in `scale_changes.py`.
"""

from typing import Literal

import numpy as np
import pandas as pd

# Slopes of a wrong unit: fractions read as percent, and percent read as fractions.
UNIT_SLOPES = (100.0, 0.01)
# Minimum number of coins, and minimum median change (percent), for a meaningful slope.
MIN_COINS = 10
MIN_MOVE = 0.1
# Changes up to this size (percent) are ignored: a ratio to them is meaningless and may be infinite.
MAX_NO_MOVE = 1e-9

SlopeClass = Literal["agrees", "unit", "contradicts"]


def classify_slope(slope: float, factor: float) -> SlopeClass:
    """Classify a slope of realized changes on the 24h column.

    Args:
        slope: Slope, 1 if both agree.
        factor: The setting `feed.unit_slope_ratio`.

    Returns:
        "agrees" within the factor of 1, "unit" within the factor of 100 or 0.01, else "contradicts".

    Example:
        >>> [classify_slope(slope, 3.0) for slope in (1.2, 95.0, 8.0)]
        ['agrees', 'unit', 'contradicts']
    """
    if 1.0 / factor <= slope <= factor:
        return "agrees"
    is_unit = any(expected / factor <= slope <= expected * factor for expected in UNIT_SLOPES)
    return "unit" if is_unit else "contradicts"


def compute_realized_slopes(rows: pd.DataFrame) -> pd.Series:
    """Compute the slope of the realized change since the day before (percent) on the 24h column.

    The slope is the median of realized / reported change over the half of the coins, seen on both days, with the largest
    reported changes. The median is robust where least squares would follow a single new listing.

    Args:
        rows: Columns coin (categorical), date, price and 24h, sorted by (coin, date).

    Returns:
        Slopes by date: 1 if both agree, 100 or 0.01 if the unit is wrong. Dates without a snapshot the day before, or with too
        few coins or changes, are left out.
    """
    coins = rows["coin"].cat.codes.to_numpy()
    dates = rows["date"].to_numpy().astype("datetime64[D]")
    price, reported = rows["price"].to_numpy(dtype=float), rows["24h"].to_numpy(dtype=float)
    # Rows are sorted: a row of the day before is the previous row.
    now = 1 + np.flatnonzero((coins[1:] == coins[:-1]) & (np.diff(dates) == np.timedelta64(1, "D")))
    now = now[(price[now] > 0) & (price[now - 1] > 0) & (np.abs(reported[now]) > MAX_NO_MOVE)]
    both = pd.DataFrame({"reported": reported[now], "realized": (price[now] / price[now - 1] - 1.0) * 100.0})
    both["ratio"] = both["realized"] / both["reported"]
    both["size"] = both["reported"].abs()
    day = rows["date"].to_numpy()[now]
    moving = (both["size"] >= both["size"].groupby(day).transform("median")).to_numpy()
    by_day = both[moving].abs().assign(ratio=both["ratio"]).groupby(day[moving])
    slopes, moved = by_day["ratio"].median(), by_day["realized"].median()
    slopes.index.name = "date"
    return slopes[(by_day.size() >= MIN_COINS) & (moved > MIN_MOVE)]
