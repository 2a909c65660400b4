"""Single-coin outliers: a price or volume far from the coin's own previous days while the market is not.

File reports and the cleaning of tables call the same function. Changes of all coins together are scale changes or market
moves, and belong in `scale_changes.py` and the monitor.
"""

from dataclasses import dataclass

import numpy as np

# (level in USD, factor): a value is an outlier beyond this factor of the coin's usual value; values below the level count as
# the level. Volumes of small coins change by a factor of 50 far more often than prices do, and whether $50 or $5,000 were
# traded does not indicate an error of the feed: docs/modelling.md has the rates.
OUTLIER_BOUNDS = {"price": ((0.0, 50.0),), "24h_volume": ((50_000.0, 150.0), (1.0, 1e5))}
# It is also beyond this many median absolute deviations, of the day's coins and of the coin's own days before.
OUTLIER_DEVIATIONS = 12.0
# With fewer coins on a day, a change of one coin cannot be distinguished from a market move.
MIN_COINS = 10


@dataclass(frozen=True)
class OutlierResult:
    """Outliers among n values.

    Attributes:
        outlier: Whether each value is an outlier, (n,) bool.
        usual: Usual value of the coin in USD, (n,); NaN where a value was not tested.
    """

    outlier: np.ndarray
    usual: np.ndarray


def find_outliers(
    coins: np.ndarray, days: np.ndarray, values: np.ndarray, *, column: str, since: int | None = None
) -> OutlierResult:
    """Find outliers among the values of each coin.

    A value is compared with the median of the coin's known values on the 5 days before. The return to normal is therefore no
    outlier, and a new level is accepted from its fourth day on. Outliers count as values here, so a decision depends on 5 days
    and never on an earlier decision. Only the day itself and earlier days are used.

    Args:
        coins: Codes of the coins, (n,), sorted by (coin, day), one value a (coin, day).
        days: Days since 1970, (n,), int64.
        values: Prices or volumes in USD, (n,), finite; NaN where unknown. Values of 0 or less are neither tested nor compared with.
        column: "price" or "24h_volume".
        since: First day whose values are tested; default: the first one.

    Returns:
        Outliers and usual values.
    """
    since = int(days.min(initial=0)) if since is None else since
    # One type of numbers: another would compile the loops again.
    coins, days = (np.ascontiguousarray(codes, dtype=np.int64) for codes in (coins, days))
    results = [
        _test_values(coins, days, values, level=level, factor=factor, since=since)
        for level, factor in OUTLIER_BOUNDS[column]
    ]
    # The last level is the lowest, so its usual value is closest to the received values.
    return OutlierResult(np.logical_or.reduce([result.outlier for result in results]), results[-1].usual)


def _test_values(
    coins: np.ndarray, days: np.ndarray, values: np.ndarray, *, level: float, factor: float, since: int
) -> OutlierResult:
    """Test values by one level and factor."""
    # numba takes long to import, and most processes do not need it.
    from cryptoliq_assets.ingestion.quality.outliers.kernels import compare_with_past

    with np.errstate(divide="ignore", invalid="ignore"):
        levels = np.where(values > 0, np.log(np.maximum(values, level)), np.nan)
    deviations, own_spread = compare_with_past(coins, days, levels, since)
    centre, spread, count = _day_statistics(days, deviations)
    bound = np.maximum(np.log(factor), OUTLIER_DEVIATIONS * np.fmax(spread, own_spread))
    # The factor applies to the coin's own past as well, not only relative to a market that moved.
    far = np.minimum(np.abs(deviations), np.abs(deviations - centre)) > bound
    return OutlierResult(far & (count >= MIN_COINS), np.exp(levels - deviations))


def _day_statistics(days: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return median, median absolute deviation and count of the known values of each row's day, (n,) each."""
    from cryptoliq_assets.ingestion.quality.outliers.kernels import median_by_day

    if not len(days):
        return np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64)
    place = days - days.min()
    size = int(place.max()) + 1
    centre, count = median_by_day(place, values, size)
    spread, _ = median_by_day(place, np.abs(values - centre[place]), size)
    return centre[place], spread[place], count[place]
