"""What the metadata beside a stored model must hold: the very values that were promoted, and every field that is read."""

import datetime as dt
import math
from collections.abc import Callable, Mapping
from typing import Any

from cryptoliq_assets.labels import FORMULAS
from cryptoliq_assets.modeling.registry.audit_log import canonical_json, sha256_of
from cryptoliq_assets.modeling.registry.serialization import ModelRejectedError, check_artifact

# `intervals.POOLED`, and the evaluations of `folds`: those modules load numba, and this one is read at every start.
POOLED = "pooled"
EVALUATIONS = ("over_time", "by_coin")


def digests(metadata: Mapping[str, Any]) -> dict[str, str]:
    """What a promotion's line in the ledger says of a model: sha256 of its artifact and of its whole metadata."""
    return {"sha256": metadata["sha256"], "metadata_sha256": sha256_of(canonical_json(metadata))}


def check_stored(
    metadata: Mapping[str, Any], sha256: str, *, promotion: Mapping[str, Any] | None, signing_key: bytes | None
) -> None:
    """All that can be said of a stored model without opening it: its artifact (the sha256 found) and its metadata are those
    of its promotion (a line of the ledger; None: there is none), and the metadata hold all that is read of them.

    Raises ModelRefused as `loading.check_artifact` does, for metadata that were changed, and as `check_fields` does.
    """
    promotion = promotion or {}
    check_artifact(sha256, metadata, expected_sha256=promotion.get("sha256"), signing_key=signing_key)
    _check_registered(metadata, promotion.get("metadata_sha256"))
    check_fields(metadata)


def check_fields(metadata: Mapping[str, Any]) -> None:
    """Raise ModelRefused that names every field which is absent or cannot be used by whoever serves or shows the model."""
    wrong = [field for field, usable in _FIELDS.items() if not usable(metadata.get(field))]
    if wrong:
        name = metadata.get("version", "the model")
        raise ModelRejectedError(
            f"{name}: its metadata lack, or make no sense of, {', '.join(wrong)}; restore them or roll back"
        )


def _check_registered(metadata: Mapping[str, Any], expected: object) -> None:
    name = metadata.get("version", "the model")
    if expected is None:
        raise ModelRejectedError(f"{name}: its promotion in the ledger has no sha256 of its metadata: train again")
    try:
        found = digests(metadata)["metadata_sha256"]
    except ValueError as error:
        raise ModelRejectedError(
            f"{name}: its metadata hold what no JSON can ({error}); restore them or roll back"
        ) from error
    if found != expected:
        raise ModelRejectedError(
            f"{name}: sha256 of its metadata is {found[:12]}…, the ledger says {str(expected)[:12]}…: changed since the "
            "promotion; restore them or roll back"
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_features(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(name, str) for name in value)


def _is_intervals(value: object) -> bool:
    """Level, half-widths by group with the pooled one among them, and the number of residuals behind each."""
    if not isinstance(value, dict) or not _is_number(value.get("level")) or not 0.0 < value["level"] < 1.0:
        return False
    widths, counts = value.get("half_widths"), value.get("counts")
    if not isinstance(widths, dict) or not isinstance(counts, dict) or POOLED not in widths:
        return False
    return all(_is_number(width) and width >= 0.0 and _is_count(counts.get(name)) for name, width in widths.items())


def _is_metrics(value: object) -> bool:
    """Skill (None where it is undefined) and the measures fold by fold."""
    if not isinstance(value, dict) or "skill" not in value or not isinstance(value.get("folds"), list):
        return False
    return value["skill"] is None or _is_number(value["skill"])


def _is_coverage(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("pooled"), dict) and _is_number(value.get("level"))


def _is_ranges(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(ends, list) and len(ends) == 2 and all(map(_is_number, ends)) for ends in value.values()
    )


def _is_date(value: object) -> bool:
    return _parses(dt.date.fromisoformat, value)


def _is_time(value: object) -> bool:
    return _parses(dt.datetime.fromisoformat, value)


def _parses(parse: Callable[[str], object], value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        parse(value)
    except ValueError:
        return False
    return True


# What the service, the app, forecasts, gate and status read without asking whether it is there.
_FIELDS: dict[str, Callable[[object], bool]] = {
    "formula": lambda value: isinstance(value, str) and value in FORMULAS,
    "horizon_days": _is_count,
    "known_until": _is_date,
    "promoted_at": _is_time,
    "evaluation": lambda value: value in EVALUATIONS,
    "provisional": lambda value: isinstance(value, bool),
    "features": _is_features,
    "intervals": _is_intervals,
    "metrics": _is_metrics,
    "folds": lambda value: isinstance(value, list),
    "coverage": _is_coverage,
    "input_ranges": _is_ranges,
}
