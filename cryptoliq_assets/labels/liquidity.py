"""`liquidity_score`: the registry of formulas that turn one cleaned row into its liquidity.

Add a formula to `FORMULAS`, with the columns that it reads; nothing else lists formulas. A formula is a constant function of the
row: it is never fitted, so it leaks nothing and is comparable across days, models and installations.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from cryptoliq_assets.core import BoolArray, FloatArray, Settings
from cryptoliq_assets.schemas import NUMBER_COLUMNS, RANGE_COLUMNS

# Log returns are clipped here: beyond it the first print of a listing carries no information about trading cost.
CLIP_24H = 2.0
CLIP_7D = 3.0
# Daily volatility below this is a peg or a stale price, not unlimited depth.
VOLATILITY_FLOOR = 0.002
# Floored with less traded than this (USD): the price did not move because the coin did not trade.
STALE_VOLUME_USD = 1_000.0
# Volume 0 is scored as one dollar, so that the logarithm exists.
MIN_VOLUME_USD = 1.0

# What every score computes anyway, so that a formula can use it without computing it again.
VOLUME_LOG, VOLATILITY = "volume_log", "volatility"
# What a formula may declare: the numeric columns of `cleaned_snapshots`, and the two above.
FORMULA_COLUMNS = (*NUMBER_COLUMNS, *RANGE_COLUMNS, VOLUME_LOG, VOLATILITY)
# Columns that every score needs, with any formula.
_SCORE_COLUMNS = ("24h_volume", "24h", "7d")

Columns = Mapping[str, FloatArray]


@dataclass(frozen=True)
class Volatility:
    """Daily volatility (log return, floored) of n rows, and where it is floored or lacks one of its inputs."""

    value: FloatArray
    floored: BoolArray
    partial: BoolArray


def log_return(change_percent: FloatArray, *, clip: float) -> FloatArray:
    """Convert a change in percent to a clipped log return.

    Args:
        change_percent: (n,) changes in percent, NaN where missing.
        clip: Largest absolute value of the result.

    Returns:
        (n,) ln(1 + change), within ±clip. A change of -100 % or less gives -clip, a missing one NaN.

    Example:
        >>> log_return(np.array([100.0, -100.0, np.nan]), clip=2.0).round(4).tolist()
        [0.6931, -2.0, nan]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.log1p(np.maximum(np.asarray(change_percent, dtype=float) / 100.0, -1.0))
    return np.asarray(np.clip(value, -clip, clip))


def daily_volatility(change_24h: FloatArray, change_7d: FloatArray) -> Volatility:
    """Estimate the daily volatility of n rows from two changes.

    Args:
        change_24h: (n,) changes over 24 hours, percent.
        change_7d: (n,) changes over 7 days, percent.

    Returns:
        Root of the mean of r_24h² and r_7d²/7 over those present, as a log return per day; NaN where both are missing.

    Example:
        >>> daily_volatility(np.array([10.0, 0.0]), np.array([np.nan, 0.0])).value.round(4).tolist()
        [0.0953, 0.002]
    """
    squares = np.stack([log_return(change_24h, clip=CLIP_24H) ** 2, log_return(change_7d, clip=CLIP_7D) ** 2 / 7.0])
    known = ~np.isnan(squares)
    count = known.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        raw = np.sqrt(np.where(known, squares, 0.0).sum(axis=0) / count)
    value = np.where(count > 0, np.maximum(raw, VOLATILITY_FLOOR), np.nan)
    return Volatility(value=value, floored=(count > 0) & (raw < VOLATILITY_FLOOR), partial=count < 2)


def log_volume(volume: FloatArray) -> FloatArray:
    """Return ln of the traded value.

    Args:
        volume: (n,) USD traded in 24 hours.

    Returns:
        (n,) natural logarithms of at least one dollar; NaN where the volume is missing.

    Example:
        >>> log_volume(np.array([0.0, 1.0, np.nan])).tolist()
        [0.0, 0.0, nan]
    """
    return np.asarray(np.log(np.maximum(np.asarray(volume, dtype=float), MIN_VOLUME_USD)))


def _kyle_obizhaeva(columns: Columns) -> FloatArray:
    return np.asarray((columns[VOLUME_LOG] - 2.0 * np.log(columns[VOLATILITY])) / 3.0)


def _amihud(columns: Columns) -> FloatArray:
    move = np.abs(log_return(columns["24h"], clip=CLIP_24H))
    return np.asarray(columns[VOLUME_LOG] - np.log(np.maximum(move, VOLATILITY_FLOOR)))


def _turnover(columns: Columns) -> FloatArray:
    cap = np.asarray(columns["mkt_cap"], dtype=float)
    return np.asarray(columns[VOLUME_LOG] - np.log(np.where(cap > 0, cap, np.nan)))


