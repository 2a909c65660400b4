"""A market simulator with the statistics of the real market: seeded, deterministic, without network access.

The market of `cryptoliq demo`, the benchmarks and the tests, as one frame and as daily files like the exports of CoinGecko. Its
defects are realistic (empty cells, gaps, unknown caps, days without trades); corrupt files do not belong here. How a day is simulated,
for all coins at once, in natural logarithms:

    cap       wanders by the day's return and drifts back to the coin's own size
    return    beta · market + own shock, student t, both scaled by log-AR(1) volatilities
    turnover  coin's level + slow AR + fast AR (large shocks feed it) + t noise + volatility + market factor + weekday
    volume    cap · turnover; no trade at all with probability exp(-volume / TRADE_USD), and then the price stays

Figures were set against CoinGecko's daily panel of 2021, 2,495 coins: typical changes, spread and autocorrelation of
ln turnover, share of zero volumes, and what a linear HAR fit gains over predicting no change.
"""

import datetime as dt
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from cryptoliq_assets.core import write_files
from cryptoliq_assets.schemas import REQUIRED_COLUMNS

WARM_UP_DAYS = 120  # simulated and thrown away: the fast parts of the market forget their start, and 7d exists
FILES_AT_ONCE = 200  # written and synced together

# The head of the market, largest first: always there, never empty. (coin, symbol, usual price in USD), those at 1.0
# pegged to it. Two share a symbol and one has accents, so that a dozen coins show both.
_HEAD = (
    ("Bitcoin", "BTC", 40_000.0),
    ("Ethereum", "ETH", 2_500.0),
    ("Tether", "USDT", 1.0),
    ("BNB", "BNB", 300.0),
    ("USD Coin", "USDC", 1.0),
    ("Dogecoin", "DOGE", 0.1),
    ("Dai", "DAI", 1.0),
    ("THORChain", "RUNE", 6.0),
    ("Rune", "RUNE", 90.0),
    ("Açaí", "ACAI", 0.02),
)
# Invented names are three syllables and an ending, their symbols the consonants: 20³ · 6 = 48,000, none twice.
_CONSONANTS, _VOWELS, _ENDINGS = "bcdfghjklmnpqrstvwxz", "aeiou", ("", "n", "r", "s", "x", "m")

# Sizes: log10 USD of the largest cap; decades lost along log rank (the power law) and, toward dust, along rank.
TOP_CAP, POWER_DECADES, DUST_DECADES = 12.0, 4.9, 1.9
PEG_SHARE = 0.014  # of the invented coins; 1.5 % of real rows hardly move
SHARED_SYMBOL_SHARE = 0.06  # of the invented coins; 6.9 % in the real panel
UNKNOWN_CAP_SHARE = 0.09  # of the invented coins; 9.7 % of real rows
LISTED_LATE_A_YEAR, LISTED_LATE_MOST = 0.5, 0.5  # share of invented coins first seen after the first day
DELISTED_A_YEAR, DELISTED_MOST = 0.06, 0.25  # share of invented coins last seen before the last day

CAP_REVERSION = np.log(2) / 120  # a day: half of an excess over the coin's size is gone in four months
MARKET_VOLATILITY = 0.037  # a day; the real median coin moves by 0.044, tails included
COIN_VOLATILITY = 0.063  # a day, of a coin of 10 million USD, market apart
SHIELD_OF_SIZE = 0.16  # ln volatility lost a decade of cap
COIN_VOLATILITY_SPREAD = 0.40  # ln, between coins
BOUNCE = 0.6  # price noise of the smallest coin as a share of its volatility: daily returns correlate by -0.11
VOLATILITY_KEPT, VOLATILITY_SPREAD = (0.93, 0.95), (0.40, 0.72)  # AR(1) of ln volatility: of the market, of a coin
PEG_NOISE, PEG_KEPT, PEG_VOLATILITY = 0.0012, 0.5, 0.004  # a peg's ln price is an AR(1); its cap's daily change
RETURN_TAIL, TURNOVER_TAIL = 3.2, 2.6  # degrees of freedom of student t
MOST_RETURN, MOST_TURNOVER = np.log(10), np.log(30)  # a day; 1 real row in 10,000 is beyond them

