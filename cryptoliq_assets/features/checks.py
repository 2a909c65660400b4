"""Checks of the features: no infinity, and a score wherever the contract's columns allow one."""

import dagster as dg
import numpy as np

from cryptoliq_assets.features.registry import FEATURE_NAMES
from cryptoliq_assets.io.check_kit import Finding, TableCheck, table_checks
from cryptoliq_assets.io.tables import TableStore
from cryptoliq_assets.settings import Settings


def feature_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    checks = [TableCheck("finite_values", "No feature is infinite.", finite_values, blocking=True)]
    return [table_checks("engineered_features", checks=checks)]


def finite_values(store: TableStore, months: list[str]) -> Finding:
    """Infinite values by feature, a month at a time: memory grows with one month, not with the run."""
    infinite: dict[str, int] = {}
    rows = missing = 0
    for month in months:
        frame = store.read("engineered_features", [month], columns=["coin", "date", *FEATURE_NAMES])
        values = frame[list(FEATURE_NAMES)].to_numpy()
        rows += len(frame)
        missing += int(np.isnan(values).sum())
        for name, count in zip(FEATURE_NAMES, np.isinf(values).sum(axis=0), strict=True):
            if count:
                infinite[name] = infinite.get(name, 0) + int(count)
    share = missing / (rows * len(FEATURE_NAMES)) if rows else 0.0
    return Finding(not infinite, {"rows": rows, "infinite": infinite, "missing_share": float(share)})
