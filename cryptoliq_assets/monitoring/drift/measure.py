"""How far the last days lie from the training reference, by feature and overall, and when that is worth a word."""

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
from cryptoliq_assets.monitoring import FAIL, OK, WARN, Finding, Level, worst_level

# One champion, one incident: its features, score and predictions drift together.
WHERE = "champion"
# The size of a change is that of the market on a day when all moved, and no median takes that out again: told, not
# judged. `change_24h` has the same values with their sign.
_TOLD_ONLY = "change_24h_abs"
_NAMED = 5
# The deviation of changes, whose tails are heavy, in interquartile ranges: a normal distribution has 0.74.
_TAIL_SPREADS = 3.0


@dataclass(frozen=True)
class FeatureDrift:
    """One feature (or PREDICTIONS) against its reference; NaN where nothing can be said.

    psi, distance (Wasserstein over the reference's spread): of values less their day's median; shift: of the median as it
    is, in spreads; missing and missing_before: shares; judged: whether it counts; level: what it comes to.
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
        return {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in asdict(self).items()
        }


def measure_drift(
    reference: Reference, values: Mapping[str, np.ndarray], dates: np.ndarray, *, coins: int, settings: Settings
) -> list[FeatureDrift]:
    """Drift of n rows by name: values (n,) with NaN missing, and dates (n,); largest PSI first.

    What the reference or the rows lack is left out. coins: how many of them the rows are of. Rows of one coin on seven days
    are nearly one row, so chance alone gives as much PSI as so many rows would, twice, for the reference's coins are as few;
    and it moves a distance by the deviation over the root of their number. That much is allowed on top of the settings'
    thresholds: it is nothing for 2,000 coins, and keeps 30 quiet of which one was pumped.
    """
    allowed = {"psi": 2.0 * expected_psi(coins), "distance": _TAIL_SPREADS / math.sqrt(max(coins, 1))}
    found = []
    for name, was in reference.distributions.items():
        if name not in values or not len(dates):
            continue
        now = np.asarray(values[name], dtype=float)
        centred = center_by_day(now, dates)
        sizes = {
            "psi": psi(was.points, centred),
            "distance": wasserstein(was.points, centred) / was.spread,
            "missing": missing_fraction(now),
        }
        judged = not name.startswith(_TOLD_ONLY)
        level = _level(sizes, missing_before=was.missing, allowed=allowed, settings=settings) if judged else OK
        shift = median_shift(was.median, now, spread=was.spread)
        found.append(FeatureDrift(name, **sizes, shift=shift, missing_before=was.missing, judged=judged, level=level))
    return sorted(found, key=lambda drift: -np.nan_to_num(drift.psi, nan=-1.0))


def summarize_drift(drifts: Sequence[FeatureDrift]) -> dict[str, float | None]:
    """The median and the largest of what is judged: PSI, distance, rise or fall of missing; null where nothing is known."""
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
    """The finding that the drifts come to. moved: the date of a market move among the days measured, which explains a
    warning, not a failure."""
    level = worst_level(drift.level for drift in drifts)
    beyond = [drift for drift in drifts if drift.level == level and level != OK]
    figures: dict[str, Any] = {**summarize_drift(drifts), "beyond": [drift.name for drift in beyond]}
    if not drifts:
        return Finding("feature_drift", OK, WHERE, "there is nothing to hold against a reference", figures=figures)
    if level == OK:
        return Finding("feature_drift", OK, WHERE, f"{len(drifts)} distributions are as in training", figures=figures)
    named = ", ".join(_told(drift) for drift in beyond[:_NAMED])
    more = f" and {len(beyond) - _NAMED} more" if len(beyond) > _NAMED else ""
    what = f"{len(beyond)} of {len(drifts)} distributions left their training reference: {named}{more}"
    if level == WARN and moved:
        return Finding("feature_drift", OK, WHERE, f"{what}; the market move of {moved} explains it", figures=figures)
    return Finding("feature_drift", level, WHERE, what, figures=figures)


def _told(drift: FeatureDrift) -> str:
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
    # NaN compares false: what is not known raises nothing.
    if any(size > fail for size, _, fail in measured):
        return FAIL
    return WARN if any(size > warn for size, warn, _ in measured) else OK
