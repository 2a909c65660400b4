"""Evidence for the unit of the columns 1h, 24h and 7d: the size of their values, values below -1, and price_change_24h.

Add a kind of evidence here. Combining the evidence of all columns of a file belongs in `units`.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

Unit = Literal["percent", "fraction"]
UNITS: tuple[Unit, ...] = get_args(Unit)

# Median |change| of an ordinary day, as fractions (2021 panel, 2022 files): of freely moving coins, and of pegged coins.
_FREE_MEDIAN = {"1h": 0.007, "24h": 0.045, "7d": 0.13}
_PEG_MEDIAN = {"1h": 0.001, "24h": 0.0035, "7d": 0.0045}
# Median of the absolute value of Student's t with two degrees of freedom.
_STUDENT_MEDIAN = 0.8165
# A price this close to one dollar belongs to a peg four times in five (2021: 82 %), any other price one time in twenty.
_PEG_BAND_USD = 0.02
_PEG_FRACTION_IN_BAND, _PEG_FRACTION_ELSEWHERE = 0.8, 0.05

# On every real day of percents at least 1.3 % of the coins are below -1; in the worst real file of fractions 0.1 %.
_PROOF_FRACTION = 0.005
# A value below -100 is an error in either unit and no evidence; the same holds for the rounding error of an unchanged price.
_IMPOSSIBLE_PERCENT = -100.0
_NO_CHANGE = 1e-9
# Larger sizes add no evidence, and are cut here so that nothing overflows.
_MAX_SIZE = 1e9

# Coins move together: more of them than this add little information about the size of the day.
_INDEPENDENT_VALUES = 40
# The log odds of one value are limited to 100 to 1, so that no single error decides.
_MAX_LOG_ODDS_PER_VALUE = np.log(100.0)
# Log odds from which the sizes of a column can make a conflict.
CONFLICT_LOG_ODDS = 12.0

# price_change_24h agrees with a unit if it is within this fraction of the change that the unit gives.
_AGREEMENT = 0.1


@dataclass(frozen=True)
class UnitEvidence:
    """Evidence of one column.

    Attributes:
        log_odds: Log of the odds for percent, from the sizes of the values.
        proof: A unit that is proven, regardless of the odds.
        reason: What the evidence is.
    """

    log_odds: float
    proof: Unit | None = None
    reason: str = ""

    @property
    def sized_unit(self) -> Unit | None:
        """The unit that the sizes of this column alone would establish."""
        if abs(self.log_odds) < CONFLICT_LOG_ODDS:
            return None
        return "percent" if self.log_odds > 0 else "fraction"


def estimate_peg_fraction(price: np.ndarray) -> np.ndarray:
    """Return the probability that a coin is pegged to the dollar.

    Args:
        price: Prices in USD, shape (rows,).
    """
    return np.where(np.abs(price - 1) <= _PEG_BAND_USD, _PEG_FRACTION_IN_BAND, _PEG_FRACTION_ELSEWHERE)


def weigh_sizes(
    name: str, values: np.ndarray, peg_fraction: np.ndarray, *, file_of: np.ndarray, files: int
) -> list[UnitEvidence]:
    """Weigh the values of one column: proof by values below -1, and odds by their size.

    A coin's changes follow Student's t with two degrees of freedom (its 5th to 99th percentiles, over the median, are 0.09 to
    12; 674,000 rows of 2021 gave 0.06 to 13), and pegged coins move ten times less. The log likelihood ratio of the mixture
    states how much better a value fits as a percent than as a fraction.

    Args:
        name: Column of changes.
        values: Its values as received, shape (rows,), NaN if empty.
        peg_fraction: Probability that the coin is pegged, shape (rows,).
        file_of: Index of the file of each row.
        files: Number of files.

    Returns:
        Evidence of each file.
    """
    sizes = np.abs(values)
    # NaN compares false: an empty cell is no evidence.
    informative = (sizes > _NO_CHANGE) & (sizes < np.inf) & (values >= _IMPOSSIBLE_PERCENT)
    file_of = file_of[informative]
    ratios = _log_ratios(
        np.minimum(sizes[informative], _MAX_SIZE),
        peg_fraction[informative],
        free_median=_FREE_MEDIAN[name],
        peg_median=_PEG_MEDIAN[name],
    )
    counts = np.bincount(file_of, minlength=files).tolist()
    below = np.bincount(file_of[values[informative] < -1], minlength=files).tolist()
    # Each sum runs over the rows of its file in their order, regardless of rows of other files between them.
    totals = np.bincount(file_of, weights=ratios, minlength=files).tolist()
    evidence = []
    for count, fallen, total in zip(counts, below, totals, strict=True):
        proven = fallen > 0 and fallen >= _PROOF_FRACTION * count
        reason = f"{fallen} of {count} values of {name} are below -1" if proven else f"typical size of {name}"
        log_odds = total / (1 + count / _INDEPENDENT_VALUES)
        evidence.append(UnitEvidence(log_odds, "percent" if proven else None, reason))
    return evidence


def _log_ratios(sizes: np.ndarray, peg_fraction: np.ndarray, *, free_median: float, peg_median: float) -> np.ndarray:
    """Return, for each absolute change (above 0), the log odds that it is a percent rather than a fraction."""
    scaled = sizes * _STUDENT_MEDIAN
    as_percent, as_fraction = (
        _mixture_density(reading, peg_fraction, free_median=free_median, peg_median=peg_median)
        for reading in (scaled / 100, scaled)
    )
    return np.clip(np.log(as_percent / as_fraction), -_MAX_LOG_ODDS_PER_VALUE, _MAX_LOG_ODDS_PER_VALUE)


def _mixture_density(
    scaled: np.ndarray, peg_fraction: np.ndarray, *, free_median: float, peg_median: float
) -> np.ndarray:
    free, peg = _student_density(scaled / free_median), _student_density(scaled / peg_median)
    return free + peg_fraction * (peg - free)


def _student_density(scaled: np.ndarray) -> np.ndarray:
    """Density of ln|t|, t Student's with two degrees of freedom, up to a constant: t · (2 + t²)^-1.5."""
    spread = 2 + scaled * scaled
    # A root costs a tenth of a power.
    return scaled / (spread * np.sqrt(spread))


