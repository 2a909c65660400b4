"""Find files whose numbers are on another scale than the contract's: scaled to [0, 1], in millions, in coins.

Only what a single file proves, by bounds far beyond any real market. Scale changes between two files belong in
`scale_changes.py`.
"""

from collections.abc import Mapping

import numpy as np

from cryptoliq_assets.ingestion.csv import FileRejectedError

_USD_COLUMNS = ("price", "24h_volume", "mkt_cap")
# Minimum number of rows to decide about a scale, and about how two columns move together.
_MIN_ROWS, _MIN_ROWS_OF_SPREAD = 5, 20
# USD. In a file of that many coins the largest volume or market cap is above this.
_MIN_LARGEST = 100.0
# Median of 24h_volume / mkt_cap of a file. Every day of 2021 is between 0.012 and 0.09.
_TURNOVER = (1e-6, 10.0)
# If volumes are numbers of coins, multiplying them by the price makes turnovers more similar: their spread falls to this
# fraction or less. For real volumes it doubles (at least 1.04 in samples of 20 coins, 1.8 for complete files).
_SPREAD_FALL = 0.75
# A median ratio of columns that determine one another beyond this, or below its inverse.
_FACTOR = 10.0
# Rows of a file on which ratios are measured.
_SAMPLE = 200
_OPTIONAL = ("circulating_supply", "high_24h", "low_24h")
_REMEDY = "send prices, volumes and market caps in USD"


def find_scale_errors(numbers: Mapping[str, np.ndarray], *, starts: np.ndarray) -> dict[int, FileRejectedError]:
    """Return the reason to reject each file whose numbers are on another scale.

    Args:
        numbers: price, 24h_volume, mkt_cap of the rows (USD), and circulating_supply, high_24h, low_24h where the
            files have them; NaN where empty.
        starts: the rows of file n are those from starts[n] to starts[n + 1].

    Returns:
        Errors by index of the file.
    """
    errors: dict[int, str] = {}
    for place, reason in [*_find_ratio_errors(numbers, starts), *_find_range_errors(numbers, starts)]:
        # A range error is the clearer reason, so it replaces a ratio error.
        errors[place] = reason
    return {place: FileRejectedError("implausible_scale", f"{reason}; {_REMEDY}") for place, reason in errors.items()}


def _find_range_errors(numbers: Mapping[str, np.ndarray], starts: np.ndarray) -> list[tuple[int, str]]:
    """Find columns scaled to [0, 1], and volumes and market caps that are too small for USD."""
    errors = []
    for name in _USD_COLUMNS:
        minimum, maximum = (extreme.reduceat(numbers[name], starts[:-1]) for extreme in (np.fmin, np.fmax))
        suspicious = maximum <= (1.0 if name == "price" else _MIN_LARGEST)
        for place in np.flatnonzero(suspicious).tolist():
            values = numbers[name][starts[place] : starts[place + 1]]
            known = values[~np.isnan(values)]
            low, high = float(minimum[place]), float(maximum[place])
            if len(known) < _MIN_ROWS or len(np.unique(known)) < 3:
                continue
            if (low, high) == (0.0, 1.0):
                errors.append((place, f"{name} runs from exactly 0 to exactly 1 in {len(known)} rows: it was scaled"))
            elif name != "price" and (high <= 1 or np.count_nonzero(known) >= _MIN_ROWS_OF_SPREAD):
                errors.append((place, f"the largest {name} of {len(known)} rows is {high:.6g}: it is not in USD"))
    return errors


def _find_ratio_errors(numbers: Mapping[str, np.ndarray], starts: np.ndarray) -> list[tuple[int, str]]:
    """Find files in which two columns are on different scales."""
    rows, ends = _sample(starts)
    with np.errstate(all="ignore"):
        # -inf where a cell is 0.
        logs = {name: np.log(numbers[name][rows]) for name in (*_USD_COLUMNS, *_OPTIONAL) if name in numbers}
    price, volume, cap = (logs[name] for name in _USD_COLUMNS)
    known = np.isfinite(price + volume + cap)
    errors = []
    for place, (start, end) in enumerate(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)):
        valid = np.flatnonzero(known[start:end]) + start
        reason = _describe_turnover_error(volume[valid] - cap[valid], price[valid])
        if reason:
            errors.append((place, reason))
    for name, expected, described in (
        ("circulating_supply", "mkt_cap", "mkt_cap / (price * circulating_supply)"),
        ("high_24h", "price", "price / high_24h"),
        ("low_24h", "price", "price / low_24h"),
    ):
        if name not in logs:
            continue
        ratio = logs[expected] - logs[name] - (price if expected == "mkt_cap" else 0.0)
        for place, (start, end) in enumerate(zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True)):
            valid = ratio[start:end][np.isfinite(ratio[start:end])]
            if len(valid) >= _MIN_ROWS and abs(np.median(valid)) > np.log(_FACTOR):
                errors.append(
                    (place, f"the median of {described} is {np.exp(np.median(valid)):.3g} in {len(valid)} rows")
                )
    return errors


def _describe_turnover_error(turnover: np.ndarray, price: np.ndarray) -> str | None:
    """Return what is wrong with the turnovers (ln) of one file, else None."""
    if len(turnover) < _MIN_ROWS:
        return None
    # Half the time of np.median.
    median = float(np.exp(np.partition(turnover, len(turnover) // 2)[len(turnover) // 2]))
    if not _TURNOVER[0] <= median <= _TURNOVER[1]:
        low, high = _TURNOVER
        reason = (
            f"the median of 24h_volume / mkt_cap is {median:.3g} in {len(turnover)} rows, not between {low} and {high}"
        )
        return f"{reason}: one of the two is on another scale, such as millions"
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
    """Return rows spread evenly over each file, at most _SAMPLE per file, and where each file begins in them."""
    sizes = np.diff(starts)
    taken = np.minimum(sizes, _SAMPLE)
    ends = np.append(0, np.cumsum(taken))
    nth = np.arange(ends[-1]) - np.repeat(ends[:-1], taken)
    return np.repeat(starts[:-1], taken) + nth * np.repeat(sizes, taken) // np.repeat(taken, taken), ends
