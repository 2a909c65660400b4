"""`raw_snapshots`: data as received, typed; one row per (coin, date).

The raw contract is declared here: the columns that a file must have, and the values that are rejected (`ingestion/parsing`).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from cryptoliq_assets.core import BoolArray, FloatArray
from cryptoliq_assets.schemas.base import (
    TableModel,
    day_column,
    integer_column,
    number_column,
    text_column,
    timestamp_column,
)

# Columns that every file must have; the exports of CoinGecko have these nine.
REQUIRED_COLUMNS = ("coin", "symbol", "price", "1h", "24h", "7d", "24h_volume", "mkt_cap", "date")
# Without these a row cannot be forecast.
CRITICAL_COLUMNS = ("price", "24h_volume")
# Derived where a file does not have them.
DERIVED_COLUMNS = ("liquidity_ratio", "price_change_24h")
CONTRACT_COLUMNS = REQUIRED_COLUMNS + DERIVED_COLUMNS
CHANGE_COLUMNS = ("1h", "24h", "7d")
NUMBER_COLUMNS = ("price", *CHANGE_COLUMNS, "24h_volume", "mkt_cap", *DERIVED_COLUMNS)
# Ends of the trading range, carried through cleaning and requests for formulas that use them.
RANGE_COLUMNS = ("high_24h", "low_24h")
# Stored where a file has them, else null: values that cannot be fetched again later. An unreadable cell of these does not
# reject its row.
OPTIONAL_NUMBERS = (*RANGE_COLUMNS, "circulating_supply", "market_cap_rank")
NAME_COLUMN, LAST_UPDATED_COLUMN = "name", "last_updated"
OPTIONAL_COLUMNS = (NAME_COLUMN, *OPTIONAL_NUMBERS, LAST_UPDATED_COLUMN)
# Unit of the changes, the same in every row of a file; not stored, because tables contain percent only.
UNIT_COLUMN = "change_unit"
# Negative values of these are invalid.
UNSIGNED_COLUMNS = ("price", "24h_volume", "mkt_cap", "liquidity_ratio")


@dataclass(frozen=True)
class Bounds:
    """Absolute values that a column can have: 0, or `minimum` to `maximum`."""

    minimum: float
    maximum: float

    def find_outside(self, values: FloatArray) -> BoolArray:
        """Return (n,) booleans: which finite numbers are outside; NaN is not."""
        sizes = np.abs(values)
        return np.asarray((sizes > self.maximum) | ((sizes < self.minimum) & (sizes > 0)))

    def contains(self, value: float) -> bool:
        """Return whether one number is inside.

        Example:
            >>> Bounds(1e-18, 1e18).contains(0.0), Bounds(1e-18, 1e18).contains(1e-20)
            (True, False)
        """
        return value == 0 or self.minimum <= abs(value) <= self.maximum

    def __str__(self) -> str:
        if not self.minimum:
            return f"from -{_short(self.maximum)} to {_short(self.maximum)}"
        return f"0 or at least {_short(self.minimum)}, and at most {_short(self.maximum)}"


def _short(value: float) -> str:
    return f"{value:g}".replace("e+", "e")


# USD and coins. Quotients, logarithms, roots and sums of squares of numbers within the bounds are finite, even in 32 bits.
AMOUNTS = Bounds(1e-18, 1e18)
# The quotient of two amounts, rounded.
_QUOTIENTS = Bounds(1e-37, 1e37)
# A cell may be a fraction, one hundredth of the stored percent. Real snapshots contain changes up to 1e10 percent.
_CHANGES = Bounds(0.0, 1e16)
PLAUSIBLE_BOUNDS: dict[str, Bounds] = {
    **dict.fromkeys(("price", "24h_volume", "mkt_cap"), AMOUNTS),
    **dict.fromkeys(CHANGE_COLUMNS, _CHANGES),
    "liquidity_ratio": _QUOTIENTS,
    "price_change_24h": Bounds(0.0, _QUOTIENTS.maximum),
    **dict.fromkeys(("high_24h", "low_24h", "circulating_supply"), AMOUNTS),
    "market_cap_rank": AMOUNTS,
}


class RawSnapshots(TableModel):
    """One row per (coin, date), as received; changes are in percent, regardless of the unit of the file."""

    coin: Series[pd.CategoricalDtype] = text_column("Name of the coin as spelled by its source: the identity of a row.")
    symbol: Series[pd.CategoricalDtype] = text_column("Ticker; several coins may share one.", nullable=True)
    date: Series[pa.DateTime] = day_column("Day of the snapshot.")
    price: Series[float] = number_column("Price of one coin.", unit="USD", ge=0)
    change_1h: Series[float] = number_column("Price change over the last hour.", alias="1h", unit="percent")
    change_24h: Series[float] = number_column("Price change over the last 24 hours.", alias="24h", unit="percent")
    change_7d: Series[float] = number_column("Price change over the last 7 days.", alias="7d", unit="percent")
    volume_24h: Series[float] = number_column(
        "Value traded over the last 24 hours.", alias="24h_volume", unit="USD", ge=0
    )
    mkt_cap: Series[float] = number_column("Market capitalisation; 0 or empty means unknown.", unit="USD", ge=0)
    liquidity_ratio: Series[float] = number_column(
        "24h_volume / mkt_cap, a day's turnover; derived where the file has none.", unit="ratio", ge=0
    )
    price_change_24h: Series[float] = number_column(
        "Price change over the last 24 hours; derived where the file has none.", unit="USD"
    )
    name: Series[pd.CategoricalDtype] = text_column("Display name, where the file has one.", nullable=True)
    high_24h: Series[float] = number_column("Highest price of the last 24 hours.", unit="USD", ge=0)
    low_24h: Series[float] = number_column("Lowest price of the last 24 hours.", unit="USD", ge=0)
    circulating_supply: Series[float] = number_column("Coins in circulation.", unit="coins", ge=0)
    market_cap_rank: Series[float] = number_column("Rank by market cap, as stated by the source.", unit="rank", ge=1)
    last_updated: Series[pa.DateTime] = timestamp_column(
        "Time of the last trade of the coin known to the source.", nullable=True
    )
    source_file: Series[pd.CategoricalDtype] = text_column("File of the row.")
    arrival: Series[int] = integer_column(
        "Number of that file in the order of arrival: the later one has priority.", unit="count", ge=1
    )
