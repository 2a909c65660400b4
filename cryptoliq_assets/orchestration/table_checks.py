"""What the checks of monthly tables share: one check definition a table, evaluated once a run over the run's months.

A check reads only the columns it needs, only for the months of its run; executed by itself from the UI, for all months.
It has no partitions definition of its own: with one, Dagster 1.13 plans it by partition but records one evaluation without
any, and the UI then shows every check of a range run as skipped.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from cryptoliq_assets.monitoring import require_alert_kind
from cryptoliq_assets.orchestration.io_managers import PanderaParquetIOManager
from cryptoliq_assets.orchestration.table_assets import TABLES_IO
from cryptoliq_assets.storage import InvalidTableError, TableStore

# Under this name a check's metadata has the kinds of finding that it restates.
RESTATES = "restates"


@dataclass(frozen=True)
class Finding:
    """What a check found: passed or not, and the metadata that shows why."""

    passed: bool
    metadata: dict[str, Any] = field(default_factory=dict)
    description: str | None = None


@dataclass(frozen=True)
class TableCheck:
    """A named look at some months of a table; a blocking one stops what is downstream in the same run.

    restates: kinds of the monitor's findings that express the same fault. Such a check fails in its run, and the alert is
    that of the kind: it raises no `validation_failed` in addition.
    """

    name: str
    description: str
    look: Callable[[TableStore, list[str]], Finding]
    blocking: bool = False
    restates: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for kind in self.restates:
            require_alert_kind(kind)


def build_table_checks(table: str, *, checks: list[TableCheck]) -> dg.AssetChecksDefinition:
    """The checks of one table, the schema first, as one step."""
    checks = [TableCheck("schema", f"Every month meets the schema of {table}.", _schema_of(table), True), *checks]
    specs = [
        dg.AssetCheckSpec(
            check.name,
            asset=table,
            description=check.description,
            blocking=check.blocking,
            metadata={RESTATES: list(check.restates)},
        )
        for check in checks
    ]

    @dg.multi_asset_check(name=f"{table}_checks", specs=specs, required_resource_keys={TABLES_IO})
    def run_checks(context: dg.AssetCheckExecutionContext):
        manager: PanderaParquetIOManager = getattr(context.resources, TABLES_IO)
        store = manager.store()
        months = list(context.partition_keys) if _of_months(context) else store.months(table)
        for check in checks:
            finding = check.look(store, months)
            yield dg.AssetCheckResult(
                check_name=check.name,
                asset_key=table,
                passed=bool(finding.passed),
                severity=dg.AssetCheckSeverity.ERROR if check.blocking else dg.AssetCheckSeverity.WARN,
                metadata=finding.metadata,
                description=finding.description,
            )

    return run_checks


def _of_months(context: dg.AssetCheckExecutionContext) -> bool:
    return context.has_partition_key or context.has_partition_key_range


def _schema_of(table: str) -> Callable[[TableStore, list[str]], Finding]:
    def look(store: TableStore, months: list[str]) -> Finding:
        broken = {}
        for month in months:
            if not store.path(table, month).exists():
                continue
            try:
                store.verify(table, month)
            except InvalidTableError as error:
                broken[month] = str(error)
        return Finding(not broken, {"months": len(months), "broken": broken})

    return look
