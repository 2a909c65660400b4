"""Market moves and volume level shifts, from the metrics of the newest snapshot and of those before it.

Add what may be the market's own behaviour and not a defect of the feed; defects belong in `faults`.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from cryptoliq_assets.core import Settings, robust_deviation, robust_z, weekday_effects

# A step must also exceed this many of the usual deviations of a day.
_STEP_DEVIATIONS = 3.0
# Days for which a move explains that volumes fall back.
_ECHO_DAYS = 3


def market_moves(metrics: pd.DataFrame, settings: Settings) -> dict[str, float]:
    """Return robust z-scores of the newest snapshot.

    Args:
        metrics: See `measure_feed`.
        settings: Days that define what is usual.

    Returns:
        Z-scores of the median price change, the volume change (weekday adjusted) and the change of volatility, each against
        the days before it; NaN if too little is known.
    """
    volume, _ = _adjusted_volume(metrics, last=1)
    days = metrics.index.to_series().diff().dt.days.to_numpy()
    # A change over several days is not a daily change.
    volatility = np.where(days == 1, metrics["volatility"].diff(), np.nan)
    series = {"price": metrics["price"].to_numpy(), "volume": volume, "volatility": volatility}
    recent = metrics.index[:-1] >= metrics.index[-1] - pd.Timedelta(days=settings.feed.baseline_days)
    return {name: robust_z(values[-1], values[:-1][recent]) for name, values in series.items()}


def describe_move(z_scores: Mapping[str, float], settings: Settings) -> str | None:
    """Return a message if at least two of price, volume and volatility moved beyond the limit.

    Args:
        z_scores: See `market_moves`.
        settings: The limit.
    """
    beyond = [name for name, z in z_scores.items() if abs(z) > settings.feed.market_move_z]
    if len(beyond) < 2:
        return None
    moves = ", ".join(f"{name} by {z_scores[name]:+.1f}" for name in beyond)
    return f"the market moved, in standard deviations of the last {settings.feed.baseline_days} days: {moves}"


def follows_move(metrics: pd.DataFrame, settings: Settings) -> bool:
    """Return whether the market moved on one of the last three days before the newest snapshot.

    Each day is compared with its own past.

    Args:
        metrics: See `measure_feed`.
        settings: The limit.
    """
    echo = metrics.index >= metrics.index[-1] - pd.Timedelta(days=_ECHO_DAYS)
    days = metrics.index[echo][:-1]
    return any(describe_move(market_moves(metrics.loc[:day], settings), settings) for day in days)


def find_volume_step(metrics: pd.DataFrame, settings: Settings) -> tuple[str | None, dict[str, Any]]:
    """Return a message if volumes of the two newest of three consecutive days are both below the first.

    Args:
        metrics: See `measure_feed`.
        settings: The fraction that is a step.

    Returns:
        The message, None if there is no step; and the figures.
    """
    adjusted, past = _adjusted_volume(metrics, last=2)
    days = metrics.index[-3:]
    if len(days) < 3 or (days[-1] - days[0]).days != 2 or not np.isfinite(adjusted[-2:]).all():
        return None, {"first": None, "second": None}
    steps = np.cumsum(adjusted[-2:])
    deviation = robust_deviation(past)
    first, second = (float(math.expm1(step)) for step in steps)
    usual = float(deviation) if math.isfinite(deviation) else None
    figures = {"first": first, "second": second, "usual_deviation": usual}
    limit = min(math.log1p(-settings.feed.volume_drop_fraction), -_STEP_DEVIATIONS * deviation)
    if not (steps < limit).all():
        return None, figures
    message = (
        f"volumes were {-first:.0%} and are now {-second:.0%} below the day before, weekday adjusted, while prices and "
        "volatility are as usual"
    )
    return message, figures


def _adjusted_volume(metrics: pd.DataFrame, *, last: int) -> tuple[np.ndarray, np.ndarray]:
    """Return volume changes without the weekday effect, which is estimated without the `last` ones; and all but those."""
    values, weekdays = metrics["volume"].to_numpy(), metrics.index.dayofweek.to_numpy()
    adjusted = values - weekday_effects(values[:-last], weekdays[:-last])[weekdays]
    return adjusted, adjusted[:-last]
