"""The engineered features: what each one means, its unit, what it is made from, and whether models see it.

To add a feature: declare it here, compute it in `features/engineering.py`; schema, lineage, models and documentation
follow. What is not a feature (keys, flags) is declared in `schemas/features.py`.
"""

from dataclasses import dataclass

# Calendar windows, in days; the longest is the history that any feature may reach.
MEAN_WINDOWS = (3, 7, 30, 90)
STD_WINDOWS = (7, 30)
LAGS = (1, 2, 3, 6)
# Half-lives of the exponential means, in days; the weights end at 90 days.
HALF_LIVES = (2, 5, 15)
# Half-lives up to this one forget within the windows that all coins fill soon.
LONGEST_HALF_LIFE = 5

# Calendar days over which the price's own change is taken. The 7-day change that enters the score of D + h is partly
# known on D: it begins with the change since D - (7 - h). So 1 to 6 days serve horizons of 6 to 1.
RETURN_DAYS = (1, 2, 3, 4, 5, 6)

# Base quantities, each followed through the windows. The first LAGGED of them also get lags and exponential means.
BASE_SERIES = {
    "liquidity_score": ("liquidity score", "score", ("24h_volume", "24h", "7d")),
    "volume_log": ("ln of the value traded in 24 hours", "ln USD", ("24h_volume",)),
    "volatility_log": ("ln of the daily volatility", "ln of a fraction", ("24h", "7d")),
    "turnover_log": ("ln of turnover, 24h_volume / mkt_cap", "ln of a ratio", ("24h_volume", "mkt_cap")),
    "change_24h_abs": ("size of the log return of 24 hours", "log return", ("24h",)),
}
N_LAGGED_SERIES = 3

# Bases that are levels; the size of a return is none.
LEVELS = tuple(base for base in BASE_SERIES if base != "change_24h_abs")

# The same bases relative to the market: each day's value less that of the usual coin (`Market.levels`), so that a trend that all
# coins share is in none of them. Followed through these windows; deviations of levels alone.
RELATIVE_MEANS = (7,)
RELATIVE_STDS = (30,)
# Numbers of a row that are relative to the usual coin as well.
RELATIVE_LEVELS = ("price_log", "mkt_cap_log")
# In steps of this many ln units: listings move the usual coin by less, and that would be a trend shared by all.
LEVEL_STEP = 1.5


def relative_name(name: str) -> str:
    """Name of a quantity relative to the market."""
    return f"{name}_relative"


@dataclass(frozen=True)
class Feature:
    """A column of `engineered_features`; `market_wide` ones come from the snapshot before.

    dated: a function of the date for most coins wherever all of them share a trend, or the table is younger than the
    window; kept for people, for baselines and for models of earlier versions, and no input of a new one.
    """

    name: str
    meaning: str
    unit: str
    sources: tuple[str, ...]
    market_wide: bool = False
    for_models: bool = True
    dated: bool = False


def _windowed() -> list[Feature]:
    features = []
    for index, (base, (meaning, unit, sources)) in enumerate(BASE_SERIES.items()):
        features.append(Feature(base, f"Today's {meaning}.", unit, sources))
        features += [
            Feature(
                f"{base}_mean_{days}d",
                f"Mean {meaning} over {days} calendar days.",
                unit,
                sources,
                # Learners count the 3- and 30-day means of a level from its 7-day mean.
                dated=days in (7, 90) or (days == 30 and base not in LEVELS),
            )
            for days in MEAN_WINDOWS
        ]
        features += [
            Feature(
                f"{base}_std_{days}d",
                f"Sample deviation of the {meaning} over {days} days.",
                unit,
                sources,
                dated=days in RELATIVE_STDS,
            )
            for days in STD_WINDOWS
        ]
        if index < N_LAGGED_SERIES:
            features += [
                Feature(f"{base}_lag_{days}d", f"The {meaning} {days} calendar days before.", unit, sources)
                for days in LAGS
            ]
            features += [
                Feature(
                    f"{base}_ewm_{days}d",
                    f"Exponential mean of the {meaning}, half-life {days} d.",
                    unit,
                    sources,
                    dated=days > LONGEST_HALF_LIFE,
                )
                for days in HALF_LIVES
            ]
    return features


