"""No model input reveals the date, even in a new table and with a trend that all coins share."""

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from cryptoliq_assets.modeling.datasets.training_set import TrainingSet
from cryptoliq_assets.modeling.estimators import CANDIDATES, center_on_7d_mean
from cryptoliq_assets.modeling.estimators.fitting import rows_with_past
from cryptoliq_assets.modeling.estimators.preprocessing import input_columns
from cryptoliq_assets.schemas.feature_registry import FEATURES as FEATURES_DECLARED
from cryptoliq_assets.schemas.groups import NO_HISTORY, SHORT_HISTORY, WITH_HISTORY
from cryptoliq_assets.simulation.market import simulate_market
from cryptoliq_assets_tests.support.training_rows import tables_of, training_set_of

# ln of the factor by which prices and market caps rise in a new table; volumes rise by its square.
RISE, YOUNG_DAYS, DAYS = 2.5, 90, 240
FEATURES = CANDIDATES["xgboost"].features


def rising_market(seed: int, *, since: int = 0) -> pd.DataFrame:
    """Return a market in which all coins rise for 90 days from the day `since`."""
    raw = simulate_market(coins=60, days=DAYS, end=dt.date(2024, 6, 30), seed=seed)
    day = (raw["date"] - raw["date"].min()).dt.days.to_numpy()

    def risen(days: np.ndarray) -> np.ndarray:
        return RISE * np.clip(days - since, 0, YOUNG_DAYS) / YOUNG_DAYS

    raw[["price", "mkt_cap"]] = raw[["price", "mkt_cap"]].mul(np.exp(risen(day)), axis=0)
    raw["24h_volume"] *= np.exp(2 * risen(day))
    for column, days in (("24h", 1), ("7d", 7)):
        raw[column] = ((1 + raw[column] / 100) * np.exp(risen(day) - risen(day - days)) - 1) * 100
    return raw


@pytest.fixture(scope="module", params=[1, 2])
def rising(request) -> TrainingSet:
    return training_set_of(tables_of(rising_market(request.param)))


def shaped(rows: TrainingSet, view: str, features: tuple[str, ...]) -> pd.DataFrame:
    """Return the inputs of an estimator by name."""
    X = center_on_7d_mean(rows.view(view)[:, [rows.features.index(name) for name in features]], features)
    places = input_columns(features)
    return pd.DataFrame(X[:, places].astype(float), columns=[features[place] for place in places])


def typical_correlation(rows: TrainingSet, view: str, features: tuple[str, ...] = FEATURES) -> pd.Series:
    """Return by input the rank correlation with the date in the first 90 days, of the median coin."""
    table = shaped(rows, view, features).assign(day=(rows.date - rows.date.min()).astype(float))
    young = table[table["day"] < YOUNG_DAYS]
    by_coin = young.groupby(rows.coins[young.index]).rank()
    found = [
        own.drop(columns="day").corrwith(own["day"]).fillna(0.0)
        for _, own in by_coin.groupby(rows.coins[young.index])
        if len(own) >= 20
    ]
    return pd.concat(found, axis=1).median(axis=1)


def told_of_date(rows: TrainingSet, chosen: np.ndarray, features: tuple[str, ...] = FEATURES) -> float:
    """Return the R² of a linear regression of the date on the inputs, on coins outside the fit."""
    table = shaped(rows, WITH_HISTORY, features).to_numpy()[chosen]
    day, coins = (rows.date[chosen] - rows.date[chosen].min()).astype(float), rows.coins[chosen]
    table = (table - np.nanmean(table, axis=0)) / np.where(np.nanstd(table, axis=0) > 0, np.nanstd(table, axis=0), 1.0)
    design = np.column_stack([np.nan_to_num(table), np.isnan(table), np.ones(len(table))])
    fitted, judged = coins % 2 == 0, coins % 2 == 1
    penalty = 10.0 * np.eye(design.shape[1])
    line = np.linalg.solve(design[fitted].T @ design[fitted] + penalty, design[fitted].T @ day[fitted])
    missed = day[judged] - design[judged] @ line
    return 1.0 - float(np.mean(missed**2) / np.var(day[judged]))


@pytest.mark.parametrize("view", [WITH_HISTORY, SHORT_HISTORY, NO_HISTORY])
def test_no_input_follows_the_date_in_a_young_rising_table(rising, view):
    found = typical_correlation(rising, view)
    assert found[found.abs() > 0.5].to_dict() == {}


def test_columns_excluded_from_inputs_rise_with_the_date(rising):
    dated = ("days_seen_90d", "price_log", "mkt_cap_log", "volume_log_mean_7d")
    found = typical_correlation(rising, WITH_HISTORY, tuple(name for name in rising.features if name in dated))
    assert (found > 0.8).all()


def test_a_young_table_reveals_the_date_no_better_than_others(rising):
    added = {feature.name for feature in FEATURES_DECLARED if feature.market_wide} - {"mkt_cap_rank_log"}
    earlier = tuple(name for name in rising.features if name not in added)
    mature = training_set_of(tables_of(rising_market(1, since=DAYS - YOUNG_DAYS)))
    days = (rising.date - rising.date.min()).astype(int)
    young = np.flatnonzero(days < YOUNG_DAYS)
    last = np.flatnonzero(mature.date >= mature.date.max() - np.timedelta64(YOUNG_DAYS, "D"))
    # 0.1 is the difference between two seeds of the simulation.
    assert told_of_date(rising, rows_with_past(rising, young)) < told_of_date(mature, last) + 0.1
    # The columns of earlier versions reveal it almost exactly: the metric can detect it.
    assert told_of_date(rising, young, earlier) > 0.8


def test_rows_of_a_tables_first_week_train_without_history(rising):
    days = (rising.date - rising.date.min()).astype(int)
    everything = np.arange(len(rising))
    left_out = np.setdiff1d(everything, rows_with_past(rising, everything))
    assert set(days[left_out]) == set(range(7))
    # A table of a few days has no other rows to learn from.
    few = np.flatnonzero(days < 10)
    assert np.array_equal(rows_with_past(rising, few), few)
