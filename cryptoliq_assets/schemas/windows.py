"""Base series of the features, and the calendar windows that follow them.

Add a series or a window length here that several features share. One feature belongs in `schemas/feature_registry.py`.
"""

from dataclasses import dataclass
from typing import Literal

from cryptoliq_assets.core import HISTORY_DAYS

# Calendar windows, in days, of every base series; no window is longer than the history that is read. A window of one series is
# an entry of FEATURES in `schemas/feature_registry.py` instead, and needs no line here.
MEAN_WINDOWS = (3, 7, 30, 90)
STD_WINDOWS = (7, 30)
LAGS = (1, 2, 3, 6)
# Half-lives of the exponential means, in days; the weights end at 90 days.
HALF_LIVES = (2, 5, 15)
# Half-lives up to this one decay within the windows that all coins fill soon.
LONGEST_HALF_LIFE = 5

# Calendar days over which the price's own change is taken. The 7-day change that enters the score of D + h is partly
# known on D: it begins with the change since D - (7 - h). So 1 to 6 days serve horizons of 6 to 1.
RETURN_DAYS = (1, 2, 3, 4, 5, 6)

# Base series, each followed through the windows. The first N_LAGGED_SERIES also get lags and exponential means.
BASE_SERIES = {
    "liquidity_score": ("liquidity score", "score", ("24h_volume", "24h", "7d")),
    "volume_log": ("ln of the value traded in 24 hours", "ln USD", ("24h_volume",)),
    "volatility_log": ("ln of the daily volatility", "ln of a fraction", ("24h", "7d")),
    "turnover_log": ("ln of turnover, 24h_volume / mkt_cap", "ln of a ratio", ("24h_volume", "mkt_cap")),
    "change_24h_abs": ("size of the log return of 24 hours", "log return", ("24h",)),
}
N_LAGGED_SERIES = 3

# Base series that are levels; the size of a return is not one.
LEVELS = tuple(base for base in BASE_SERIES if base != "change_24h_abs")

# The same series relative to the market: each day's value minus that of the typical coin (`MarketSnapshotStats.levels`), which
# removes a trend that all coins share. Followed through these windows; deviations of levels only.
RELATIVE_MEANS = (7,)
RELATIVE_STDS = (30,)
# Numbers of a row that are relative to the typical coin as well.
RELATIVE_LEVELS = ("price_log", "mkt_cap_log")
# In steps of this many ln units: listings move the typical coin by less, which would be a trend shared by all coins.
LEVEL_STEP = 1.5

Statistic = Literal["mean", "std", "lag", "ewm"]


def relative_name(name: str) -> str:
    """Return the name of a quantity relative to the market.

    Example:
        >>> relative_name("price_log")
        'price_log_relative'
    """
    return f"{name}_relative"


@dataclass(frozen=True)
class Window:
    """A statistic of a base series over calendar days, computed by the kernels of `features/rolling_windows.py`.

    Args:
        statistic: "mean", "std" (sample deviation), "lag" (value `days` before) or "ewm" (exponential mean, half-life `days`).
        base: Name in `BASE_SERIES`.
        days: Length in calendar days.
        relative: Whether the series is taken relative to the market; means and deviations only.

    Raises:
        ValueError: No kernel computes the window.
    """

    statistic: Statistic
    base: str
    days: int
    relative: bool = False

    def __post_init__(self) -> None:
        """Reject windows that no kernel computes."""
        if self.base not in BASE_SERIES:
            raise ValueError(
                f"unknown base series {self.base!r}; add it to BASE_SERIES or use one of {', '.join(BASE_SERIES)}"
            )
        shortest = 2 if self.statistic == "std" else 1
        if self.days < shortest:
            raise ValueError(f"a {self.statistic} over {self.days} days does not exist; use at least {shortest}")
        if self.relative and self.statistic not in ("mean", "std"):
            raise ValueError(f"a {self.statistic} relative to the market is not computed; use a mean or std")

    @property
    def name(self) -> str:
        """Name of the column."""
        return f"{relative_name(self.base) if self.relative else self.base}_{self.statistic}_{self.days}d"

    @property
    def looks_back(self) -> int:
        """Days before the row that are read."""
        return {"mean": self.days - 1, "std": self.days - 1, "lag": self.days, "ewm": HISTORY_DAYS - 1}[self.statistic]
