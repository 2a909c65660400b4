"""The task of a model: which liquidity formula it forecasts, and how many days ahead. Models of two tasks do not compare."""

from collections.abc import Mapping
from typing import Any


def describe_task_mismatch(champion: Mapping[str, Any], *, formula: str | None, horizon_days: int | None) -> str | None:
    """Where a model (its metadata) has another task than the one asked for: both of them in words; else None."""
    if champion.get("formula") == formula and champion.get("horizon_days") == horizon_days:
        return None
    return (
        f"{champion.get('version')} forecasts {champion.get('formula')} {champion.get('horizon_days')} day(s) ahead, "
        f"the settings ask for {formula} {horizon_days} day(s) ahead"
    )
