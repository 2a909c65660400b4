"""Drift of the last days from the training reference, by feature and overall, and when it exceeds the alert threshold.

Add a measure of drift or a rule about its level. Which rows are measured belongs in `report`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from cryptoliq_assets.core import (
    Settings,
    center_by_day,
    expected_psi,
    median_shift,
    missing_fraction,
    psi,
    wasserstein,
)
from cryptoliq_assets.modeling import Reference
from cryptoliq_assets.monitoring.alert_kinds import require_alert_kind
from cryptoliq_assets.monitoring.alert_registry import FAIL, OK, WARN, Level
from cryptoliq_assets.monitoring.findings import Finding, worst_level

# One champion, one incident: its features, score and predictions drift together.
WHERE = "champion"
_FEATURE_DRIFT = require_alert_kind("feature_drift")
# On a day when the complete market moves, the size of a change is that of the market, and subtracting the median does not
# remove it: reported without a level. `change_24h` has the same values with their sign.
_REPORTED_ONLY = "change_24h_abs"
_NAMED = 5
# The deviation of changes, whose tails are heavy, in interquartile ranges: a normal distribution has 0.74.
_TAIL_SPREADS = 3.0


@dataclass(frozen=True)
class FeatureDrift:
    """The drift of one feature (or of PREDICTIONS); NaN if unknown.

    Attributes:
        name: Of the feature.
        psi: Population stability index of the values minus the median of their day.
        distance: Wasserstein distance of the same, divided by the interquartile range of the reference.
        shift: Shift of the median, in interquartile ranges of the reference.
        missing: Fraction of missing values.
        missing_before: The same in the reference.
        judged: Whether it determines the level.
        level: OK, WARN or FAIL.
    """

    name: str
    psi: float
    distance: float
    shift: float
    missing: float
    missing_before: float
    judged: bool
    level: Level

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values; NaN as None."""
        return {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in asdict(self).items()
        }


def measure_drift(
    reference: Reference, values: Mapping[str, np.ndarray], dates: np.ndarray, *, coins: int, settings: Settings
) -> list[FeatureDrift]:
    """Measure the drift of every feature.

    Rows of one coin on seven days are almost one row, so chance alone causes as much PSI as that number of rows would, twice,
    because the reference has as few coins; and it moves a distance by the standard deviation divided by the root of their
    number. This is allowed in addition to the thresholds: it is nothing for 2,000 coins, and prevents alerts for 30 coins of
    which one was pumped.

    Args:
        reference: Distributions in training.
        values: By feature, (n,) values with NaN for missing.
        dates: (n,) dates of the rows.
        coins: Number of different coins.
        settings: The thresholds.

    Returns:
        The drift of the features that both have, largest PSI first.
    """
    allowed = {"psi": 2.0 * expected_psi(coins), "distance": _TAIL_SPREADS / math.sqrt(max(coins, 1))}
    drifts = []
    for name, trained in reference.distributions.items():
        if name not in values or not len(dates):
            continue
        current = np.asarray(values[name], dtype=float)
        centred = center_by_day(current, dates)
        sizes = {
            "psi": psi(trained.points, centred),
            "distance": wasserstein(trained.points, centred) / trained.spread,
            "missing": missing_fraction(current),
        }
        judged = not name.startswith(_REPORTED_ONLY)
        level = _level(sizes, missing_before=trained.missing, allowed=allowed, settings=settings) if judged else OK
        shift = median_shift(trained.median, current, spread=trained.spread)
        drifts.append(
            FeatureDrift(name, **sizes, shift=shift, missing_before=trained.missing, judged=judged, level=level)
        )
    return sorted(drifts, key=lambda drift: -np.nan_to_num(drift.psi, nan=-1.0))


def summarize_drift(drifts: Sequence[FeatureDrift]) -> dict[str, float | None]:
    """Return median and maximum over the judged features of PSI, distance, change of missing values and shift; None if unknown."""
    judged = [drift for drift in drifts if drift.judged]
    series = {
        "psi": [drift.psi for drift in judged],
        "distance": [drift.distance for drift in judged],
        "missing_change": [abs(drift.missing - drift.missing_before) for drift in judged],
        "shift": [abs(drift.shift) for drift in judged],
    }
    known = {name: np.array(values)[np.isfinite(values)] for name, values in series.items()}
    return {
        f"{of}_{name}": float(take(values)) if len(values) else None
        for name, values in known.items()
        for of, take in (("median", np.median), ("largest", np.max))
    }


def make_drift_finding(drifts: Sequence[FeatureDrift], *, moved: str | None = None) -> Finding:
    """Return feature_drift.

    Args:
        drifts: See `measure_drift`.
        moved: Date of a market move among the measured days, which explains a warning but not a failure.
    """
    level = worst_level(drift.level for drift in drifts)
    beyond = [drift for drift in drifts if drift.level == level and level != OK]
    figures: dict[str, Any] = {**summarize_drift(drifts), "beyond": [drift.name for drift in beyond]}
    if not drifts:
        return Finding(_FEATURE_DRIFT, OK, WHERE, "nothing to compare with a reference", figures=figures)
    if level == OK:
        return Finding(_FEATURE_DRIFT, OK, WHERE, f"no drift in {len(drifts)} features", figures=figures)
    named = ", ".join(_describe(drift) for drift in beyond[:_NAMED])
    more = f" and {len(beyond) - _NAMED} more" if len(beyond) > _NAMED else ""
    what = f"{len(beyond)} of {len(drifts)} features drifted from the training reference: {named}{more}"
    if level == WARN and moved:
        return Finding(_FEATURE_DRIFT, OK, WHERE, f"{what}; the market move of {moved} explains it", figures=figures)
    return Finding(_FEATURE_DRIFT, level, WHERE, what, figures=figures)


def _describe(drift: FeatureDrift) -> str:
    parts = [f"PSI {drift.psi:.2f}"] if math.isfinite(drift.psi) else []
    parts += [f"distance {drift.distance:.2f}"] if math.isfinite(drift.distance) else []
    return f"{drift.name} ({', '.join([*parts, f'missing {drift.missing:.0%}, was {drift.missing_before:.0%}'])})"


def _level(
    sizes: Mapping[str, float], *, missing_before: float, allowed: Mapping[str, float], settings: Settings
) -> Level:
    measured = (
        (sizes["psi"] - allowed["psi"], settings.drift.psi_warn, settings.drift.psi_fail),
        (sizes["distance"] - allowed["distance"], settings.drift.wasserstein_warn, settings.drift.wasserstein_fail),
        (abs(sizes["missing"] - missing_before), settings.drift.missing_rate_warn, settings.drift.missing_rate_fail),
    )
    # NaN compares as false: unknown values raise nothing.
    if any(size > fail for size, _, fail in measured):
        return FAIL
    return WARN if any(size > warn for size, warn, _ in measured) else OK
