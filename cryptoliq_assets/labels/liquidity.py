"""liquidity_score: how liquid a coin was on a day, from one row of the contract.

A registry of formulas; each is a constant function of the row: never fitted, so it leaks nothing and compares across
days, models and installations. Features and model share it by import.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cryptoliq_assets.core import Settings

# Log returns are clipped here: beyond it a listing's first print says nothing about trading cost.
CLIP_24H = 2.0
CLIP_7D = 3.0
# Daily volatility below this is a peg or a stale price, not depth without end.
VOLATILITY_FLOOR = 0.002
# Floored with less traded than this (USD): nobody moved the price because nobody traded.
STALE_VOLUME_USD = 1_000.0
# Volume 0 is scored as one dollar, so that the logarithm exists.
MIN_VOLUME_USD = 1.0

Array = np.ndarray


@dataclass(frozen=True)
class Volatility:
    """Daily volatility (log return, floored) and where it is less than whole; arrays of n rows."""

    value: Array
    floored: Array
    partial: Array


def log_return(change_percent: Array, *, clip: float) -> Array:
    """ln(1 + change), clipped to ±clip; a change of -100 % or less gives -clip, a missing one NaN."""
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.log1p(np.maximum(np.asarray(change_percent, dtype=float) / 100.0, -1.0))
    return np.clip(value, -clip, clip)


def daily_volatility(change_24h: Array, change_7d: Array) -> Volatility:
    """Root of the mean of r_24h² and r_7d²/7, of those present; percent in, log return a day out."""
    squares = np.stack([log_return(change_24h, clip=CLIP_24H) ** 2, log_return(change_7d, clip=CLIP_7D) ** 2 / 7.0])
    known = ~np.isnan(squares)
    count = known.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        raw = np.sqrt(np.where(known, squares, 0.0).sum(axis=0) / count)
    value = np.where(count > 0, np.maximum(raw, VOLATILITY_FLOOR), np.nan)
    return Volatility(value=value, floored=(count > 0) & (raw < VOLATILITY_FLOOR), partial=count < 2)


def log_volume(volume: Array) -> Array:
    """ln of the traded value (USD), at least one dollar; NaN where unknown."""
    return np.log(np.maximum(np.asarray(volume, dtype=float), MIN_VOLUME_USD))


def _kyle_obizhaeva(volume_log: Array, volatility: Array, change_24h: Array, mkt_cap: Array) -> Array:
    return (volume_log - 2.0 * np.log(volatility)) / 3.0


def _amihud(volume_log: Array, volatility: Array, change_24h: Array, mkt_cap: Array) -> Array:
    move = np.abs(log_return(change_24h, clip=CLIP_24H))
    return volume_log - np.log(np.maximum(move, VOLATILITY_FLOOR))


def _turnover(volume_log: Array, volatility: Array, change_24h: Array, mkt_cap: Array) -> Array:
    cap = np.asarray(mkt_cap, dtype=float)
    return volume_log - np.log(np.where(cap > 0, cap, np.nan))


@dataclass(frozen=True)
class Formula:
    """A liquidity measure L of a row, and the constants that put ln L on a common scale: (ln L - lo) / (hi - lo)."""

    name: str
    description: str
    source: str
    lo: float
    hi: float
    log_liquidity: Callable[[Array, Array, Array, Array], Array]


FORMULAS: dict[str, Formula] = {
    formula.name: formula
    for formula in (
        Formula(
            "kyle_obizhaeva",
            "ln L = (ln 24h_volume - 2 ln s) / 3, s the daily volatility",
            "Kyle and Obizhaeva (2016), doi:10.3982/ECTA10486; best for levels in Brauneis, Mestel, Riordan, "
            "Theissen (2021), doi:10.1016/j.jbankfin.2020.106041",
            0.0,
            12.5,
            _kyle_obizhaeva,
        ),
        Formula(
            "amihud",
            "ln L = ln 24h_volume - ln |r_24h|, the negative log of Amihud's illiquidity",
            "Amihud (2002), doi:10.1016/S1386-4181(01)00024-6",
            0.0,
            30.0,
            _amihud,
        ),
        Formula(
            "turnover",
            "ln L = ln (24h_volume / mkt_cap), liquidity_ratio logged",
            "Datar, Naik, Radcliffe (1998), doi:10.1016/S1386-4181(97)00004-9",
            -14.0,
            2.0,
            _turnover,
        ),
    )
}


@dataclass(frozen=True)
class Liquidity:
    """Scores of n rows with the flags that qualify them, and the two parts that features use; arrays of n."""

    score: Array
    volume_log: Array
    volatility_log: Array
    volatility_partial: Array
    no_trades: Array
    volatility_floored: Array
    stale_price: Array

    @property
    def sound(self) -> Array:
        """Rows whose score may train, score a model or serve as a target."""
        return ~(np.isnan(self.score) | self.volatility_partial | self.no_trades | self.stale_price)


def get_formula(name: str) -> Formula:
    """The registered formula; ValueError names those there are."""
    if name not in FORMULAS:
        raise ValueError(f"no liquidity formula is named {name!r}; there are {', '.join(sorted(FORMULAS))}")
    return FORMULAS[name]


def check_formula(settings: Settings) -> None:
    """Raise ValueError where the settings name a formula that is not registered."""
    try:
        get_formula(settings.formula)
    except ValueError as error:
        raise ValueError(f"CRYPTOLIQ_FORMULA is {settings.formula!r}: {error}") from error


def score_liquidity(
    volume: Array, change_24h: Array, *, change_7d: Array, mkt_cap: Array, formula: str = "kyle_obizhaeva"
) -> Liquidity:
    """Score n rows: volume and cap in USD, changes in percent; NaN where volume or both changes are missing."""
    chosen = get_formula(formula)
    volume = np.asarray(volume, dtype=float)
    volatility = daily_volatility(change_24h, change_7d)
    volume_log = log_volume(volume)
    value = chosen.log_liquidity(volume_log, volatility.value, change_24h, mkt_cap)
    return Liquidity(
        score=(value - chosen.lo) / (chosen.hi - chosen.lo),
        volume_log=volume_log,
        volatility_log=np.log(volatility.value),
        volatility_partial=volatility.partial,
        no_trades=volume == 0,
        volatility_floored=volatility.floored,
        stale_price=volatility.floored & (volume < STALE_VOLUME_USD),
    )
