"""The engineered features: meaning, unit, sources, how far back each one reads, and whether models see it.

To add a mean, deviation, lag or exponential mean of a base series, add one entry to `FEATURES` (`mean_feature("turnover_log", 14)`,
`std_feature`, `lag_feature`, `ewm_feature`); windows, lookback and stored column follow from it. For any other feature, also add its computation to `COMPUTATIONS` in `features/computations.py`. Keys and flags belong in `schemas/features.py`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from cryptoliq_assets.core import HISTORY_DAYS
from cryptoliq_assets.schemas.first_version import FIRST_VERSION_FEATURES
from cryptoliq_assets.schemas.windows import (
    BASE_SERIES,
    HALF_LIVES,
    LAGS,
    LEVEL_STEP,
    LEVELS,
    LONGEST_HALF_LIFE,
    MEAN_WINDOWS,
    N_LAGGED_SERIES,
    RELATIVE_MEANS,
    RELATIVE_STDS,
    RETURN_DAYS,
    STD_WINDOWS,
    Statistic,
    Window,
    relative_name,
)


@dataclass(frozen=True)
class Feature:
    """A column of `engineered_features`.

    Args:
        name: Name of the column.
        meaning: One sentence for the documentation.
        unit: Unit of the values.
        sources: Columns of `cleaned_snapshots` that the value depends on.
        market_wide: Whether it uses other coins; those values come from the previous snapshot.
        for_models: Whether models may use it.
        dated: Whether its value reveals the date: all coins share a trend, or the table is younger than the window. Such a
            feature is shown to people and used by baselines and by models of earlier versions, but is not an input of a new
            model.
        looks_back: Days before the row's own day whose rows of the same coin are read; 0 for a feature of the row alone.
        window: The window that computes it; None for a feature with an entry in `COMPUTATIONS`.
        no_history_value: Value of a row without history, for a feature of models that looks back and has no window.

    Raises:
        ValueError: The declaration is incomplete.
    """

    name: str
    meaning: str
    unit: str
    sources: tuple[str, ...]
    market_wide: bool = False
    for_models: bool = True
    dated: bool = False
    looks_back: int = 0
    window: Window | None = None
    no_history_value: float | None = None

    def __post_init__(self) -> None:
        """Reject declarations that could not be computed for every row."""
        if not 0 <= self.looks_back < HISTORY_DAYS:
            raise ValueError(
                f"feature {self.name!r} looks back {self.looks_back} days, but only {HISTORY_DAYS - 1} days before a row are read; "
                "shorten it, or raise HISTORY_DAYS in cryptoliq_assets/core/calendar.py"
            )
        if self.looks_back and self.for_models and self.window is None and self.no_history_value is None:
            raise ValueError(
                f"feature {self.name!r} looks back and does not declare its value for a row without history: add "
                "no_history_value=… to its entry in cryptoliq_assets/schemas/feature_registry.py"
            )

    @property
    def added(self) -> bool:
        """Whether month files of earlier versions may lack it."""
        return self.name not in FIRST_VERSION_FEATURES


def window_feature(window: Window, meaning: str, *, market_wide: bool = False, dated: bool = False) -> Feature:
    """Declare a feature that a window kernel computes; unit and sources are those of its base series.

    Args:
        window: The window.
        meaning: Description of the feature.
        market_wide: Whether every coin of a day has the same value.
        dated: As in `Feature`.
    """
    _, unit, sources = BASE_SERIES[window.base]
    return Feature(
        window.name,
        meaning,
        unit,
        sources,
        market_wide=market_wide,
        dated=dated,
        looks_back=window.looks_back,
        window=window,
    )


def mean_feature(base: str, days: int, *, dated: bool = False) -> Feature:
    """Declare the mean of a base series over calendar days.

    Args:
        base: Key of BASE_SERIES.
        days: Length of the window.
        dated: As in `Feature`.

    Example:
        >>> feature = mean_feature("turnover_log", 14)
        >>> feature.name, feature.looks_back
        ('turnover_log_mean_14d', 13)
    """
    window = Window("mean", base, days)
    return window_feature(window, f"Mean {BASE_SERIES[base][0]} over {days} calendar days.", dated=dated)


def std_feature(base: str, days: int, *, dated: bool = False) -> Feature:
    """Declare the sample deviation of a base series over calendar days; see `mean_feature`."""
    window = Window("std", base, days)
    return window_feature(window, f"Sample deviation of the {BASE_SERIES[base][0]} over {days} days.", dated=dated)


def lag_feature(base: str, days: int) -> Feature:
    """Declare the value of a base series some calendar days before."""
    window = Window("lag", base, days)
    return window_feature(window, f"The {BASE_SERIES[base][0]} {days} calendar days before.")


def ewm_feature(base: str, days: int, *, dated: bool = False) -> Feature:
    """Declare the exponential mean of a base series with a half-life in days; see `mean_feature`."""
    window = Window("ewm", base, days)
    return window_feature(window, f"Exponential mean of the {BASE_SERIES[base][0]}, half-life {days} d.", dated=dated)


def _base_features() -> list[Feature]:
    """Each base series, and its windows."""
    features = []
    for index, (base, (meaning, unit, sources)) in enumerate(BASE_SERIES.items()):
        features.append(Feature(base, f"Today's {meaning}.", unit, sources))
        features += [
            # Models subtract the 7-day mean from the 3- and 30-day means of a level.
            mean_feature(base, days, dated=days in (7, 90) or (days == 30 and base not in LEVELS))
            for days in MEAN_WINDOWS
        ]
        features += [std_feature(base, days, dated=days in RELATIVE_STDS) for days in STD_WINDOWS]
        if index < N_LAGGED_SERIES:
            features += [lag_feature(base, days) for days in LAGS]
            features += [ewm_feature(base, days, dated=days > LONGEST_HALF_LIFE) for days in HALF_LIVES]
    return features


def _relative_features() -> list[Feature]:
    """The base series and levels relative to the market."""
    features = []
    for base, (meaning, unit, sources) in BASE_SERIES.items():
        today = f"Today's {meaning} minus the typical coin's in the previous snapshot."
        name, meaning = relative_name(base), f"{meaning} minus the typical coin's of the day"
        features.append(Feature(name, today, unit, sources, market_wide=True, for_models=False))
        features += [
            window_feature(
                Window("mean", base, days, relative=True),
                f"Mean {meaning} over {days} calendar days.",
                market_wide=True,
            )
            for days in RELATIVE_MEANS
        ]
        features += [
            window_feature(
                Window("std", base, days, relative=True),
                f"Sample deviation of the {meaning} over {days} days.",
                market_wide=True,
            )
            for days in RELATIVE_STDS
            if base in LEVELS
        ]
    for name, meaning, sources in (("price_log", "price", ("price",)), ("mkt_cap_log", "market cap", ("mkt_cap",))):
        meaning = (
            f"ln of the {meaning} minus that of the typical coin in the previous snapshot, in steps of {LEVEL_STEP:g}."
        )
        features.append(Feature(relative_name(name), meaning, "ln of a ratio", sources, market_wide=True))
    return features


def _market_feature(name: str, meaning: str, unit: str, *sources: str) -> Feature:
    return Feature(name, meaning, unit, sources, market_wide=True)


FEATURES: tuple[Feature, ...] = (
    *_base_features(),
    Feature("change_1h", "Price change over the last hour.", "percent", ("1h",)),
    Feature("change_24h", "Log return of 24 hours, clipped to ±2.", "log return", ("24h",)),
    Feature("change_7d", "Log return of 7 days, clipped to ±3.", "log return", ("7d",)),
    *(
        Feature(
            f"return_{days}d",
            f"Log return since {days} calendar day(s) before, clipped to ±3.",
            "log return",
            ("price",),
            looks_back=days,
            no_history_value=float("nan"),
        )
        for days in RETURN_DAYS
    ),
    Feature("price_log", "ln of the price.", "ln USD", ("price",), dated=True),
    Feature("mkt_cap_log", "ln of the market cap.", "ln USD", ("mkt_cap",), dated=True),
    Feature(
        "days_seen_90d",
        "Days with a row among the last 90.",
        "days",
        ("date",),
        dated=True,
        looks_back=HISTORY_DAYS - 1,
        no_history_value=1.0,
    ),
    *_relative_features(),
    Feature(
        "listing_age_90d",
        "Days with a row among the last 90; 90 for a coin seen about as often as the median coin of the previous snapshot.",
        "days",
        ("date",),
        market_wide=True,
        looks_back=HISTORY_DAYS - 1,
        no_history_value=1.0,
    ),
    Feature("weekday", "Day of the week, Monday 0.", "day", ("date",)),
    _market_feature(
        "mkt_cap_rank_log",
        "ln of the market cap's rank among the caps of the previous snapshot.",
        "ln of a rank",
        "mkt_cap",
    ),
    _market_feature(
        "market_score_median", "Median score of the previous snapshot.", "score", "24h_volume", "24h", "7d"
    ),
    _market_feature(
        "market_volatility_log_median",
        "Median ln volatility of the previous snapshot.",
        "ln of a fraction",
        "24h",
        "7d",
    ),
    _market_feature("market_change_24h_mean", "Mean log return in the previous snapshot.", "log return", "24h"),
    _market_feature(
        "market_volume_log_vs_7d",
        "Mean ln volume of the previous snapshot minus its 7-day mean.",
        "ln of a ratio",
        "24h_volume",
    ),
    # Columns of the contract's export. Monotone functions or levels in dollars, they add nothing to the features above.
    Feature("liquidity_ratio", "24h_volume / mkt_cap.", "ratio", ("24h_volume", "mkt_cap"), for_models=False),
    Feature("price_sqrt", "Square root of the price.", "√USD", ("price",), for_models=False),
    Feature("price_ma_7d", "Mean price over 7 calendar days.", "USD", ("price",), for_models=False, looks_back=6),
)


def check_features(features: Iterable[Feature]) -> None:
    """Raise ValueError if two features have one name."""
    names: set[str] = set()
    for feature in features:
        if feature.name in names:
            raise ValueError(
                f"two features are named {feature.name!r}: rename one entry of FEATURES in feature_registry.py"
            )
        names.add(feature.name)


check_features(FEATURES)

FEATURE_NAMES = tuple(feature.name for feature in FEATURES)
MODEL_FEATURES = tuple(feature.name for feature in FEATURES if feature.for_models)
# Features that month files of earlier versions may lack.
ADDED_FEATURES = tuple(feature.name for feature in FEATURES if feature.added)
# Lengths of the calendar windows, in days, and of the history that a row reads.
WINDOW_DAYS = tuple(
    sorted({HISTORY_DAYS} | {f.window.days for f in FEATURES if f.window and f.window.statistic in ("mean", "std")})
)


def windows_of(base: str, statistic: Statistic, *, relative: bool = False) -> tuple[int, ...]:
    """Return the days of the registered windows of a base series, in the order of the registry.

    Args:
        base: Key of BASE_SERIES.
        statistic: Statistic of the windows.
        relative: Whether the windows are relative to the market.
    """
    windows = (feature.window for feature in FEATURES if feature.window)
    return tuple(w.days for w in windows if (w.base, w.statistic, w.relative) == (base, statistic, relative))
