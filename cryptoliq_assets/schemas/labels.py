"""`labels`: the score of a day and the score realised one horizon later."""

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

from cryptoliq_assets.schemas.base import (
    TableModel,
    day_column,
    flag_column,
    integer_column,
    number_column,
    text_column,
)

_SCORE = ("engineered_features.liquidity_score",)


class Labels(TableModel):
    """One row per feature row."""

    coin: Series[pd.CategoricalDtype] = text_column("Identity of the coin.", sources=("engineered_features.coin",))
    date: Series[pa.DateTime] = day_column("Day of the snapshot.", sources=("engineered_features.date",))
    target_date: Series[pa.DateTime] = day_column("date + horizon_days.", sources=("engineered_features.date",))
    horizon_days: Series[int] = integer_column("Forecast horizon.", unit="days", ge=1, le=28)
    liquidity_score: Series[float] = number_column(
        "Score on `date`; not bounded to [0, 1].", unit="score", sources=_SCORE
    )
    target_score: Series[float] = number_column(
        "Score realised on `target_date`; null where that day is absent or not valid.", unit="score", sources=_SCORE
    )
    sound: Series[bool] = flag_column(
        "Whether the row may train a model, score a model or serve as a target.", sources=("engineered_features.sound",)
    )
    trainable: Series[bool] = flag_column(
        "Whether the row and its target are valid.", sources=("engineered_features.sound", *_SCORE)
    )
