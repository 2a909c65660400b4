"""The one feature function: batch asset, service and dashboard all compute features here.

What is trained is what is served: a request is a history of one coin with the request as its last row; a request
without history is a history of one day.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from cryptoliq_assets.features.cross_section import MarketSnapshotStats, make_market_stats
from cryptoliq_assets.features.history_index import WindowQuery, calendar_lags, calendar_mean
from cryptoliq_assets.features.rolling_windows import calendar_windows, relative_windows
from cryptoliq_assets.labels import CLIP_7D, CLIP_24H, Liquidity, log_return, score_liquidity
from cryptoliq_assets.schemas import BASE_SERIES, FEATURE_NAMES, LEVEL_STEP, RELATIVE_LEVELS, RETURN_DAYS, relative_name

# Without a row this recent a coin's past says little of today: a forecast then rests on the row alone.
RECENT_DAYS = 3


@dataclass(frozen=True)
class SortedHistory:
    """What windows look at: n rows sorted by (coin, day).

    bases: (n, len(BASES)) in the order of BASES; relative: the same less the median coin's of the day.
    """

    coins: np.ndarray
    days: np.ndarray
    price: np.ndarray
    bases: np.ndarray
    relative: np.ndarray


@dataclass(frozen=True)
class RowValues:
    """What n cleaned rows say by themselves, before any window: arrays of n, sorted by (coin, day)."""

    coins: np.ndarray
    days: np.ndarray
    price: np.ndarray
    mkt_cap: np.ndarray
    volume: np.ndarray
    change_1h: np.ndarray
    change_24h: np.ndarray
    change_7d: np.ndarray
    liquidity: Liquidity
    filled: np.ndarray

    @property
    def sound(self) -> np.ndarray:
        """Rows that may train, score a model or serve as a target: a whole score of nothing filled in."""
        return self.liquidity.sound & ~self.filled

    def take(self, rows: np.ndarray) -> "RowValues":
        """The chosen rows, in the order given."""
        own = {name: values[rows] for name, values in vars(self).items() if name not in ("liquidity", "bases")}
        return RowValues(**own, liquidity=Liquidity(*(values[rows] for values in vars(self.liquidity).values())))

    @cached_property
    def bases(self) -> np.ndarray:
        """(n, len(BASES)), each base in one piece: windows look at one at a time."""
        columns = {
            "liquidity_score": self.liquidity.score,
            "volume_log": self.liquidity.volume_log,
            "volatility_log": self.liquidity.volatility_log,
            "turnover_log": self.liquidity.volume_log - np.log(self.mkt_cap),
            "change_24h_abs": np.abs(self.change_24h),
        }
        return np.stack([columns[base] for base in BASE_SERIES]).T

    def track_in(self, market: MarketSnapshotStats) -> SortedHistory:
        """These rows as windows look at them in a market."""
        relative_bases = self.bases - market.levels_on(list(BASE_SERIES), self.days)
        return SortedHistory(self.coins, self.days, self.price, self.bases, relative_bases)


def parse_rows(cleaned: pd.DataFrame, *, formula: str) -> RowValues:
    """Read cleaned rows (sorted by coin and date; changes in percent, caps NaN where unknown) as arrays."""
    numbers = {name: cleaned[name].to_numpy(dtype=float) for name in OBSERVED_NUMBERS}
    filled = (cleaned["filled_forward"] | cleaned["filled_backward"]).to_numpy(dtype=bool)
    return make_row_values(
        _codes(cleaned["coin"]), day_numbers(cleaned["date"]), numbers, filled=filled, formula=formula
    )


# What is read of a row; units as in the contract.
OBSERVED_NUMBERS = ("price", "1h", "24h", "7d", "24h_volume", "mkt_cap")


def make_row_values(
    coins: np.ndarray, days: np.ndarray, numbers: Mapping[str, np.ndarray], *, filled: np.ndarray, formula: str
) -> RowValues:
    """The same of n rows as arrays: codes of coins, days since 1970, OBSERVED_NUMBERS by name, rows with a filled cell."""
    volume, mkt_cap = numbers["24h_volume"], numbers["mkt_cap"]
    change_24h, change_7d = numbers["24h"], numbers["7d"]
    return RowValues(
        coins=coins,
        days=days,
        price=numbers["price"],
        mkt_cap=np.where(mkt_cap > 0, mkt_cap, np.nan),
        volume=volume,
        change_1h=numbers["1h"],
        change_24h=log_return(change_24h, clip=CLIP_24H),
        change_7d=log_return(change_7d, clip=CLIP_7D),
        liquidity=score_liquidity(volume, change_24h, change_7d=change_7d, mkt_cap=mkt_cap, formula=formula),
        filled=filled,
    )


def market_stats_of(observed: RowValues) -> MarketSnapshotStats:
    """The market by day that these rows make."""
    liquidity = observed.liquidity
    values = {
        "liquidity_score": liquidity.score,
        "volatility_log": liquidity.volatility_log,
        "change_24h": observed.change_24h,
        "volume_log": liquidity.volume_log,
    }
    levels = dict(zip(BASE_SERIES, observed.bases.T, strict=True))
    levels |= {"price_log": np.log(observed.price), "mkt_cap_log": np.log(observed.mkt_cap)}
    return make_market_stats(
        observed.coins,
        observed.days,
        observed.mkt_cap,
        values=values,
        sound=observed.sound,
        levels=levels,
        filled=observed.filled,
    )


def compute_features(
    asked: WindowQuery, *, today: RowValues, past: SortedHistory, market: MarketSnapshotStats
) -> dict[str, np.ndarray]:
    """Features of m rows by name, each (m,) float64.

    asked: their coins and days, and the rows of `past` that they see; today: what they say by themselves.
    """
    bases, day = today.bases, today.days
    windows = calendar_windows(asked, bases, days=past.days, bases=past.bases)
    own = dict(zip(BASE_SERIES, bases.T, strict=True))
    own_relative = bases - market.levels_before(list(BASE_SERIES), day)
    price, mkt_cap = today.price, today.mkt_cap
    before = market.snapshot_before(day)
    seen = (asked.days, asked.first, asked.last)
    earlier = calendar_lags(*seen, past.days, past.price, np.array(RETURN_DAYS))
    returns = np.clip(np.log(price) - np.log(earlier), -CLIP_7D, CLIP_7D)

    def of_market(values: np.ndarray) -> np.ndarray:
        return np.where(before >= 0, values[before] if len(values) else np.nan, np.nan)

    features = {
        **own,
        **windows.columns,
        **dict(zip(map(relative_name, BASE_SERIES), own_relative.T, strict=True)),
        **relative_windows(asked, own_relative, days=past.days, bases=past.relative),
        "change_1h": today.change_1h,
        "change_24h": today.change_24h,
        "change_7d": today.change_7d,
        **{f"return_{back}d": values for back, values in zip(RETURN_DAYS, returns, strict=True)},
        "price_log": np.log(price),
        "mkt_cap_log": np.log(mkt_cap),
        "days_seen_90d": windows.days_seen,
        "listing_age_90d": market.listing_age(day, windows.days_seen),
        # Day 0 of the epoch was a Thursday.
        "weekday": ((day + 3) % 7).astype(float),
        "mkt_cap_rank_log": market.rank_log(day, mkt_cap),
        "market_score_median": of_market(market.score_median),
        "market_volatility_log_median": of_market(market.volatility_log_median),
        "market_change_24h_mean": of_market(market.change_24h_mean),
        "market_volume_log_vs_7d": of_market(market.volume_log_vs_7d),
        "liquidity_ratio": today.volume / mkt_cap,
        "price_sqrt": np.sqrt(price),
        "price_ma_7d": calendar_mean(*seen, price, past.days, past.price, 7),
    }
    levels = market.levels_before(RELATIVE_LEVELS, day)
    for place, name in enumerate(RELATIVE_LEVELS):
        features[relative_name(name)] = LEVEL_STEP * np.round((features[name] - levels[:, place]) / LEVEL_STEP)
    return {name: features[name] for name in FEATURE_NAMES}


def engineer_features(
    cleaned: pd.DataFrame,
    *,
    formula: str = "kyle_obizhaeva",
    since: pd.Timestamp | None = None,
    market: MarketSnapshotStats | None = None,
    history: bool = True,
) -> pd.DataFrame:
    """Features of the cleaned rows dated `since` or later, one row each, in their order.

    cleaned: rows sorted by (coin, date), reaching 90 days before `since`. `market` defaults to the one that the rows
    make themselves. With `history=False` each row is taken as all that is known of its coin, as in a request without
    a stored past. Columns: keys, flags, then FEATURE_NAMES.
    """
    observed = parse_rows(cleaned, formula=formula)
    market = market or market_stats_of(observed)
    first = day_numbers(pd.Series([since]))[0] if since is not None else np.iinfo(np.int64).min
    rows = np.flatnonzero(observed.days >= first)
    track = observed.track_in(market)
    if not history:
        track = replace(track, coins=np.arange(len(observed.days)))
    today = observed.take(rows)
    asked = WindowQuery.from_history(rows, track.coins, track.days)
    features = compute_features(asked, today=today, past=track, market=market)
    liquidity = today.liquidity
    flags = {
        "volatility_partial": liquidity.volatility_partial,
        "no_trades": liquidity.no_trades,
        "volatility_floored": liquidity.volatility_floored,
        "stale_price": liquidity.stale_price,
        "filled": today.filled,
        "outlier": cleaned["outlier"].to_numpy(dtype=bool)[rows],
        "sound": today.sound,
    }
    keys = {name: cleaned[name].take(rows).reset_index(drop=True) for name in ("coin", "symbol", "date")}
    return pd.DataFrame({**keys, **flags, **features}, copy=False)


def lacks_recent_history(features: Mapping[str, np.ndarray] | pd.DataFrame) -> np.ndarray:
    """(n,) rows whose coin has no row in the RECENT_DAYS before: a first day, a request without history, and a coin
    that is back after a gap, whose windows hold what it was then."""
    # The value traded is known of every row, so its lags tell which days there are.
    lags = [np.asarray(features[f"volume_log_lag_{days}d"]) for days in range(1, RECENT_DAYS + 1)]
    return np.logical_and.reduce([np.isnan(lag) for lag in lags])


def features_without_history(
    features: Mapping[str, np.ndarray] | pd.DataFrame, rows: np.ndarray
) -> dict[str, np.ndarray]:
    """The columns that look back, of the chosen rows, as if each were all that is known of its coin: name → (len(rows),).

    To the last bit those of a history of one day, by the same kernels.
    """
    bases, own_relative = (
        np.column_stack([np.asarray(features[name], dtype=float)[rows] for name in names])
        for names in (BASE_SERIES, list(map(relative_name, BASE_SERIES)))
    )
    none = np.zeros(len(rows), dtype=np.int64)
    asked = WindowQuery(np.arange(len(rows)), none, none, none)
    windows = calendar_windows(asked, bases, days=none[:0], bases=bases[:0])
    of_market = relative_windows(asked, own_relative, days=none[:0], bases=bases[:0])
    returns = {f"return_{back}d": np.full(len(rows), np.nan) for back in RETURN_DAYS}
    seen = {"days_seen_90d": windows.days_seen, "listing_age_90d": windows.days_seen}
    return {**windows.columns, **of_market, **returns, **seen}


def day_numbers(dates: pd.Series) -> np.ndarray:
    """Days since 1970-01-01, int64."""
    return dates.to_numpy(dtype="datetime64[D]").astype(np.int64)


def _codes(coins: pd.Series) -> np.ndarray:
    if isinstance(coins.dtype, pd.CategoricalDtype):
        return coins.cat.codes.to_numpy().astype(np.int64)
    return pd.factorize(coins)[0].astype(np.int64)
