"""A market simulator with the statistics of the real market: seeded, deterministic, without network access.

The market of `cryptoliq demo`, the benchmarks and the tests, as one frame and as daily files like the exports of CoinGecko. Its
defects are realistic (empty cells, gaps, unknown caps, days without trades); corrupt files do not belong here. A day is simulated for
all coins at once, in natural logarithms:

    cap       changes by the day's return and reverts to the coin's long-term size
    return    beta · market + own shock, Student t, both scaled by log-AR(1) volatilities
    turnover  level of the coin + slow AR + fast AR (with large shocks as input) + t noise + volatility + market factor + weekday
    volume    cap · turnover; no trade with probability exp(-volume / TRADE_USD), and then the price does not change

The parameters are calibrated to CoinGecko's daily panel of 2021, 2,495 coins: typical changes, spread and autocorrelation of
ln turnover, fraction of zero volumes, and the skill of a linear HAR model compared with predicting no change.
"""

import datetime as dt
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from cryptoliq_assets.core import write_files
from cryptoliq_assets.schemas import REQUIRED_COLUMNS
from cryptoliq_assets.simulation.coins import WARM_UP_DAYS, Coins, draw_coins

FILES_PER_WRITE = 200  # written and synced together

CAP_REVERSION = np.log(2) / 120  # per day: half-life of a deviation from the coin's size is four months
MARKET_VOLATILITY = 0.037  # per day; the real median coin changes by 0.044, including tails
VOLATILITY_PERSISTENCE, VOLATILITY_SPREAD = (0.93, 0.95), (0.40, 0.72)  # AR(1) of ln volatility: market, coin
PEG_NOISE, PEG_PERSISTENCE = 0.0012, 0.5  # AR(1) of a pegged coin's ln price
RETURN_TAIL, TURNOVER_TAIL = 3.2, 2.6  # degrees of freedom of Student t
MAX_RETURN, MAX_TURNOVER = np.log(10), np.log(30)  # per day; exceeded by 1 real row in 10,000

SLOW_PERSISTENCE, FAST_PERSISTENCE = 0.5 ** (1 / 75), 0.8  # AR(1) of a coin's own turnover
SLOW_FRACTION, FAST_FRACTION, NOISE_FRACTION = 0.57, 0.22, 0.21  # of the variance of a coin's turnover
MARKET_TURNOVER_PERSISTENCE, MARKET_TURNOVER_SPREAD = 0.96, 0.40  # AR(1) of ln turnover, common to all coins
VOLATILITY_TO_TURNOVER = 0.7  # in units of activity, for a ln volatility that is 1 above the coin's usual one
# Shock to the fast component, for a return of one standard deviation above the mean size.
SHOCK_TO_TURNOVER, MEAN_SHOCK = 0.8, 0.66
WEEKDAY_TURNOVER = np.array([0.00, 0.08, 0.05, 0.04, -0.01, -0.03, -0.13])  # ln, Monday first
TRADE_USD = 8.0  # mean trade of the smallest coins; determines the frequency of days without trades

# Periods of empty cells: probability to start per day, mean length; 0.7 % of rows.
EMPTY_RATE, EMPTY_DAYS = 0.0022, 3.0
GAP_RATE, GAP_DAYS = 0.0025, 4.5  # periods of absence, likewise; 1.2 % of rows in the real panel


def simulate_market(*, coins: int, days: int, end: dt.date, seed: int) -> pd.DataFrame:
    """Simulate a market; equal arguments give equal frames.

    Args:
        coins: Number of coins.
        days: Number of days.
        end: The last day.
        seed: Seed of the random generator.

    Returns:
        One row per (coin, date), sorted by date and then by market cap, like exports. The columns are `REQUIRED_COLUMNS`: date at
        midnight; price, 24h_volume and mkt_cap in USD; 1h, 24h and 7d in percent. Values are rounded like published ones. 24h and
        7d are computed from the published prices 1 and 7 days before, so they are empty for coins that were listed later. Not
        every coin has a row every day.

    Raises:
        ValueError: Fewer than 1 coin or day, or more coins than there are names.
    """
    if coins < 1 or days < 1:
        raise ValueError(f"A market needs at least 1 coin and 1 day; got coins={coins}, days={days}.")
    rng = np.random.default_rng(seed)
    cast = draw_coins(rng, coins, days=days)
    first_day = pd.Timestamp(end) - pd.Timedelta(days=days - 1)
    snapshots = list(_trade(rng, cast, days=days, weekday=first_day.dayofweek))
    columns = {name: np.concatenate([snapshot[name] for snapshot in snapshots]) for name in snapshots[0]}
    which = columns.pop("which")
    day = np.repeat(np.arange(days), [len(snapshot["which"]) for snapshot in snapshots])
    columns |= {
        "coin": cast.coin[which],
        "symbol": cast.symbol[which],
        "date": first_day.to_datetime64().astype("datetime64[ns]") + day * np.timedelta64(1, "D"),
    }
    return pd.DataFrame({name: columns[name] for name in REQUIRED_COLUMNS})


