"""The coins of a simulated market: names, sizes, and the parameters that do not change from day to day.

What happens on a day is simulated in `market`.
"""

from dataclasses import dataclass

import numpy as np

# Simulated and discarded, so that the fast components no longer depend on their initial values and 7d exists.
WARM_UP_DAYS = 120

# The largest coins, in order: present every day, without empty cells. (coin, symbol, usual price in USD); coins at 1.0 are pegged
# to the USD. Two share a symbol and one has accents, so that a dozen coins contain both cases.
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
# Invented names are three syllables and an ending, their symbols the consonants: 20³ · 6 = 48,000 distinct ones.
_CONSONANTS, _VOWELS, _ENDINGS = "bcdfghjklmnpqrstvwxz", "aeiou", ("", "n", "r", "s", "x", "m")

# Sizes: log10 USD of the largest cap; decrease in decades with log rank (power law) and, for the smallest coins, with rank.
TOP_CAP, POWER_DECADES, DUST_DECADES = 12.0, 4.9, 1.9
PEG_FRACTION = 0.014  # of the invented coins; the price of 1.5 % of real rows hardly changes
SHARED_SYMBOL_FRACTION = 0.06  # of the invented coins; 6.9 % in the real panel
UNKNOWN_CAP_FRACTION = 0.09  # of the invented coins; 9.7 % of real rows
LISTED_LATE_PER_YEAR, LISTED_LATE_MAX = 0.5, 0.5  # fraction of invented coins first seen after the first day
DELISTED_PER_YEAR, DELISTED_MAX = 0.06, 0.25  # fraction of invented coins last seen before the last day

COIN_VOLATILITY = 0.063  # per day, of a coin of 10 million USD, without the market factor
SIZE_DAMPING = 0.16  # decrease of ln volatility per decade of cap
COIN_VOLATILITY_SPREAD = 0.40  # ln, between coins
PEG_VOLATILITY = 0.004  # per day, of the cap of a pegged coin
# Price noise of the smallest coin as a fraction of its volatility; gives daily returns an autocorrelation of -0.11.
BOUNCE = 0.6

# ln turnover of a coin of 10 million USD, and its increase per decade of cap.
TURNOVER_LEVEL, TURNOVER_PER_DECADE = -3.50, 0.32
TURNOVER_SPREAD = (0.7, 2.1)  # ln, between coins: of the largest, of the smallest; skewed toward low turnover
ACTIVITY_SPREAD = (0.55, 1.4)  # ln, of one coin over time: the largest, a typical smallest one
ACTIVITY_VARIATION, MAX_ACTIVITY = 0.70, 4.0  # ln, variation of that spread between coins of one size; its maximum


@dataclass(frozen=True)
class Coins:
    """Constant properties of the coins: arrays of shape (coins,), the largest coin first."""

    coin: np.ndarray
    symbol: np.ndarray
    head: np.ndarray  # always present, without empty cells
    pegged: np.ndarray
    log_cap: np.ndarray  # ln USD, to which the cap reverts
    supply: np.ndarray  # in coins; cap / price of coins that are not pegged
    unknown_cap: np.ndarray  # NaN: empty; 0: published as 0; 1: known
    beta: np.ndarray
    volatility: np.ndarray  # per day, of own shocks
    bounce: np.ndarray  # ln price
    log_turnover: np.ndarray
    activity: np.ndarray  # standard deviation of ln turnover over time
    first: np.ndarray  # day of listing, 0 is the first day of the market
    last: np.ndarray


def draw_coins(rng: np.random.Generator, coins: int, *, days: int) -> Coins:
    """Draw the coins of a market: names, sizes, parameters and listing days.

    Args:
        rng: Random generator.
        coins: Number of coins.
        days: Number of days of the market.

    Raises:
        ValueError: There are not that many names.
    """
    head = np.arange(coins) < len(_HEAD)
    invented = coins - head.sum()
    names, symbols = _draw_names(rng, coins)
    usual_price = np.append([price for *_, price in _HEAD[:coins]], np.exp(3 * rng.standard_normal(invented) - 2))
    usual_price[~head] = np.where(rng.random(invented) < PEG_FRACTION, 1.0, usual_price[~head])
    pegged = usual_price == 1.0
    rank = np.arange(1, coins + 1)
    log10_cap = TOP_CAP - POWER_DECADES * np.log(rank) / np.log(max(coins, 2)) - DUST_DECADES * (rank - 1) / coins
    size = log10_cap - 7  # decades above 10 million USD
    dust = (TOP_CAP - log10_cap) / (POWER_DECADES + DUST_DECADES)  # 0 is Bitcoin, 1 is the smallest coin

    volatility = COIN_VOLATILITY * np.exp(-SIZE_DAMPING * size)
    volatility *= np.exp(COIN_VOLATILITY_SPREAD * dust * rng.standard_normal(coins))
    beta = np.clip(0.8 + 0.3 * dust + 0.35 * dust * rng.standard_normal(coins), 0, 2)
    idle = (rng.gumbel(size=coins) - np.euler_gamma) * np.sqrt(6) / np.pi  # unit variance
    activity = np.interp(dust, (0, 1), ACTIVITY_SPREAD) * np.exp(ACTIVITY_VARIATION * dust * rng.standard_normal(coins))
    late = ~head & (rng.random(coins) < min(LISTED_LATE_MAX, LISTED_LATE_PER_YEAR * days / 365))
    gone = ~head & (rng.random(coins) < min(DELISTED_MAX, DELISTED_PER_YEAR * days / 365))
    unknown = ~head & (rng.random(coins) < UNKNOWN_CAP_FRACTION)
    first = np.where(late, rng.integers(0, days, coins), -WARM_UP_DAYS)
    return Coins(
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
        log_turnover=TURNOVER_LEVEL + TURNOVER_PER_DECADE * size - np.interp(dust, (0, 1), TURNOVER_SPREAD) * idle,
        activity=np.minimum(activity, MAX_ACTIVITY),
        first=first,
        last=np.where(gone, rng.integers(np.maximum(first, 0), days), days),
    )


def _draw_names(rng: np.random.Generator, coins: int) -> tuple[np.ndarray, np.ndarray]:
    """Return distinct names, and symbols of which some occur twice: those of the largest coins, then invented ones."""
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
    pairs = rng.permutation(invented)[: round(invented * SHARED_SYMBOL_FRACTION / 2) * 2].reshape(2, -1) + len(_HEAD)
    for lender, borrower in pairs.T:
        symbols[borrower] = symbols[lender]
    return np.array(names, dtype=object), np.array(symbols, dtype=object)
