"""Checks of the features: no infinity, and a score wherever the contract's columns allow one."""

import dagster as dg
import numpy as np

from cryptoliq_assets.core import Settings
from cryptoliq_assets.orchestration import Finding, TableCheck, build_table_checks
from cryptoliq_assets.schemas import FEATURE_NAMES
from cryptoliq_assets.storage import InvalidTableError, TableStore


def feature_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    checks = [TableCheck("finite_values", "No feature is infinite.", finite_values, blocking=True)]
    return [build_table_checks("engineered_features", checks=checks)]


def finite_values(store: TableStore, months: list[str]) -> Finding:
    """Infinite values by feature: months in which the least or the largest value is one, read off the files' footers."""
    infinite: dict[str, list[str]] = {}
    unread: dict[str, str] = {}
    rows = missing = 0
    for month in months:
        if not store.path("engineered_features", month).exists():
            continue
        try:
            facts = store.column_facts("engineered_features", month)
        except InvalidTableError as error:
            unread[month] = str(error)
            continue
        stamp = store.stamp("engineered_features", month)
        rows += stamp.rows if stamp else 0
        for name in FEATURE_NAMES:
            if name not in facts:
                unread[month] = f"{name} is absent"
                continue
            missing += facts[name].nulls
            if np.isinf([facts[name].minimum or 0.0, facts[name].maximum or 0.0]).any():
                infinite.setdefault(name, []).append(month)
    share = missing / (rows * len(FEATURE_NAMES)) if rows else 0.0
    found = {"rows": rows, "infinite": infinite, "missing_share": float(share), "unread": unread}
    return Finding(not infinite and not unread, found)