def snapshot_files(market: pd.DataFrame) -> Iterator[tuple[str, bytes]]:
    """Yield file name and content of each day of a market, oldest first, like exports of CoinGecko.

    Args:
        market: Rows as `simulate_market` returns them.

    Yields:
        Names like `coingecko_YYYYMMDD.csv`; contents in UTF-8 with ISO dates, percents and LF. Equal frames give equal bytes.
    """
    for date, rows in market.groupby("date", sort=True):
        text = rows.assign(date=f"{date:%Y-%m-%d}").to_csv(index=False, lineterminator="\n")
        yield f"coingecko_{date:%Y%m%d}.csv", text.encode("utf-8")


def write_snapshots(market: pd.DataFrame, folder: Path, *, dates: Iterable[dt.date] | None = None) -> list[Path]:
    """Write one file per day, each atomically.

    Args:
        market: Rows as `simulate_market` returns them.
        folder: Folder of the files.
        dates: Days to write; default: all days of the market.

    Returns:
        The paths, oldest first.

    Raises:
        ValueError: The market has no row on one of the dates; nothing is written.
    """
    if dates is not None:
        chosen = pd.DatetimeIndex(sorted(set(dates)))
        absent = chosen.difference(pd.DatetimeIndex(market["date"].unique()))
        if len(absent):
            raise ValueError(f"The market has no rows on {absent[0]:%Y-%m-%d} ({len(absent)} such dates in total).")
        market = market[market["date"].isin(chosen)]
    files = ((folder / name, content) for name, content in snapshot_files(market))
    written: list[Path] = []
    while batch := dict(islice(files, FILES_PER_WRITE)):
        write_files(batch)
        written += batch
    return written


