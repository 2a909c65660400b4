"""`backtest`: out-of-fold forecasts of each model, and their accuracy per coin.

One Parquet file each, not monthly.
"""

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
from cryptoliq_assets.schemas.groups import BUCKETS, VIEWS
from cryptoliq_assets.schemas.tables import Table


class Backtest(TableModel):
    """One row per (coin, date, model): out-of-fold forecasts of candidates and baselines, and the actual scores."""

    coin: Series[pd.CategoricalDtype] = text_column("Identity of the coin.", sources=("labels.coin",))
    date: Series[pa.DateTime] = day_column("Day of the snapshot forecast from.", sources=("labels.date",))
    target_date: Series[pa.DateTime] = day_column("Day forecast for.", sources=("labels.target_date",))
    fold: Series[int] = integer_column("Fold that tested the row.", unit="count", ge=1)
    model: Series[pd.CategoricalDtype] = text_column("Name of the candidate or baseline.")
    predicted: Series[float] = number_column("Score forecast with full history.", unit="score", nullable=False)
    predicted_without_history: Series[float] = number_column(
        "Score forecast of the same row as a request without history.", unit="score", nullable=False
    )
    realised: Series[float] = number_column(
        "Score realised on target_date.", unit="score", sources=("labels.target_score",), nullable=False
    )
    persistence: Series[float] = number_column(
        "Score of date: the forecast of no change.", unit="score", sources=("labels.liquidity_score",), nullable=False
    )
    bucket: Series[pd.CategoricalDtype] = text_column(
        "Size of the coin, by market-cap rank.", sources=("engineered_features.mkt_cap_rank_log",), isin=BUCKETS
    )
    known_cap: Series[bool] = flag_column("The market cap is known.", sources=("engineered_features.mkt_cap_log",))

    @pa.dataframe_check(name="target_after_date")
    def target_after_date(cls, frame: pd.DataFrame) -> pd.Series:
        """The target is later than the snapshot."""
        return frame["target_date"] > frame["date"]

    class Config:
        unique = ["coin", "date", "model"]


class BacktestByCoin(TableModel):
    """One row per (coin, model, view): accuracy of the backtest over the rows of the coin, all folds combined."""

    coin: Series[pd.CategoricalDtype] = text_column("Identity of the coin.", sources=("backtest.coin",))
    model: Series[pd.CategoricalDtype] = text_column("Name of the candidate or baseline.", sources=("backtest.model",))
    view: Series[pd.CategoricalDtype] = text_column(
        "Inputs of each forecast: full history, at most seven days of it, none; partial: without 24h, 7d or both.",
        isin=VIEWS,
    )
    bucket: Series[pd.CategoricalDtype] = text_column(
        "Size of the coin on its last day, by market-cap rank.", sources=("backtest.bucket",), isin=BUCKETS
    )
    rows: Series[int] = integer_column("Tested rows of the coin.", unit="count", ge=1)
    skill: Series[float] = number_column("1 - MSE / MSE of persistence.", unit="ratio", le=1.0)
    mae: Series[float] = number_column("Mean absolute error.", unit="score", nullable=False, ge=0.0)
    mean_absolute_prediction: Series[float] = number_column(
        "Mean of the absolute forecasts.", unit="score", nullable=False, ge=0.0
    )
    rmse: Series[float] = number_column("Root of the mean squared error.", unit="score", nullable=False, ge=0.0)
    r2: Series[float] = number_column("1 - MSE / variance of the actual scores.", unit="ratio", le=1.0)
    mae_vs_persistence: Series[float] = number_column("MAE / MAE of persistence.", unit="ratio", ge=0.0)
    mae_vs_har: Series[float] = number_column("MAE / MAE of HAR with all history.", unit="ratio", ge=0.0)
    bias: Series[float] = number_column("Mean of forecast minus actual score.", unit="score", nullable=False)

    class Config:
        unique = ["coin", "model", "view"]


# In addition to the monthly tables, under reports/ in the data directory.
BACKTEST = Table("backtest", Backtest, "backtest.parquet")
BACKTEST_BY_COIN = Table("backtest_by_coin", BacktestByCoin, "backtest_by_coin.parquet")