@dataclass(frozen=True)
class Formula:
    """A liquidity measure L of a row, and the constants that put ln L on a common scale: (ln L - lo) / (hi - lo).

    Args:
        name: Value of `CRYPTOLIQ_FORMULA` that selects the formula.
        description: The formula in one line.
        source: Publication, with its DOI.
        lo: ln L that scores 0.
        hi: ln L that scores 1.
        columns: Names of `FORMULA_COLUMNS` that the formula reads; percent, USD, NaN where missing.
        log_liquidity: Returns ln L (n,) of the declared columns, each (n,) float64; NaN where it is unknown.

    Raises:
        ValueError: A column is not in `FORMULA_COLUMNS`.
    """

    name: str
    description: str
    source: str
    lo: float
    hi: float
    columns: tuple[str, ...]
    log_liquidity: Callable[[Columns], FloatArray]

    def __post_init__(self) -> None:
        """Reject columns that no cleaned row has."""
        unknown = [name for name in self.columns if name not in FORMULA_COLUMNS]
        if unknown:
            raise ValueError(
                f"formula {self.name!r} declares the unknown column(s) {', '.join(unknown)}; in its entry of FORMULAS in "
                f"cryptoliq_assets/labels/liquidity.py use columns=(…) of: {', '.join(FORMULA_COLUMNS)}"
            )

    @property
    def row_columns(self) -> tuple[str, ...]:
        """Columns of a cleaned row that a score by this formula needs."""
        declared = (name for name in self.columns if name not in (VOLUME_LOG, VOLATILITY))
        return tuple(dict.fromkeys((*_SCORE_COLUMNS, *declared)))


def register_formulas(formulas: Iterable[Formula]) -> dict[str, Formula]:
    """Index formulas by name.

    Raises:
        ValueError: Two formulas have one name.
    """
    registry: dict[str, Formula] = {}
    for formula in formulas:
        if formula.name in registry:
            raise ValueError(
                f"two formulas are named {formula.name!r}; rename one entry of FORMULAS in cryptoliq_assets/labels/liquidity.py"
            )
        registry[formula.name] = formula
    return registry


FORMULAS = register_formulas(
    (
        Formula(
            "kyle_obizhaeva",
            "ln L = (ln 24h_volume - 2 ln s) / 3, s the daily volatility",
            "Kyle and Obizhaeva (2016), doi:10.3982/ECTA10486; best for levels in Brauneis, Mestel, Riordan, "
            "Theissen (2021), doi:10.1016/j.jbankfin.2020.106041",
            0.0,
            12.5,
            (VOLUME_LOG, VOLATILITY),
            _kyle_obizhaeva,
        ),
        Formula(
            "amihud",
            "ln L = ln 24h_volume - ln |r_24h|, the negative log of Amihud's illiquidity",
            "Amihud (2002), doi:10.1016/S1386-4181(01)00024-6",
            0.0,
            30.0,
            (VOLUME_LOG, "24h"),
            _amihud,
        ),
        Formula(
            "turnover",
            "ln L = ln (24h_volume / mkt_cap), liquidity_ratio logged",
            "Datar, Naik, Radcliffe (1998), doi:10.1016/S1386-4181(97)00004-9",
            -14.0,
            2.0,
            (VOLUME_LOG, "mkt_cap"),
            _turnover,
        ),
    )
)


@dataclass(frozen=True)
class Liquidity:
    """Scores of n rows, the flags that qualify them, and the two parts that features use; arrays of n."""

    score: FloatArray
    volume_log: FloatArray
    volatility_log: FloatArray
    volatility_partial: BoolArray
    no_trades: BoolArray
    volatility_floored: BoolArray
    stale_price: BoolArray

    @property
    def valid(self) -> BoolArray:
        """(n,) rows whose score may train a model, score a model or serve as a target."""
        return np.asarray(~(np.isnan(self.score) | self.volatility_partial | self.no_trades | self.stale_price))


def get_formula(name: str) -> Formula:
    """Return a registered formula.

    Raises:
        ValueError: No formula has this name; the message lists the registered ones.
    """
    if name not in FORMULAS:
        raise ValueError(f"unknown liquidity formula {name!r}; expected one of {', '.join(sorted(FORMULAS))}")
    return FORMULAS[name]


def check_formula(settings: Settings) -> None:
    """Raise ValueError if the settings name a formula that is not registered."""
    try:
        get_formula(settings.formula)
    except ValueError as error:
        raise ValueError(f"CRYPTOLIQ_FORMULA is {settings.formula!r}: {error}") from error


def score_liquidity(columns: Columns, *, formula: str = "kyle_obizhaeva") -> Liquidity:
    """Score n rows.

    Args:
        columns: (n,) arrays by column name, at least `get_formula(formula).row_columns`: changes in percent, amounts in USD,
            NaN where missing.
        formula: Name of a registered formula.

    Returns:
        Scores and flags. A score is NaN where the formula is, e.g. where volume or both changes are missing.

    Raises:
        ValueError: The formula is not registered.
        KeyError: A column that the formula needs is absent.

    Example:
        >>> row = {"24h_volume": np.array([2e10]), "24h": np.array([3.2]), "7d": np.array([-5.0])}
        >>> score_liquidity(row).score.round(3).tolist()
        [0.827]
    """
    chosen = get_formula(formula)
    volume = np.asarray(columns["24h_volume"], dtype=float)
    volatility = daily_volatility(columns["24h"], columns["7d"])
    volume_log = log_volume(volume)
    inputs = {**columns, VOLUME_LOG: volume_log, VOLATILITY: volatility.value}
    value = chosen.log_liquidity({name: inputs[name] for name in chosen.columns})
    return Liquidity(
        score=(value - chosen.lo) / (chosen.hi - chosen.lo),
        volume_log=volume_log,
        volatility_log=np.log(volatility.value),
        volatility_partial=volatility.partial,
        no_trades=volume == 0,
        volatility_floored=volatility.floored,
        stale_price=volatility.floored & (volume < STALE_VOLUME_USD),
    )