def _relative_to_market() -> list[Feature]:
    features = []
    for base, (meaning, unit, sources) in BASE_SERIES.items():
        today = f"Today's {meaning} less the usual coin's in the snapshot before."
        name, meaning = relative_name(base), f"{meaning} less the usual coin's of the day"
        features.append(Feature(name, today, unit, sources, market_wide=True, for_models=False))
        features += [
            Feature(
                f"{name}_mean_{days}d", f"Mean {meaning} over {days} calendar days.", unit, sources, market_wide=True
            )
            for days in RELATIVE_MEANS
        ]
        features += [
            Feature(
                f"{name}_std_{days}d",
                f"Sample deviation of the {meaning} over {days} days.",
                unit,
                sources,
                market_wide=True,
            )
            for days in RELATIVE_STDS
            if base in LEVELS
        ]
    for name, meaning, sources in (("price_log", "price", ("price",)), ("mkt_cap_log", "market cap", ("mkt_cap",))):
        meaning = f"ln of the {meaning} less that of the usual coin in the snapshot before, in steps of {LEVEL_STEP:g}."
        features.append(Feature(relative_name(name), meaning, "ln of a ratio", sources, market_wide=True))
    return features


FEATURES: tuple[Feature, ...] = (
    *_windowed(),
    Feature("change_1h", "Price change over the last hour.", "percent", ("1h",)),
    Feature("change_24h", "Log return of 24 hours, clipped to ±2.", "log return", ("24h",)),
    Feature("change_7d", "Log return of 7 days, clipped to ±3.", "log return", ("7d",)),
    *(
        Feature(
            f"return_{days}d",
            f"Log return since {days} calendar day(s) before, clipped to ±3.",
            "log return",
            ("price",),
        )
        for days in RETURN_DAYS
    ),
    Feature("price_log", "ln of the price.", "ln USD", ("price",), dated=True),
    Feature("mkt_cap_log", "ln of the market cap.", "ln USD", ("mkt_cap",), dated=True),
    Feature("days_seen_90d", "Days seen in the last 90.", "days", ("date",), dated=True),
    *_relative_to_market(),
    Feature(
        "listing_age_90d",
        "Days seen in the last 90; 90 for a coin seen about as often as the median coin of the snapshot before.",
        "days",
        ("date",),
        market_wide=True,
    ),
    Feature("weekday", "Day of the week, Monday 0.", "day", ("date",)),
    Feature(
        "mkt_cap_rank_log",
        "ln of the rank that the market cap takes among the caps of the snapshot before.",
        "ln of a rank",
        ("mkt_cap",),
        market_wide=True,
    ),
    Feature(
        "market_score_median",
        "Median score of the snapshot before.",
        "score",
        ("24h_volume", "24h", "7d"),
        market_wide=True,
    ),
    Feature(
        "market_volatility_log_median",
        "Median ln volatility of the snapshot before.",
        "ln of a fraction",
        ("24h", "7d"),
        market_wide=True,
    ),
    Feature(
        "market_change_24h_mean", "Mean log return in the snapshot before.", "log return", ("24h",), market_wide=True
    ),
    Feature(
        "market_volume_log_vs_7d",
        "Mean ln volume of the snapshot before against its 7-day mean.",
        "ln of a ratio",
        ("24h_volume",),
        market_wide=True,
    ),
    # The contract's own; monotone or levels in dollars, they tell a model nothing that the ones above do not.
    Feature("liquidity_ratio", "24h_volume / mkt_cap.", "ratio", ("24h_volume", "mkt_cap"), for_models=False),
    Feature("price_sqrt", "Square root of the price.", "√USD", ("price",), for_models=False),
    Feature("price_ma_7d", "Mean price over 7 calendar days.", "USD", ("price",), for_models=False),
)

FEATURE_NAMES = tuple(feature.name for feature in FEATURES)
MODEL_FEATURES = tuple(feature.name for feature in FEATURES if feature.for_models)
# Features that months of earlier versions do not have.
ADDED_FEATURES = (*(feature.name for feature in _relative_to_market()), "listing_age_90d")
