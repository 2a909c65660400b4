"""`forecasts`: forecast, time, inputs and model; stored rows never change."""

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from cryptoliq_assets.schemas.base import TableModel, day_column, flag_column, number_column, text_column


class Forecasts(TableModel):
    """One row per (coin, date, model_version, made_at)."""

    coin: Series[pd.CategoricalDtype] = text_column("Identity of the coin.", sources=("engineered_features.coin",))
    date: Series[pa.DateTime] = day_column("Day of the snapshot forecast from.", sources=("engineered_features.date",))
    target_date: Series[pa.DateTime] = day_column("Day forecast for.", sources=("engineered_features.date",))
    known_until: Series[pa.DateTime] = day_column(
        "Data cutoff: newest date of any input, the training targets of the model included.",
        sources=("engineered_features.date",),
    )
    model_version: Series[pd.CategoricalDtype] = text_column("Version of the champion that computed it.")
    made_at: Series[pa.DateTime] = pa.Field(
        description="Time at which the forecast was computed.", metadata={"unit": "UTC", "sources": ()}
    )
    liquidity_score: Series[float] = number_column(
        "Score expected on target_date.",
        unit="score",
        sources=("engineered_features.liquidity_score",),
        nullable=False,
    )
    lower: Series[float] = number_column("Lower end of the interval.", unit="score", nullable=False)
    upper: Series[float] = number_column("Upper end of the interval.", unit="score", nullable=False)
    filled: Series[bool] = flag_column(
        "Price or volume of the row was filled from another day; false in forecasts of versions that did not record it.",
        sources=("engineered_features.filled",),
    )
    outlier: Series[bool] = flag_column(
        "Price or volume of the row was an outlier: the forecast uses the preceding days instead.",
        sources=("engineered_features.outlier",),
    )

    @pa.dataframe_check(name="lower_at_most_upper")
    def lower_at_most_upper(cls, frame: pd.DataFrame) -> pd.Series:
        """The ends of the interval are in order and contain the forecast."""
        return (frame["lower"] <= frame["liquidity_score"]) & (frame["liquidity_score"] <= frame["upper"])

    @pa.dataframe_check(name="target_after_date")
    def target_after_date(cls, frame: pd.DataFrame) -> pd.Series:
        """The target is later than the snapshot."""
        return frame["target_date"] > frame["date"]

    class Config:
        unique = ["coin", "date", "model_version", "made_at"]
