"""Months of the computed tables, each computed from the stored months of the table before it.

The only place where this is done: for a range of months in this process, and month by month on the workers of a cluster.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from cryptoliq_assets.cleaning import clean_snapshots
from cryptoliq_assets.core import add_months, date_span, max_months_spanned, months_between
from cryptoliq_assets.features import engineer_features
from cryptoliq_assets.labels import LABEL_INPUT_COLUMNS, label_targets
from cryptoliq_assets.modeling.datasets import feature_views
from cryptoliq_assets.schemas import TABLES, upstream_windows
from cryptoliq_assets.storage import TableStore, empty_frame

CLEANED, FEATURES, VIEWS_TABLE, LABELS = "cleaned_snapshots", "engineered_features", "feature_views", "labels"


@dataclass(frozen=True)
class ComputedMonths:
    """Rows of some months of a table.

    Attributes:
        rows: The rows, to be written.
        report: Counts of what was done, by name; one of cleaned_snapshots alone.
    """

    rows: pd.DataFrame
    report: dict[str, Any] = field(default_factory=dict)


def compute_months(table: str, months: Sequence[str], store: TableStore) -> ComputedMonths:
    """Compute consecutive months of a table. A month is the same, to the last bit, whichever others are computed with it.

    Args:
        table: cleaned_snapshots, engineered_features, feature_views or labels.
        months: The months, in order.
        store: The monthly tables.

    Raises:
        InvalidTableError: A month of the table before it is damaged, or does not satisfy its schema; for feature_views also if it lacks
            columns.
    """
    settings = store.settings
    since, until = date_span(list(months))
    ((upstream, reach),) = upstream_windows(table, horizon_days=settings.horizon_days).items()
    first, last = (
        add_months(months[0], -max_months_spanned(reach.back)),
        add_months(months[-1], max_months_spanned(reach.ahead)),
    )
    columns = list(LABEL_INPUT_COLUMNS) if table == LABELS else None
    rows = store.read(upstream, months_between(first, last), columns=columns, complete=table == VIEWS_TABLE)
    if table == CLEANED:
        cleaned, report = clean_snapshots(rows, since=since, until=until)
        return ComputedMonths(cleaned, vars(report))
    if not len(rows):
        return ComputedMonths(empty_frame(TABLES[table]))
    if table == FEATURES:
        return ComputedMonths(engineer_features(rows, formula=settings.formula, since=since))
    if table == VIEWS_TABLE:
        return ComputedMonths(feature_views(rows, formula=settings.formula, since=since))
    if table == LABELS:
        return ComputedMonths(label_targets(rows, horizon_days=settings.horizon_days, since=since, until=until))
    raise ValueError(f"{table} is not computed from one other table")


def write_computed(table: str, months: Sequence[str], store: TableStore) -> tuple[dict[str, int], dict[str, Any]]:
    """Compute consecutive months of a table and write them; requires the run lock.

    Args:
        table: As in `compute_months`.
        months: The months, in order.
        store: The monthly tables.

    Returns:
        Number of rows by month, and the report.
    """
    computed = compute_months(table, months, store)
    return store.write(table, computed.rows, months), computed.report


def add_reports(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Add the counts of several reports, those in dictionaries by key.

    Args:
        reports: Reports of `compute_months` about different months.

    Example:
        >>> add_reports([{"rows": 1, "faults": {"price": 2}}, {"rows": 3, "faults": {"price": 1, "date": 5}}])
        {'rows': 4, 'faults': {'price': 3, 'date': 5}}
    """
    total: dict[str, Any] = {}
    for report in reports:
        for name, count in report.items():
            if isinstance(count, dict):
                total[name] = add_reports([total.get(name, {}), count])
            else:
                total[name] = total.get(name, 0) + count
    return total
