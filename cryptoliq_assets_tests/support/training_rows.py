"""A small simulated market, processed by the same functions as a real one."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from cryptoliq_assets.cleaning.imputation import clean_snapshots
from cryptoliq_assets.features import engineer_features
from cryptoliq_assets.labels.targets import label_targets
from cryptoliq_assets.modeling.datasets.training_set import TrainingSet, build_training_set
from cryptoliq_assets.simulation.market import simulate_market

Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


def tables_of(raw: pd.DataFrame, *, horizon_days: int = 1) -> Tables:
    """Return cleaned rows, features and labels of raw rows."""
    raw = raw.assign(liquidity_ratio=np.nan, price_change_24h=np.nan)
    raw["coin"], raw["symbol"] = raw["coin"].astype("category"), raw["symbol"].astype("category")
    raw = raw.sort_values(["coin", "date"], kind="stable").reset_index(drop=True)
    since, until = raw["date"].min(), raw["date"].max()
    cleaned, _ = clean_snapshots(raw, since=since, until=until)
    features = engineer_features(cleaned)
    return cleaned, features, label_targets(features, horizon_days=horizon_days, since=since, until=until)


def training_set_of(tables: Tables) -> TrainingSet:
    """Return the training set of cleaned rows, features and labels."""
    cleaned, features, labels = tables
    return build_training_set(features, labels, cleaned=cleaned)


@pytest.fixture(scope="session")
def market() -> Tables:
    """50 coins over 90 days."""
    return tables_of(simulate_market(coins=50, days=90, end=dt.date(2024, 3, 30), seed=3))


@pytest.fixture(scope="session")
def rows(market: Tables) -> TrainingSet:
    return training_set_of(market)


def toy_rows(days: list[int], *, coins: list[int] | None = None, horizon: int = 1) -> TrainingSet:
    """Return rows on the given days after 2024-01-01 with three features; for folds and metrics, not for training."""
    n = len(days)
    date = np.datetime64("2024-01-01", "D") + np.array(days, dtype="timedelta64[D]")
    codes = np.array(coins or [0] * n, dtype=np.int32)
    # Enough days for rows with full history.
    X = np.tile(np.array([30.0, 0.0, 0.0], np.float32), (n, 1))
    return TrainingSet(
        formula="kyle_obizhaeva",
        horizon_days=horizon,
        features=("days_seen_90d", "change_24h", "change_7d"),
        X=X,
        X_short_history=X,
        X_no_history=X,
        X_missing_change=X,
        y=np.arange(n, dtype=float),
        today=np.arange(n, dtype=float) - 1.0,
        coins=codes,
        coin_names=np.array([f"coin-{code}" for code in range(codes.max() + 1)], dtype=object),
        date=date,
        target_date=date + np.timedelta64(horizon, "D"),
        known_cap=np.ones(n, dtype=bool),
        bucket=np.zeros(n, dtype=np.int8),
        days_seen=np.full(n, 30, dtype=np.int16),
    )
