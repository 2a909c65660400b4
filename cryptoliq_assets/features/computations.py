"""The computation of every feature: the one function that batch asset, service and dashboard share.

Add an entry to `COMPUTATIONS` for a feature that no window kernel computes, and declare it in `schemas/feature_registry.py`.
Statistics of the market belong in `cross_section.py`, window kernels in `rolling_windows.py`.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cryptoliq_assets.core import FloatArray, IntArray
from cryptoliq_assets.features.cross_section import MarketSnapshotStats
from cryptoliq_assets.features.history_index import WindowQuery, calendar_lags, calendar_mean
from cryptoliq_assets.features.rolling_windows import calendar_windows, relative_windows
from cryptoliq_assets.features.row_values import RowValues, SortedHistory
from cryptoliq_assets.labels import CLIP_7D
from cryptoliq_assets.schemas import (
    BASE_SERIES,
    FEATURE_NAMES,
    FEATURES,
    LEVEL_STEP,
    RELATIVE_LEVELS,
    RETURN_DAYS,
    Feature,
    relative_name,
)


@dataclass(frozen=True)
class FeatureInputs:
    """All that the features of m rows are computed from.

    Args:
        query: Coins and days of the m rows, and the rows of `past` that each one sees.
        today: What the m rows state on their own.
        past: The stored rows.
        market: Daily statistics of the market.
        days_seen: (m,) days with a row among the last 90.
    """

    query: WindowQuery
    today: RowValues
    past: SortedHistory
    market: MarketSnapshotStats
    days_seen: FloatArray

    @cached_property
    def snapshot(self) -> IntArray:
        """(m,) index of the market's snapshot before each row, -1 where none is recent enough."""
        return self.market.snapshot_before(self.today.days)

    def of_market(self, values: FloatArray) -> FloatArray:
        """Return (m,) daily values of the market at the snapshot before each row; NaN where there is none."""
        return np.where(self.snapshot >= 0, values[self.snapshot] if len(values) else np.nan, np.nan)

    @cached_property
    def levels_before(self) -> FloatArray:
        """(m, len(RELATIVE_LEVELS)) levels of the typical coin in the previous snapshot."""
        return self.market.levels_before(RELATIVE_LEVELS, self.today.days)

    @cached_property
    def bases_before(self) -> FloatArray:
        """(m, len(BASE_SERIES)) base series minus the typical coin's in the previous snapshot."""
        return self.today.bases - self.market.levels_before(list(BASE_SERIES), self.today.days)

    @cached_property
    def past_returns(self) -> FloatArray:
        """(len(RETURN_DAYS), m) clipped log returns since some days before."""
        query, past = self.query, self.past
        prices = calendar_lags(query.days, query.first, query.last, past.days, past.price, np.array(RETURN_DAYS))
        return np.asarray(np.clip(np.log(self.today.price) - np.log(prices), -CLIP_7D, CLIP_7D))

    def price_mean(self, days: int) -> FloatArray:
        """Return (m,) mean prices, USD, over calendar days."""
        query, past = self.query, self.past
        return np.asarray(
            calendar_mean(query.days, query.first, query.last, self.today.price, past.days, past.price, days)
        )


Computation = Callable[[FeatureInputs], FloatArray]


def _base(place: int) -> Computation:
    return lambda inputs: inputs.today.bases[:, place]


def _relative_base(place: int) -> Computation:
    return lambda inputs: inputs.bases_before[:, place]


def _return(place: int) -> Computation:
    return lambda inputs: inputs.past_returns[place]


def _relative_level(values: Computation, place: int) -> Computation:
    return lambda inputs: LEVEL_STEP * np.round((values(inputs) - inputs.levels_before[:, place]) / LEVEL_STEP)


