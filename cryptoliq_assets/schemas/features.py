"""`engineered_features`: keys, flags, and the features that `schemas/feature_registry.py` declares."""

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from cryptoliq_assets.schemas.base import TableModel, day_column, flag_column, number_column, text_column
from cryptoliq_assets.schemas.feature_registry import FEATURES

_CHANGES = ("cleaned_snapshots.24h", "cleaned_snapshots.7d")
_FILLED = ("cleaned_snapshots.filled_forward", "cleaned_snapshots.filled_backward")


class FeatureKeys(TableModel):
    """Keys and flags of a feature row."""

    coin: Series[pd.CategoricalDtype] = text_column("Identity of the coin.", sources=("cleaned_snapshots.coin",))
    symbol: Series[pd.CategoricalDtype] = text_column("Ticker.", sources=("cleaned_snapshots.symbol",), nullable=True)
    date: Series[pa.DateTime] = day_column("Day of the snapshot.", sources=("cleaned_snapshots.date",))
    volatility_partial: Series[bool] = flag_column("24h or 7d is missing.", sources=_CHANGES)
    no_trades: Series[bool] = flag_column(
        "Volume is 0; scored as one dollar.", sources=("cleaned_snapshots.24h_volume",)
    )
    volatility_floored: Series[bool] = flag_column(
        "Volatility is below its floor: a peg, or a stale price.", sources=_CHANGES
    )
    stale_price: Series[bool] = flag_column(
        "Floored with less than $1,000 traded.", sources=(*_CHANGES, "cleaned_snapshots.24h_volume")
    )
    filled: Series[bool] = flag_column("Price or volume of the row was filled.", sources=_FILLED)
    outlier: Series[bool] = flag_column(
        "Price or volume received was an outlier and is replaced.", sources=("cleaned_snapshots.outlier",)
    )
    sound: Series[bool] = flag_column(
        "Whether the row may train a model, score a model or serve as a target.",
        sources=(*_CHANGES, "cleaned_snapshots.24h_volume", *_FILLED),
    )


def _feature_columns() -> dict[str, object]:
    fields: dict[str, object] = {"__annotations__": {feature.name: Series[float] for feature in FEATURES}}
    for feature in FEATURES:
        sources = tuple(f"cleaned_snapshots.{source}" for source in feature.sources)
        fields[feature.name] = number_column(feature.meaning, unit=feature.unit, sources=sources)
    return fields


EngineeredFeatures = type(
    "EngineeredFeatures",
    (FeatureKeys,),
    {"__doc__": "One row per cleaned row: keys, flags and features.", "__module__": __name__, **_feature_columns()},
)
