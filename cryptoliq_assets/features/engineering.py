"""The one feature function: batch asset, service and dashboard all compute features here.

What is trained is what is served: a request is a history of one coin with the request as its last row; a request
without history is a history of one day.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cryptoliq_assets.features.market import Market, market_of
from cryptoliq_assets.features.registry import BASES, FEATURE_NAMES, RETURN_DAYS
from cryptoliq_assets.features.windows import calendar_lags, calendar_mean, calendar_windows
from cryptoliq_assets.labels.liquidity import CLIP_7D, CLIP_24H, Liquidity, log_return, score_liquidity

_DAY = np.timedelta64(1, "D")


@dataclass(frozen=True)
class Observed:
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

    @property
    def bases(self) -> np.ndarray:
        """(n, len(BASES)) in the order of BASES."""
        columns = {
            "liquidity_score": self.liquidity.score,
            "volume_log": self.liquidity.volume_log,
            "volatility_log": self.liquidity.volatility_log,
            "turnover_log": self.liquidity.volume_log - np.log(self.mkt_cap),
            "change_24h_abs": np.abs(self.change_24h),
        }
        return np.column_stack([columns[base] for base in BASES])


def observe(cleaned: pd.DataFrame, *, formula: str) -> Observed:
    """Read cleaned rows (sorted by coin and date; changes in percent, caps NaN where unknown) as arrays."""
    volume = cleaned["24h_volume"].to_numpy(dtype=float)
    mkt_cap = cleaned["mkt_cap"].to_numpy(dtype=float)
    change_24h = cleaned["24h"].to_numpy(dtype=float)
    change_7d = cleaned["7d"].to_numpy(dtype=float)
    return Observed(
        coins=_codes(cleaned["coin"]),
        days=day_numbers(cleaned["date"]),
        price=cleaned["price"].to_numpy(dtype=float),
        mkt_cap=np.where(mkt_cap > 0, mkt_cap, np.nan),
        volume=volume,
        change_1h=cleaned["1h"].to_numpy(dtype=float),
        change_24h=log_return(change_24h, clip=CLIP_24H),
        change_7d=log_return(change_7d, clip=CLIP_7D),
        liquidity=score_liquidity(volume, change_24h, change_7d=change_7d, mkt_cap=mkt_cap, formula=formula),
        filled=(cleaned["filled_forward"] | cleaned["filled_backward"]).to_numpy(dtype=bool),
    )


def observed_market(observed: Observed) -> Market:
    """The market by day that these rows make."""
    liquidity = observed.liquidity
    values = {
        "liquidity_score": liquidity.score,
        "volatility_log": liquidity.volatility_log,
        "change_24h": observed.change_24h,
        "volume_log": liquidity.volume_log,
    }
    return market_of(observed.days, observed.mkt_cap, values=values, sound=observed.sound)


def feature_arrays(observed: Observed, rows: np.ndarray, *, market: Market) -> dict[str, np.ndarray]:
    """Features of the chosen row indices, the other rows serving as history: name → (len(rows),) float64."""
    coins, days = observed.coins, observed.days
    bases = observed.bases
    windows = calendar_windows(rows, coins, days=days, bases=bases)
    today = dict(zip(BASES, bases[rows].T, strict=True))
    price, mkt_cap, day = observed.price[rows], observed.mkt_cap[rows], days[rows]
    before = market.snapshot_before(day)
    earlier = calendar_lags(rows, coins, days, observed.price, np.array(RETURN_DAYS))
    returns = np.clip(np.log(price) - np.log(earlier), -CLIP_7D, CLIP_7D)

    def of_market(values: np.ndarray) -> np.ndarray:
        return np.where(before >= 0, values[before] if len(values) else np.nan, np.nan)

    features = {
        **today,
        **windows.columns,
        "change_1h": observed.change_1h[rows],
        "change_24h": observed.change_24h[rows],
        "change_7d": observed.change_7d[rows],
        **{f"return_{back}d": values for back, values in zip(RETURN_DAYS, returns, strict=True)},
        "price_log": np.log(price),
        "mkt_cap_log": np.log(mkt_cap),
        "days_seen_90d": windows.days_seen,
        # Day 0 of the epoch was a Thursday.
        "weekday": ((day + 3) % 7).astype(float),
        "mkt_cap_rank_log": market.rank_log(day, mkt_cap),
        "market_score_median": of_market(market.score_median),
        "market_volatility_log_median": of_market(market.volatility_log_median),
        "market_change_24h_mean": of_market(market.change_24h_mean),
        "market_volume_log_vs_7d": of_market(market.volume_log_vs_7d),
        "liquidity_ratio": observed.volume[rows] / mkt_cap,
        "price_sqrt": np.sqrt(price),
        "price_ma_7d": calendar_mean(rows, coins, days, observed.price, 7),
    }
    return {name: features[name] for name in FEATURE_NAMES}


def engineer_features(
    cleaned: pd.DataFrame,
    *,
    formula: str = "kyle_obizhaeva",
    since: pd.Timestamp | None = None,
    market: Market | None = None,
    history: bool = True,
) -> pd.DataFrame:
    """Features of the cleaned rows dated `since` or later, one row each, in their order.

    cleaned: rows sorted by (coin, date), reaching 90 days before `since`. `market` defaults to the one that the rows
    make themselves. With `history=False` each row is taken as all that is known of its coin, as in a request without
    a stored past. Columns: keys, flags, then FEATURE_NAMES.
    """
    observed = observe(cleaned, formula=formula)
    market = market or observed_market(observed)
    first = day_numbers(pd.Series([since]))[0] if since is not None else np.iinfo(np.int64).min
    rows = np.flatnonzero(observed.days >= first)
    if not history:
        alone = {**vars(observed), "coins": np.arange(len(observed.days))}
        features = feature_arrays(Observed(**alone), rows, market=market)
    else:
        features = feature_arrays(observed, rows, market=market)
    liquidity = observed.liquidity
    flags = {
        "volatility_partial": liquidity.volatility_partial,
        "no_trades": liquidity.no_trades,
        "volatility_floored": liquidity.volatility_floored,
        "stale_price": liquidity.stale_price,
        "filled": observed.filled,
        "sound": observed.sound,
    }
    keys = {name: cleaned[name].take(rows).reset_index(drop=True) for name in ("coin", "symbol", "date")}
    return pd.DataFrame({**keys, **{name: values[rows] for name, values in flags.items()}, **features}, copy=False)


def day_numbers(dates: pd.Series) -> np.ndarray:
    """Days since 1970-01-01, int64."""
    return dates.to_numpy(dtype="datetime64[D]").astype(np.int64)


def _codes(coins: pd.Series) -> np.ndarray:
    if isinstance(coins.dtype, pd.CategoricalDtype):
        return coins.cat.codes.to_numpy().astype(np.int64)
    return pd.factorize(coins)[0].astype(np.int64)