def _trade(rng: np.random.Generator, cast: Coins, *, days: int, weekday: int) -> Iterator[dict[str, np.ndarray]]:
    """Yield the published columns of the present coins, day by day from a weekday on; `which` are their positions in `cast`."""
    coins = len(cast.pegged)
    log_cap = cast.log_cap.copy()
    wild, busy = rng.standard_normal(
        (2, 1)
    )  # states of the market's volatility and turnover; like the next, of unit variance
    nervous, slow, fast, peg = rng.standard_normal(
        (4, coins)
    )  # states of a coin's volatility, turnover and deviation from its peg
    price = np.full(coins, np.nan)
    empty, absent = np.zeros(coins), np.zeros(coins)  # remaining days of a period
    past: deque[np.ndarray] = deque([price] * 7, maxlen=7)
    for day in range(-WARM_UP_DAYS, days):
        wild = _advance_ar1(wild, rng.standard_normal(1), persistence=VOLATILITY_PERSISTENCE[0])
        nervous = _advance_ar1(nervous, rng.standard_normal(coins), persistence=VOLATILITY_PERSISTENCE[1])
        market_volatility, coin_volatility = VOLATILITY_SPREAD[0] * wild, VOLATILITY_SPREAD[1] * nervous
        volatility = cast.volatility * np.exp(coin_volatility + market_volatility / 2)
        shock = _draw_student_t(rng, coins, degrees=RETURN_TAIL)
        change = volatility * shock
        change += (
            cast.beta * MARKET_VOLATILITY * np.exp(market_volatility) * _draw_student_t(rng, 1, degrees=RETURN_TAIL)
        )
        log_cap += np.clip(change, -MAX_RETURN, MAX_RETURN) - CAP_REVERSION * (log_cap - cast.log_cap)
        peg = _advance_ar1(peg, rng.standard_normal(coins), persistence=PEG_PERSISTENCE)

        busy = _advance_ar1(busy, rng.standard_normal(1), persistence=MARKET_TURNOVER_PERSISTENCE)
        slow = _advance_ar1(slow, _draw_student_t(rng, coins, degrees=TURNOVER_TAIL), persistence=SLOW_PERSISTENCE)
        fed = SHOCK_TO_TURNOVER * (np.abs(shock) - MEAN_SHOCK)
        fast = _advance_ar1(
            fast, _draw_student_t(rng, coins, degrees=TURNOVER_TAIL) + fed, persistence=FAST_PERSISTENCE
        )
        own = np.sqrt(SLOW_FRACTION) * slow + np.sqrt(FAST_FRACTION) * fast
        own += (
            np.sqrt(NOISE_FRACTION) * _draw_student_t(rng, coins, degrees=TURNOVER_TAIL)
            + VOLATILITY_TO_TURNOVER * coin_volatility
        )
        turnover = cast.log_turnover + cast.activity * own + MARKET_TURNOVER_SPREAD * busy
        turnover += WEEKDAY_TURNOVER[(weekday + day) % 7]
        volume = np.exp(log_cap + np.minimum(turnover, MAX_TURNOVER))
        volume = np.where(rng.random(coins) < np.exp(-volume / TRADE_USD), 0.0, np.round(volume, 2))

        quoted = np.exp(log_cap + cast.bounce * rng.standard_normal(coins)) / cast.supply
        quoted = np.where(cast.pegged, np.exp(PEG_NOISE * peg), quoted)
        stale = (volume == 0) & np.isfinite(price)
        price = np.where(stale, price, _round_significant(quoted, 8))
        price = np.where(day >= cast.first, price, np.nan)
        since_day, since_week = price / past[-1] - 1, price / past[0] - 1
        past.append(price)
        # The last hour of a random walk, given its change over the day; unconditional on the first day.
        spread = np.where(cast.pegged, PEG_NOISE, volatility) * np.sqrt(1 / 24 * 23 / 24)
        hour = np.log1p(np.nan_to_num(since_day)) / 24 + spread * _draw_student_t(rng, coins, degrees=RETURN_TAIL)
        since_hour = np.where(stale, 0.0, np.expm1(np.clip(hour, -MAX_RETURN, MAX_RETURN)))
        if day < 0:
            continue

        empty = _advance_periods(rng, empty, rate=EMPTY_RATE, mean_days=EMPTY_DAYS)
        absent = _advance_periods(rng, absent, rate=GAP_RATE, mean_days=GAP_DAYS)
        listed = (cast.first <= day) & (day <= cast.last)
        which = np.flatnonzero(listed & (cast.head | (absent <= 0)))
        cap = np.round(np.exp(log_cap) * cast.unknown_cap)
        which = which[np.argsort(-np.nan_to_num(cap[which]), kind="stable")]
        blank = np.where((empty[which] > 0) & ~cast.head[which], np.nan, 1.0)
        yield {
            "which": which,
            "price": price[which],
            "1h": np.round(100 * since_hour[which], 5) * blank,
            "24h": np.round(100 * since_day[which], 5) * blank,
            "7d": np.round(100 * since_week[which], 5) * blank,
            "24h_volume": volume[which] * blank,
            "mkt_cap": cap[which],
        }


def _advance_ar1(state: np.ndarray, shock: np.ndarray, *, persistence: float) -> np.ndarray:
    """Advance an AR(1) of unit variance by one day; `persistence` is its coefficient."""
    return persistence * state + np.sqrt(1 - persistence**2) * shock


def _draw_student_t(rng: np.random.Generator, size: int, *, degrees: float) -> np.ndarray:
    """Draw from a Student t distribution, scaled to unit variance."""
    return rng.standard_t(degrees, size) * np.sqrt((degrees - 2) / degrees)


def _advance_periods(rng: np.random.Generator, left: np.ndarray, *, rate: float, mean_days: float) -> np.ndarray:
    """Return the remaining days of each coin's period a day later; a new one, of geometric length, starts with probability `rate`."""
    return np.where(rng.random(len(left)) < rate, rng.geometric(1 / mean_days, len(left)), left - 1)


def _round_significant(values: np.ndarray, digits: int) -> np.ndarray:
    """Round positive numbers to a number of significant digits."""
    scale = 10.0 ** (digits - 1 - np.floor(np.log10(values)))
    return np.round(values * scale) / scale