TURNOVER_LEVEL, TURNOVER_OF_SIZE = -3.50, 0.32  # ln turnover of a coin of 10 million USD, and what a decade adds
TURNOVER_SPREAD = (0.7, 2.1)  # ln, between coins: of the largest, of the smallest; skewed toward the idle
ACTIVITY_SPREAD = (0.55, 1.4)  # ln, one coin over time: of the largest, of the typical smallest
ACTIVITY_OF_COIN, MOST_ACTIVITY = 0.70, 4.0  # ln, how much coins of one size differ in that; and its limit
SLOW_KEPT, FAST_KEPT = 0.5 ** (1 / 75), 0.8  # what is left a day later of a coin's own turnover
SLOW_SHARE, FAST_SHARE, NOISE_SHARE = 0.57, 0.22, 0.21  # of a coin's turnover variance
MARKET_TURNOVER_KEPT, MARKET_TURNOVER_SPREAD = 0.96, 0.40  # AR(1) of ln turnover, common to all coins
VOLATILITY_TO_TURNOVER = 0.7  # in units of activity, of a coin more volatile by 1 (ln) than usual
SHOCK_TO_TURNOVER, MEAN_SHOCK = 0.8, 0.66  # shocks of the fast part, of a return one deviation above the mean size
WEEKDAY_TURNOVER = np.array([0.00, 0.08, 0.05, 0.04, -0.01, -0.03, -0.13])  # ln, Monday first
TRADE_USD = 8.0  # mean size of a dust coin's trade: how often nothing trades

EMPTY_RATE, EMPTY_DAYS = 0.0022, 3.0  # spells of empty cells: chance to start a day, mean length; 0.7 % of rows
GAP_RATE, GAP_DAYS = 0.0025, 4.5  # spells of absence, likewise: 1.2 % of rows in the real panel


@dataclass(frozen=True)
class _Coins:
    """What does not change about the coins: arrays of one shape (coins,), largest coin first."""

    coin: np.ndarray
    symbol: np.ndarray
    head: np.ndarray  # never absent, never empty
    pegged: np.ndarray
    log_cap: np.ndarray  # ln USD, what the cap returns to
    supply: np.ndarray  # coins; cap / price of those not pegged
    unknown_cap: np.ndarray  # NaN: left empty; 0: written as 0; 1: known
    beta: np.ndarray
    volatility: np.ndarray  # a day, own shocks
    bounce: np.ndarray  # ln price
    log_turnover: np.ndarray
    activity: np.ndarray  # ln turnover over time
    first: np.ndarray  # day of listing, 0 is the first day of the market
    last: np.ndarray


def simulate_market(*, coins: int, days: int, end: dt.date, seed: int) -> pd.DataFrame:
    """Simulate a market of `coins` coins over the `days` days up to `end`; equal arguments give equal frames.

    One row per (coin, date), by date and then by market cap as exports are; columns are `REQUIRED_COLUMNS`: date at
    midnight, price, 24h_volume and mkt_cap in USD, 1h, 24h and 7d in percent. Values are rounded as they are
    published, and 24h and 7d follow from the published prices 1 and 7 days before, so they are empty where a coin was
    listed later than that. Not every coin has a row every day. Raises ValueError for fewer than 1 coin or day.
    """
    if coins < 1 or days < 1:
        raise ValueError(f"A market needs at least 1 coin and 1 day; got coins={coins}, days={days}.")
    rng = np.random.default_rng(seed)
    cast = _cast(rng, coins, days=days)
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
    """(file name, content) of each day of `market`, oldest first, as CoinGecko exports them.

    `coingecko_YYYYMMDD.csv`; UTF-8, ISO dates, percents, LF; equal frames give equal bytes.
    """
    for date, rows in market.groupby("date", sort=True):
        text = rows.assign(date=f"{date:%Y-%m-%d}").to_csv(index=False, lineterminator="\n")
        yield f"coingecko_{date:%Y%m%d}.csv", text.encode("utf-8")


def write_snapshots(market: pd.DataFrame, folder: Path, *, dates: Iterable[dt.date] | None = None) -> list[Path]:
    """Write one file per day into `folder`, each atomically; returns the paths, oldest first.

    `dates` picks days (default: all of the market's); raises ValueError, nothing written, where the market has no
    row on one of them.
    """
    if dates is not None:
        wanted = pd.DatetimeIndex(sorted(set(dates)))
        absent = wanted.difference(pd.DatetimeIndex(market["date"].unique()))
        if len(absent):
            raise ValueError(f"The market has no rows on {absent[0]:%Y-%m-%d} ({len(absent)} such dates in all).")
        market = market[market["date"].isin(wanted)]
    files = ((folder / name, content) for name, content in snapshot_files(market))
    written: list[Path] = []
    while batch := dict(islice(files, FILES_AT_ONCE)):
        write_files(batch)
        written += batch
    return written


