"""Reject files whose numbers are on another scale than the contract's: scaled to [0, 1], in millions, in coins.

Only what one file proves alone, by bounds that no real market came near. A change of scale from one file to the next is
for the comparison with the previous snapshot.
"""

from collections.abc import Mapping

import numpy as np

from cryptoliq_assets.ingestion.csv import FileRejectedError

_USD_COLUMNS = ("price", "24h_volume", "mkt_cap")
# Fewer rows prove nothing about a scale, or about how two columns move together.
_MIN_ROWS, _MIN_ROWS_OF_SPREAD = 5, 20
# USD. No file of so many coins has a largest volume or market cap below this.
_MIN_LARGEST = 100.0
# Median of 24h_volume / mkt_cap of a file. Every day of 2021 lies between 0.012 and 0.09.
_TURNOVER = (1e-6, 10.0)
# If volumes are numbers of coins, multiplying them by the price brings turnovers together: their spread falls to this
# share or less. For real volumes it doubles (at least 1.04 in samples of 20 coins, 1.8 for whole files).
_SPREAD_FALL = 0.75
# A median ratio of columns that determine one another beyond this, or below its inverse.
_FACTOR = 10.0
# Rows of a file that ratios are measured on.
_SAMPLE = 200
_SUPPLIED = ("circulating_supply", "high_24h", "low_24h")
_REMEDY = "send prices, volumes and market caps in USD"


def find_scale_errors(numbers: Mapping[str, np.ndarray], *, starts: np.ndarray) -> dict[int, FileRejectedError]:
    """Return the reason to reject each file whose numbers are on another scale.

    Args:
        numbers: price, 24h_volume, mkt_cap of the rows (USD), and circulating_supply, high_24h, low_24h where the
            files have them; NaN where empty.
        starts: the rows of file n are those from starts[n] to starts[n + 1].
    """
    faults: dict[int, str] = {}
    for place, reason in [*_ratio_faults(numbers, starts), *_range_faults(numbers, starts)]:
        # The range is the better reason: it comes last.
        faults[place] = reason
    return {place: FileRejectedError("implausible_scale", f"{reason}; {_REMEDY}") for place, reason in faults.items()}


def _range_faults(numbers: Mapping[str, np.ndarray], starts: np.ndarray) -> list[tuple[int, str]]:
    """Find columns scaled to [0, 1], and volumes and market caps that are too small for USD."""
    faults = []
    for name in _USD_COLUMNS:
        least, largest = (extreme.reduceat(numbers[name], starts[:-1]) for extreme in (np.fmin, np.fmax))
        suspicious = largest <= (1.0 if name == "price" else _MIN_LARGEST)
        for place in np.flatnonzero(suspicious).tolist():
            values = numbers[name][starts[place] : starts[place + 1]]
            known = values[~np.isnan(values)]
            low, high = float(least[place]), float(largest[place])
            if len(known) < _MIN_ROWS or len(np.unique(known)) < 3:
                continue
            if (low, high) == (0.0, 1.0):
                faults.append((place, f"{name} runs from exactly 0 to exactly 1 in {len(known)} rows: it was scaled"))
            elif name != "price" and (high <= 1 or np.count_nonzero(known) >= _MIN_ROWS_OF_SPREAD):
                faults.append((place, f"the largest {name} of {len(known)} rows is {high:.6g}: it is not in USD"))
    return faults


def _ratio_faults(numbers: Mapping[str, np.ndarray], starts: np.ndarray) -> list[tuple[int, str]]:
    """Find files in which two columns are on different scales."""
    rows, ends = _sample(starts)
    with np.errstate(all="ignore"):
        # -inf where a cell is 0.
        logs = {name: np.log(numbers[name][rows]) for name in (*_USD_COLUMNS, *_SUPPLIED) if name in numbers}
    price, volume, cap = (logs[name] for name in _USD_COLUMNS)
    known = np.isfinite(price + volume + cap)
    faults = []
    for place, (start, end) in enumerate(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)):
        own = np.flatnonzero(known[start:end]) + start
        reason = _turnover_fault(volume[own] - cap[own], price[own])
        if reason:
            faults.append((place, reason))
    for name, expected, described in (
        ("circulating_supply", "mkt_cap", "mkt_cap / (price * circulating_supply)"),
        ("high_24h", "price", "price / high_24h"),
        ("low_24h", "price", "price / low_24h"),
    ):
        if name not in logs:
            continue
        ratio = logs[expected] - logs[name] - (price if expected == "mkt_cap" else 0.0)
        for place, (start, end) in enumerate(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)):
            own = ratio[start:end][np.isfinite(ratio[start:end])]
            if len(own) >= _MIN_ROWS and abs(np.median(own)) > np.log(_FACTOR):
                faults.append((place, f"the median of {described} is {np.exp(np.median(own)):.3g} in {len(own)} rows"))
    return faults


def _turnover_fault(turnover: np.ndarray, price: np.ndarray) -> str | None:
    """Return what is wrong with the turnovers (ln) of one file, else None."""
    if len(turnover) < _MIN_ROWS:
        return None
    # Half the time of np.median.
    median = float(np.exp(np.partition(turnover, len(turnover) // 2)[len(turnover) // 2]))
    if not _TURNOVER[0] <= median <= _TURNOVER[1]:
        low, high = _TURNOVER
        said = (
            f"the median of 24h_volume / mkt_cap is {median:.3g} in {len(turnover)} rows, not between {low} and {high}"
        )
        return f"{said}: one of both is on another scale, such as millions"
    if len(turnover) < _MIN_ROWS_OF_SPREAD:
        return None
    turnover, price = turnover - turnover.mean(), price - price.mean()
    squares, moved, together = turnover @ turnover, price @ price, 2 * (turnover @ price)
    for name, corrected in (("24h_volume", squares + moved + together), ("mkt_cap", squares + moved - together)):
        if corrected < _SPREAD_FALL**2 * squares:
            before, after = np.sqrt(np.array([squares, max(corrected, 0.0)]) / len(turnover))
            return (
                f"{name} moves against the price as a number of coins does (the spread of 24h_volume / mkt_cap falls from "
                f"{before:.2f} to {after:.2f} when it is multiplied by price): it is in coins, not in USD"
            )
    return None


def _sample(starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rows spread evenly over each file, at most _SAMPLE of one, and where each file begins among them."""
    sizes = np.diff(starts)
    taken = np.minimum(sizes, _SAMPLE)
    ends = np.append(0, np.cumsum(taken))
    nth = np.arange(ends[-1]) - np.repeat(ends[:-1], taken)
    return np.repeat(starts[:-1], taken) + nth * np.repeat(sizes, taken) // np.repeat(taken, taken), ends