_LEVELS: dict[str, Computation] = {
    "price_log": lambda inputs: np.log(inputs.today.price),
    "mkt_cap_log": lambda inputs: np.log(inputs.today.mkt_cap),
}
# Feature → its (m,) values. Features that have a window are computed by the kernels and have no entry.
COMPUTATIONS: dict[str, Computation] = {
    **{base: _base(place) for place, base in enumerate(BASE_SERIES)},
    **{relative_name(base): _relative_base(place) for place, base in enumerate(BASE_SERIES)},
    **{f"return_{days}d": _return(place) for place, days in enumerate(RETURN_DAYS)},
    **_LEVELS,
    **{relative_name(name): _relative_level(_LEVELS[name], place) for place, name in enumerate(RELATIVE_LEVELS)},
    "change_1h": lambda inputs: inputs.today.change_1h,
    "change_24h": lambda inputs: inputs.today.change_24h,
    "change_7d": lambda inputs: inputs.today.change_7d,
    "days_seen_90d": lambda inputs: inputs.days_seen,
    "listing_age_90d": lambda inputs: inputs.market.listing_age(inputs.today.days, inputs.days_seen),
    # Day 0 of the epoch was a Thursday.
    "weekday": lambda inputs: ((inputs.today.days + 3) % 7).astype(float),
    "mkt_cap_rank_log": lambda inputs: inputs.market.rank_log(inputs.today.days, inputs.today.mkt_cap),
    "market_score_median": lambda inputs: inputs.of_market(inputs.market.score_median),
    "market_volatility_log_median": lambda inputs: inputs.of_market(inputs.market.volatility_log_median),
    "market_change_24h_mean": lambda inputs: inputs.of_market(inputs.market.change_24h_mean),
    "market_volume_log_vs_7d": lambda inputs: inputs.of_market(inputs.market.volume_log_vs_7d),
    "liquidity_ratio": lambda inputs: inputs.today.volume / inputs.today.mkt_cap,
    "price_sqrt": lambda inputs: np.sqrt(inputs.today.price),
    "price_ma_7d": lambda inputs: inputs.price_mean(7),
}


def check_computations(features: Iterable[Feature], computations: Collection[str]) -> None:
    """Compare declared features with their computations.

    Args:
        features: Declared features.
        computations: Names of the features that have a computation.

    Raises:
        ValueError: A feature has no computation, or a computation no feature; the message contains the line to add.
    """
    declared = {feature.name: feature for feature in features}
    for name, feature in declared.items():
        if feature.window is None and name not in computations:
            raise ValueError(
                f'feature {name!r} is declared and has no computation: add the line `"{name}": lambda inputs: …,` to '
                "COMPUTATIONS in cryptoliq_assets/features/computations.py"
            )
        if feature.window is not None and (feature.window.name != name or name in computations):
            raise ValueError(
                f"feature {name!r} has the window {feature.window.name}: name it so, and leave it out of COMPUTATIONS in "
                "cryptoliq_assets/features/computations.py"
            )
    for name in computations:
        if name not in declared:
            raise ValueError(
                f'{name!r} is computed and not declared: add the line `Feature("{name}", "Meaning.", "unit", '
                '("source",)),` to FEATURES in cryptoliq_assets/schemas/feature_registry.py'
            )


check_computations(FEATURES, COMPUTATIONS)


def compute_features(
    query: WindowQuery, *, today: RowValues, past: SortedHistory, market: MarketSnapshotStats
) -> dict[str, FloatArray]:
    """Compute the features of m rows.

    Args:
        query: Coins and days of the rows, and the rows of `past` that each one sees.
        today: What the rows state on their own.
        past: The stored rows that windows read.
        market: Daily statistics of the market; a row sees the snapshot before it.

    Returns:
        (m,) float64 by name, in the order of FEATURE_NAMES.
    """
    windows = calendar_windows(query, today.bases, days=past.days, bases=past.bases)
    inputs = FeatureInputs(query, today, past, market, windows.days_seen)
    columns: Mapping[str, FloatArray] = {
        **windows.columns,
        **relative_windows(query, inputs.bases_before, days=past.days, bases=past.relative),
        **{name: computation(inputs) for name, computation in COMPUTATIONS.items()},
    }
    return {name: columns[name] for name in FEATURE_NAMES}