def _cast(rng: np.random.Generator, coins: int, *, days: int) -> _Coins:
    """Draw the coins of the market: names, sizes, parameters and listing days."""
    head = np.arange(coins) < len(_HEAD)
    invented = coins - head.sum()
    names, symbols = _names(rng, coins)
    usual_price = np.append([price for *_, price in _HEAD[:coins]], np.exp(3 * rng.standard_normal(invented) - 2))
    usual_price[~head] = np.where(rng.random(invented) < PEG_SHARE, 1.0, usual_price[~head])
    pegged = usual_price == 1.0
    rank = np.arange(1, coins + 1)
    log10_cap = TOP_CAP - POWER_DECADES * np.log(rank) / np.log(max(coins, 2)) - DUST_DECADES * (rank - 1) / coins
    size = log10_cap - 7  # decades above 10 million USD
    dust = (TOP_CAP - log10_cap) / (POWER_DECADES + DUST_DECADES)  # 0 is Bitcoin, 1 is dust

    volatility = COIN_VOLATILITY * np.exp(-SHIELD_OF_SIZE * size)
    volatility *= np.exp(COIN_VOLATILITY_SPREAD * dust * rng.standard_normal(coins))
    beta = np.clip(0.8 + 0.3 * dust + 0.35 * dust * rng.standard_normal(coins), 0, 2)
    idle = (rng.gumbel(size=coins) - np.euler_gamma) * np.sqrt(6) / np.pi  # unit variance
    activity = np.interp(dust, (0, 1), ACTIVITY_SPREAD) * np.exp(ACTIVITY_OF_COIN * dust * rng.standard_normal(coins))
    late = ~head & (rng.random(coins) < min(LISTED_LATE_MOST, LISTED_LATE_A_YEAR * days / 365))
    gone = ~head & (rng.random(coins) < min(DELISTED_MOST, DELISTED_A_YEAR * days / 365))
    unknown = ~head & (rng.random(coins) < UNKNOWN_CAP_SHARE)
    first = np.where(late, rng.integers(0, days, coins), -WARM_UP_DAYS)
    return _Coins(
        coin=names,
        symbol=symbols,
        head=head,
        pegged=pegged,
        log_cap=log10_cap * np.log(10),
        supply=10**log10_cap / usual_price,
        unknown_cap=np.where(unknown, rng.choice([0.0, np.nan], coins), 1.0),
        beta=np.where(pegged, 0.0, beta),
        volatility=np.where(pegged, PEG_VOLATILITY, volatility),
        bounce=BOUNCE * dust * volatility,
        log_turnover=TURNOVER_LEVEL + TURNOVER_OF_SIZE * size - np.interp(dust, (0, 1), TURNOVER_SPREAD) * idle,
        activity=np.minimum(activity, MOST_ACTIVITY),
        first=first,
        last=np.where(gone, rng.integers(np.maximum(first, 0), days), days),
    )


