"""Does the 24h column say what the prices did? A check on the unit, from two snapshots a day apart."""

from typing import Literal

import numpy as np
import pandas as pd

# Slopes that a wrong unit has: fractions read as percent, and percent read as fractions.
UNIT_SLOPES = (100.0, 0.01)
# Below this many coins, or this much median movement (percent), a slope says nothing.
MIN_COINS = 10
MIN_MOVE = 0.1
# A change up to this size (percent) is none: a quotient by it says nothing, and may be infinite.
NO_MOVE = 1e-9

SlopeClass = Literal["agrees", "unit", "contradicts"]


def classify_slope(slope: float, factor: float) -> SlopeClass:
    """What a slope of realised changes on the 24h column says, `factor` being the setting `feed.unit_slope_ratio`.

    Within the factor of 1 the two agree; within it of 100 or 0.01 the column has another unit; any other slope contradicts.
    """
    if 1.0 / factor <= slope <= factor:
        return "agrees"
    is_unit = any(expected / factor <= slope <= expected * factor for expected in UNIT_SLOPES)
    return "unit" if is_unit else "contradicts"


def compute_realized_slopes(rows: pd.DataFrame) -> pd.Series:
    """Slope, by date, of the realised change since the day before (percent) on the 24h column: 1 where both agree, 100 or
    0.01 where the unit is wrong.

    rows: columns coin (categorical), date, price, 24h, sorted by (coin, date). The median of realised / told over the
    half of the coins, seen on both days, that are told to have moved most: robust where least squares would follow one
    listing's first print. Dates without a snapshot the day before, or with too little to go by, are left out.
    """
    coins = rows["coin"].cat.codes.to_numpy()
    dates = rows["date"].to_numpy().astype("datetime64[D]")
    price, told = rows["price"].to_numpy(dtype=float), rows["24h"].to_numpy(dtype=float)
    # Sorted rows: the day before, where there is one, is the row before.
    now = 1 + np.flatnonzero((coins[1:] == coins[:-1]) & (np.diff(dates) == np.timedelta64(1, "D")))
    now = now[(price[now] > 0) & (price[now - 1] > 0) & (np.abs(told[now]) > NO_MOVE)]
    both = pd.DataFrame({"told": told[now], "realised": (price[now] / price[now - 1] - 1.0) * 100.0})
    both["ratio"] = both["realised"] / both["told"]
    both["size"] = both["told"].abs()
    day = rows["date"].to_numpy()[now]
    moving = (both["size"] >= both["size"].groupby(day).transform("median")).to_numpy()
    by_day = both[moving].abs().assign(ratio=both["ratio"]).groupby(day[moving])
    slopes, moved = by_day["ratio"].median(), by_day["realised"].median()
    slopes.index.name = "date"
    return slopes[(by_day.size() >= MIN_COINS) & (moved > MIN_MOVE)]
