"""The task of a model: the liquidity formula that it forecasts, and the horizon. Models of different tasks are not compared.

Add here only what defines a task. Promotion belongs in `modeling.registry.promotion`.
"""

from collections.abc import Mapping
from typing import Any


def describe_task_mismatch(champion: Mapping[str, Any], *, formula: str | None, horizon_days: int | None) -> str | None:
    """Return how a model's task differs from the configured one; None if it does not.

    Args:
        champion: Metadata of the model.
        formula: Configured formula.
        horizon_days: Configured horizon.
    """
    if champion.get("formula") == formula and champion.get("horizon_days") == horizon_days:
        return None
    return (
        f"{champion.get('version')} forecasts {champion.get('formula')} {champion.get('horizon_days')} day(s) ahead, "
        f"the settings require {formula} {horizon_days} day(s) ahead"
    )
