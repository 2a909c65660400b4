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
    """Infinite values by feature: months in which the least or the largest value is one, read off the files' footers."""
    infinite: dict[str, list[str]] = {}
    rows = missing = 0
    for month in months:
        stamp = store.stamp("engineered_features", month)
        if stamp is None:
            continue
        rows += stamp.rows
        facts = store.column_facts("engineered_features", month)
        for name in FEATURE_NAMES:
            missing += facts[name].nulls
            if np.isinf([facts[name].least or 0.0, facts[name].largest or 0.0]).any():
                infinite.setdefault(name, []).append(month)
    share = missing / (rows * len(FEATURE_NAMES)) if rows else 0.0
    return Finding(not infinite, {"rows": rows, "infinite": infinite, "missing_share": float(share)})
