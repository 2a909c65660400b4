"""Checks of `engineered_features` and `feature_views`."""

import numpy as np

from cryptoliq_assets.core import Settings
from cryptoliq_assets.orchestration.checks.registry import CheckOutcome, asset_check
from cryptoliq_assets.schemas import FEATURE_NAMES
from cryptoliq_assets.storage import InvalidTableError, TableStore

_TABLE = "engineered_features"


@asset_check(_TABLE, description="No feature is infinite.", blocking=True)
def finite_values(settings: Settings, store: TableStore, months: list[str]) -> CheckOutcome:
    """Find months in which the min or max of a feature is infinite, from the footers of the files."""
    infinite: dict[str, list[str]] = {}
    unread: dict[str, str] = {}
    rows = missing = 0
    for month in months:
        if not store.path(_TABLE, month).exists():
            continue
        try:
            facts = store.column_facts(_TABLE, month)
        except InvalidTableError as error:
            unread[month] = str(error)
            continue
        stamp = store.stamp(_TABLE, month)
        rows += stamp.rows if stamp else 0
        for name in FEATURE_NAMES:
            if name not in facts:
                unread[month] = f"{name} is absent"
                continue
            missing += facts[name].nulls
            if np.isinf([facts[name].minimum or 0.0, facts[name].maximum or 0.0]).any():
                infinite.setdefault(name, []).append(month)
    fraction = missing / (rows * len(FEATURE_NAMES)) if rows else 0.0
    metadata = {"rows": rows, "infinite": infinite, "missing_fraction": float(fraction), "unread": unread}
    return CheckOutcome(not infinite and not unread, metadata)


@asset_check("feature_views", description="Every cleaned row of a month has its views.", blocking=True)
def views_of_every_row(settings: Settings, store: TableStore, months: list[str]) -> CheckOutcome:
    """Compare the rows of each day with those of cleaned_snapshots, from the stamps of the files."""
    differing = {}
    rows = 0
    for month in months:
        own, cleaned = (store.stamp(table, month) for table in ("feature_views", "cleaned_snapshots"))
        counts, wanted = (stamp.counts if stamp else {} for stamp in (own, cleaned))
        rows += sum(counts.values())
        days = sorted(day for day in {*counts, *wanted} if counts.get(day, 0) != wanted.get(day, 0))
        if days:
            differing[month] = f"{days[0]}: {counts.get(days[0], 0)} rows, not {wanted.get(days[0], 0)}"
    return CheckOutcome(not differing, {"rows": rows, "differing": differing})