def compare_price_changes(
    change: np.ndarray, price: np.ndarray, price_change: np.ndarray, *, file_of: np.ndarray, files: int
) -> list[UnitEvidence]:
    """Find out which unit of 24h is consistent with the file's own price_change_24h = price - price / (1 + change).

    Args:
        change: Column 24h as received, shape (rows,), NaN if empty.
        price: Prices in USD.
        price_change: Column price_change_24h in USD.
        file_of: Index of the file of each row.
        files: Number of files.

    Returns:
        Evidence of each file.
    """
    informative = np.isfinite(change) & np.isfinite(price_change) & (change != 0) & (price_change != 0) & (price > 0)
    change, price, price_change, file_of = (values[informative] for values in (change, price, price_change, file_of))
    with np.errstate(all="ignore"):
        percent, fraction = (
            np.abs(price - price / (1 + change / scale) - price_change) <= _AGREEMENT * np.abs(price_change)
            for scale in (100.0, 1.0)
        )
    rows, only_percent, only_fraction = (
        np.bincount(file_of[which], minlength=files).tolist()
        for which in (slice(None), percent & ~fraction, fraction & ~percent)
    )
    return [_weigh_agreement(*counts) for counts in zip(rows, only_percent, only_fraction, strict=True)]


def _weigh_agreement(rows: int, percent: int, fraction: int) -> UnitEvidence:
    """Return the evidence of a file in which so many rows fit 24h as percent only, or as fraction only."""
    agreeing = max(percent, fraction)
    # A column that fits neither unit in half of its rows is not the change of the price.
    if agreeing == 0 or agreeing < 0.5 * rows or min(percent, fraction) > 0.1 * agreeing:
        return UnitEvidence(0.0)
    unit: Unit = "percent" if percent > fraction else "fraction"
    return UnitEvidence(0.0, unit, f"price_change_24h fits 24h as {unit} in {agreeing} of {rows} rows")
