"""Does the 24h column say what the prices did? A check on the unit, from two snapshots a day apart."""

import pandas as pd

# The slope is 1 when column and prices agree, 100 or 0.01 when the unit is wrong.
SLOPE_RANGE = (0.5, 2.0)
# Below this many coins, or this much median movement (percent), a slope says nothing.
LEAST_COINS = 10
LEAST_MOVE = 0.1


def realised_slopes(rows: pd.DataFrame) -> pd.Series:
    """Slope, by date, of the realised change since the day before (percent) on the 24h column.

    rows: columns coin, date, price, 24h. The median of realised / told over the half of the coins, seen on both days,
    that are told to have moved most: robust where least squares would follow one listing's first print. Dates without a
    snapshot the day before, or with too little to go by, are left out.
    """
    before = rows[["coin", "date", "price"]].rename(columns={"price": "price_before"})
    before = before.assign(date=before["date"] + pd.Timedelta(days=1))
    plain = {"coin": "object"}
    both = rows[["coin", "date", "price", "24h"]].astype(plain).merge(before.astype(plain), on=["coin", "date"])
    both = both[(both["price"] > 0) & (both["price_before"] > 0) & both["24h"].notna()]
    both["realised"] = (both["price"] / both["price_before"] - 1.0) * 100.0
    told = both["24h"].abs()
    both = both[(told > 0) & (told >= told.groupby(both["date"]).transform("median"))]
    slopes = (both["realised"] / both["24h"]).groupby(both["date"]).median()
    moved = both["realised"].abs().groupby(both["date"]).median() > LEAST_MOVE
    enough = both.groupby("date").size() >= LEAST_COINS
    return slopes[enough & moved]
