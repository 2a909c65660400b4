"""`engineered_features` and `feature_views`: keys, flags, and the features that `schemas/feature_registry.py` declares."""

import numpy as np
import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from cryptoliq_assets.schemas.base import TableModel, day_column, flag_column, number_column, text_column
from cryptoliq_assets.schemas.feature_registry import FEATURES
from cryptoliq_assets.schemas.groups import MISSING_CHANGE, SHORT_HISTORY

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


# Features of a model, in the order of the registry, whose values differ between a row and a view of it. What a row shows
# without history follows from the row alone (`features_without_history`) and is not stored.
VIEW_FEATURES: dict[str, tuple[str, ...]] = {
    SHORT_HISTORY: tuple(feature.name for feature in FEATURES if feature.for_models and feature.looks_back),
    MISSING_CHANGE: tuple(
        feature.name
        for feature in FEATURES
        if feature.for_models
        and (feature.looks_back or (not feature.market_wide and {"24h", "7d"} & set(feature.sources)))
    ),
}
_SHOWN_WITH = {SHORT_HISTORY: "at most seven days of history", MISSING_CHANGE: "24h, 7d or both missing"}


def view_column(feature: str, view: str) -> str:
    """Return the column of `feature_views` with the values of a feature in a view.

    Example:
        >>> view_column("return_6d", "young")
        'return_6d_young'
    """
    return f"{feature}_{view}"


class ViewKeys(TableModel):
    """Keys of a row."""

    coin: Series[pd.CategoricalDtype] = text_column("Identity of the coin.", sources=("cleaned_snapshots.coin",))
    date: Series[pa.DateTime] = day_column("Day of the snapshot.", sources=("cleaned_snapshots.date",))


def _view_columns() -> dict[str, object]:
    features = {feature.name: feature for feature in FEATURES}
    fields: dict[str, object] = {"__annotations__": {}}
    for view, names in VIEW_FEATURES.items():
        for name in names:
            sources = tuple(f"cleaned_snapshots.{source}" for source in features[name].sources)
            column, meaning = view_column(name, view), f"{features[name].meaning} With {_SHOWN_WITH[view]}."
            fields["__annotations__"][column] = Series[np.float32]  # type: ignore[index]
            fields[column] = number_column(meaning, unit=features[name].unit, sources=sources)
    return fields


FeatureViews = type(
    "FeatureViews",
    (ViewKeys,),
    {
        "__doc__": "One row per cleaned row: its features as a model sees them with less history or missing changes.",
        "__module__": __name__,
        **_view_columns(),
    },
)