def _names(rng: np.random.Generator, coins: int) -> tuple[np.ndarray, np.ndarray]:
    """Names (each once) and symbols (some twice): the head's, then invented ones."""
    base, invented = len(_CONSONANTS), max(coins - len(_HEAD), 0)
    codes = rng.permutation(base**3 * len(_ENDINGS))[:invented]
    if len(codes) < invented:
        raise ValueError(f"There are names for {len(codes) + len(_HEAD):,} coins; {coins:,} were requested.")
    names, symbols = [coin for coin, *_ in _HEAD[:coins]], [symbol for _, symbol, _ in _HEAD[:coins]]
    for code in codes:
        syllables, ending = (code % base, code // base % base, code // base**2 % base), _ENDINGS[code // base**3]
        consonants = [_CONSONANTS[i] for i in syllables]
        vowels = [_VOWELS[(i + 2 * place) % len(_VOWELS)] for place, i in enumerate(syllables)]
        names.append("".join(c + v for c, v in zip(consonants, vowels, strict=True)).capitalize() + ending)
        symbols.append("".join(consonants).upper() + ending.upper())
    pairs = rng.permutation(invented)[: round(invented * SHARED_SYMBOL_SHARE / 2) * 2].reshape(2, -1) + len(_HEAD)
    for lender, borrower in pairs.T:
        symbols[borrower] = symbols[lender]
    return np.array(names, dtype=object), np.array(symbols, dtype=object)


def _trade(rng: np.random.Generator, cast: _Coins, *, days: int, weekday: int) -> Iterator[dict[str, np.ndarray]]:
    """Day by day from a `weekday`, the published columns of the coins present; `which`: their positions in `cast`."""
    coins = len(cast.pegged)
    log_cap = cast.log_cap.copy()
    wild, busy = rng.standard_normal((2, 1))  # the market's volatility and turnover; like the next, of unit variance
    nervous, slow, fast, peg = rng.standard_normal((4, coins))  # a coin's volatility, turnover and price off its peg
    price = np.full(coins, np.nan)
    empty, absent = np.zeros(coins), np.zeros(coins)  # days left of a spell
    past: deque[np.ndarray] = deque([price] * 7, maxlen=7)
    for day in range(-WARM_UP_DAYS, days):
        wild = _persist(wild, rng.standard_normal(1), kept=VOLATILITY_KEPT[0])
        nervous = _persist(nervous, rng.standard_normal(coins), kept=VOLATILITY_KEPT[1])
        market_volatility, coin_volatility = VOLATILITY_SPREAD[0] * wild, VOLATILITY_SPREAD[1] * nervous
        volatility = cast.volatility * np.exp(coin_volatility + market_volatility / 2)
        shock = _heavy(rng, coins, tail=RETURN_TAIL)
        change = volatility * shock
        change += cast.beta * MARKET_VOLATILITY * np.exp(market_volatility) * _heavy(rng, 1, tail=RETURN_TAIL)
        log_cap += np.clip(change, -MOST_RETURN, MOST_RETURN) - CAP_REVERSION * (log_cap - cast.log_cap)
        peg = _persist(peg, rng.standard_normal(coins), kept=PEG_KEPT)

        busy = _persist(busy, rng.standard_normal(1), kept=MARKET_TURNOVER_KEPT)
        slow = _persist(slow, _heavy(rng, coins, tail=TURNOVER_TAIL), kept=SLOW_KEPT)
        fed = SHOCK_TO_TURNOVER * (np.abs(shock) - MEAN_SHOCK)
        fast = _persist(fast, _heavy(rng, coins, tail=TURNOVER_TAIL) + fed, kept=FAST_KEPT)
        own = np.sqrt(SLOW_SHARE) * slow + np.sqrt(FAST_SHARE) * fast
        own += np.sqrt(NOISE_SHARE) * _heavy(rng, coins, tail=TURNOVER_TAIL) + VOLATILITY_TO_TURNOVER * coin_volatility
        turnover = cast.log_turnover + cast.activity * own + MARKET_TURNOVER_SPREAD * busy
        turnover += WEEKDAY_TURNOVER[(weekday + day) % 7]
        volume = np.exp(log_cap + np.minimum(turnover, MOST_TURNOVER))
        volume = np.where(rng.random(coins) < np.exp(-volume / TRADE_USD), 0.0, np.round(volume, 2))

        quoted = np.exp(log_cap + cast.bounce * rng.standard_normal(coins)) / cast.supply
        quoted = np.where(cast.pegged, np.exp(PEG_NOISE * peg), quoted)
        stale = (volume == 0) & np.isfinite(price)
        price = np.where(stale, price, _significant(quoted, 8))
        price = np.where(day >= cast.first, price, np.nan)
        since_day, since_week = price / past[-1] - 1, price / past[0] - 1
        past.append(price)
        # The last hour of a random walk that is known to have made the day's change; on the first day, of any walk.
        spread = np.where(cast.pegged, PEG_NOISE, volatility) * np.sqrt(1 / 24 * 23 / 24)
        hour = np.log1p(np.nan_to_num(since_day)) / 24 + spread * _heavy(rng, coins, tail=RETURN_TAIL)
        since_hour = np.where(stale, 0.0, np.expm1(np.clip(hour, -MOST_RETURN, MOST_RETURN)))
        if day < 0:
            continue

        empty = _spell(rng, empty, rate=EMPTY_RATE, mean_days=EMPTY_DAYS)
        absent = _spell(rng, absent, rate=GAP_RATE, mean_days=GAP_DAYS)
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


def _persist(state: np.ndarray, shock: np.ndarray, *, kept: float) -> np.ndarray:
    """A step of an AR(1) of unit variance: `kept` is what is left of a state a day later."""
    return kept * state + np.sqrt(1 - kept**2) * shock


def _heavy(rng: np.random.Generator, size: int, *, tail: float) -> np.ndarray:
    """Student t of unit variance."""
    return rng.standard_t(tail, size) * np.sqrt((tail - 2) / tail)


def _spell(rng: np.random.Generator, left: np.ndarray, *, rate: float, mean_days: float) -> np.ndarray:
    """Days left of each coin's spell, a day later; a new spell starts with chance `rate`, of geometric length."""
    return np.where(rng.random(len(left)) < rate, rng.geometric(1 / mean_days, len(left)), left - 1)


def _significant(values: np.ndarray, digits: int) -> np.ndarray:
    """Positive numbers rounded to that many significant digits."""
    scale = 10.0 ** (digits - 1 - np.floor(np.log10(values)))
    return np.round(values * scale) / scale
