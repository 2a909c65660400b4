"""How Dagster shows what the monitor found."""

from typing import Any

import dagster as dg

from cryptoliq_assets.monitoring import FAIL, OK, CheckResult


def as_check(look: CheckResult) -> dict[str, Any]:
    """Arguments of an AssetCheckResult or an AssetCheckEvaluation: a WARN fails it as a warning, a FAIL as an error."""
    return {
        "passed": look.level == OK,
        "severity": dg.AssetCheckSeverity.ERROR if look.level == FAIL else dg.AssetCheckSeverity.WARN,
        "description": look.what,
        "metadata": {name: value for name, value in look.figures.items() if value is not None},
    }
