"""`cleaned_snapshots`: raw rows without invalid cells and outliers; cells over short gaps are filled and flagged."""

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from cryptoliq_assets.schemas.base import TableModel, day_column, flag_column, number_column, text_column


class CleanedSnapshots(TableModel):
    """One row per (coin, date) that has a price and a volume, received or filled."""

    coin: Series[pd.CategoricalDtype] = text_column("Identity of the coin.", sources=("raw_snapshots.coin",))
    symbol: Series[pd.CategoricalDtype] = text_column("Ticker.", sources=("raw_snapshots.symbol",), nullable=True)
    date: Series[pa.DateTime] = day_column("Day of the snapshot.", sources=("raw_snapshots.date",))
    price: Series[float] = number_column(
        "Price of one coin; filled at most 3 days forward, 1 day back.",
        unit="USD",
        sources=("raw_snapshots.price",),
        nullable=False,
        gt=0,
    )
    change_1h: Series[float] = number_column(
        "Price change over the last hour; never filled.",
        alias="1h",
        unit="percent",
        sources=("raw_snapshots.1h",),
        ge=-100,
    )
    change_24h: Series[float] = number_column(
        "Price change over the last 24 hours; never filled.",
        alias="24h",
        unit="percent",
        sources=("raw_snapshots.24h",),
        ge=-100,
    )
    change_7d: Series[float] = number_column(
        "Price change over the last 7 days; never filled.",
        alias="7d",
        unit="percent",
        sources=("raw_snapshots.7d",),
        ge=-100,
    )
    volume_24h: Series[float] = number_column(
        "Value traded over the last 24 hours; filled at most 3 days forward, 1 day back.",
        alias="24h_volume",
        unit="USD",
        sources=("raw_snapshots.24h_volume",),
        nullable=False,
        ge=0,
    )
    mkt_cap: Series[float] = number_column(
        "Market capitalisation; null where unknown.", unit="USD", sources=("raw_snapshots.mkt_cap",), gt=0
    )
    liquidity_ratio: Series[float] = number_column(
        "24h_volume / mkt_cap.",
        unit="ratio",
        sources=("raw_snapshots.liquidity_ratio", "raw_snapshots.24h_volume", "raw_snapshots.mkt_cap"),
        ge=0,
    )
    price_change_24h: Series[float] = number_column(
        "Price change over the last 24 hours.",
        unit="USD",
        sources=("raw_snapshots.price_change_24h", "raw_snapshots.price", "raw_snapshots.24h"),
    )
    high_24h: Series[float] = number_column(
        "Highest price of the last 24 hours; never filled.", unit="USD", sources=("raw_snapshots.high_24h",), gt=0
    )
    low_24h: Series[float] = number_column(
        "Lowest price of the last 24 hours; never filled.", unit="USD", sources=("raw_snapshots.low_24h",), gt=0
    )
    filled_forward: Series[bool] = flag_column(
        "Price or volume was taken from up to 3 days before.",
        sources=("raw_snapshots.price", "raw_snapshots.24h_volume"),
    )
    filled_backward: Series[bool] = flag_column(
        "Price or volume was taken from the day after.", sources=("raw_snapshots.price", "raw_snapshots.24h_volume")
    )
    outlier: Series[bool] = flag_column(
        "Price or volume received was an outlier of the coin and is replaced by one of the days before.",
        sources=("raw_snapshots.price", "raw_snapshots.24h_volume"),
    )
