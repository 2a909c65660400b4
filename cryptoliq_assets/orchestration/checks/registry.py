"""The registry of asset checks: `@asset_check` above a function is all that a check needs.

The definitions of Dagster, the checks that raise alerts and the checks of the newest snapshot are derived from it. Add nothing
here for a new check; write its function in the module of its asset.
"""

import inspect
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Literal

import dagster as dg

from cryptoliq_assets.core import Settings
from cryptoliq_assets.monitoring import FAIL, OK, CheckResult, require_alert_kind
from cryptoliq_assets.schemas import TABLES
from cryptoliq_assets.storage import InvalidTableError, TableStore

# table: all checks of a monthly table in one step, over the run's months. clock: checks of the data's age in one step, which
# a sensor evaluates too. report: a check of a monitoring report, isolated from the others. single: any other check.
Step = Literal["table", "clock", "report", "single"]
# Key in the metadata of a check: the alert kinds that it restates.
RESTATES = "restates"
SCHEMA = "schema"
_PACKAGE = "cryptoliq_assets.orchestration.checks"
# Modules of the package that are not modules of checks.
_MACHINERY = ("registry", "definitions", "daily_fractions")
_PARAMETERS: dict[Step, list[str]] = {
    "table": ["settings", "store", "months"],
    "clock": ["settings", "store", "now"],
    "report": ["settings", "store"],
    "single": ["settings", "store"],
}


class CheckRegistrationError(ValueError):
    """A check is not registered, or only in part; the message has the line to add."""


@dataclass(frozen=True)
class CheckOutcome:
    """The result of a check: passed or not, and the metadata that shows why.

    The severity of a failure is ERROR for a blocking check and WARN for any other, unless the outcome has its own.
    """

    passed: bool
    metadata: dict[str, Any] = field(default_factory=dict)
    description: str | None = None
    severity: dg.AssetCheckSeverity | None = None

    @classmethod
    def from_result(cls, result: CheckResult) -> "CheckOutcome":
        """Convert a result of the monitor: level WARN fails as a warning, FAIL as an error."""
        return cls(
            result.level == OK,
            {name: value for name, value in result.figures.items() if value is not None},
            result.what,
            dg.AssetCheckSeverity.ERROR if result.level == FAIL else dg.AssetCheckSeverity.WARN,
        )


# (settings, store) -> CheckOutcome; of a check of a table (settings, store, months of the run), of one by the clock (settings,
# store, now).
Evaluate = Callable[..., CheckOutcome]


@dataclass(frozen=True)
class Check:
    """A registered check; see `asset_check` for the fields."""

    asset: str
    name: str
    description: str | Callable[[Settings], str]
    evaluate: Evaluate
    blocking: bool
    restates: tuple[str, ...]
    newest_only: bool
    step: Step

    def describe(self, settings: Settings) -> str:
        """Return the description with the limits of the settings."""
        return self.description if isinstance(self.description, str) else self.description(settings)

    def make_spec(self, settings: Settings) -> dg.AssetCheckSpec:
        """Make Dagster's declaration of the check."""
        return dg.AssetCheckSpec(
            self.name,
            asset=self.asset,
            description=self.describe(settings),
            blocking=self.blocking,
            metadata={RESTATES: list(self.restates)},
        )

    def make_result(self, outcome: CheckOutcome) -> dg.AssetCheckResult:
        """Convert an outcome to Dagster's result."""
        default = dg.AssetCheckSeverity.ERROR if self.blocking else dg.AssetCheckSeverity.WARN
        return dg.AssetCheckResult(
            asset_key=self.asset,
            check_name=self.name,
            passed=bool(outcome.passed),
            severity=outcome.severity or default,
            metadata=outcome.metadata,
            description=outcome.description,
        )


_REGISTRY: dict[tuple[str, str], Check] = {}


def asset_check(
    asset: str,
    *,
    description: str | Callable[[Settings], str],
    blocking: bool = False,
    restates: tuple[str, ...] = (),
    newest_only: bool = False,
    step: Step = "table",
) -> Callable[[Evaluate], Evaluate]:
    """Register a function as the check of an asset; the name of the function is the name of the check.

    Args:
        asset: Name of the asset.
        description: What holds when the check passes; a function of the settings where it states their limits.
        blocking: Whether a failure stops the steps downstream in the same run.
        restates: Alert kinds that express the same fault. Such a check fails in its run and raises no alert of its own.
        newest_only: Whether the check is about the newest snapshot, regardless of the months of its run.
        step: How the check is executed.

    Returns:
        A decorator of a function that returns a CheckOutcome. It takes (settings, store, months), the months of the run, in the
        step "table"; (settings, store, now) in the step "clock"; and (settings, store) in the others, which have no months.

    Raises:
        CheckRegistrationError: The declaration is incomplete.
    """

    def register(evaluate: Evaluate) -> Evaluate:
        name, where = evaluate.__name__, f"{evaluate.__module__}.{evaluate.__name__}"
        if not isinstance(asset, str) or not description or callable(asset):
            raise CheckRegistrationError(f'{where}: add the line @asset_check("<asset>", description="…") above it')
        if step not in _PARAMETERS:
            raise CheckRegistrationError(f"{where}: step={step!r} is unknown; use one of {', '.join(_PARAMETERS)}")
        if name.startswith("_"):
            raise CheckRegistrationError(f"{where}: helpers start with _; write the line def {name.lstrip('_')}(…)")
        parameters = _PARAMETERS[step]
        if list(inspect.signature(evaluate).parameters) != parameters:
            raise CheckRegistrationError(
                f"{where}: a check of step {step} takes ({', '.join(parameters)}); write the line def {name}({', '.join(parameters)}) -> "
                "CheckOutcome:"
            )
        if step == "table" and asset not in TABLES:
            raise CheckRegistrationError(
                f"{where}: {asset!r} is no table of schemas/tables.py ({', '.join(TABLES)}); for another asset add the "
                'argument step="single" to @asset_check'
            )
        for kind in restates:
            try:
                require_alert_kind(kind)
            except ValueError as error:
                raise CheckRegistrationError(f"{where} restates {kind!r}: {error}") from error
        existing = _REGISTRY.get((asset, name))
        if existing is not None and existing.evaluate.__module__ != evaluate.__module__:
            raise CheckRegistrationError(
                f"{where}: {existing.evaluate.__module__} has a check of this name; rename one"
            )
        _REGISTRY[asset, name] = Check(asset, name, description, evaluate, blocking, restates, newest_only, step)
        return evaluate

    return register


def load_checks() -> list[Check]:
    """Import all modules of checks, and return what they registered, table by table.

    Raises:
        CheckRegistrationError: A public function of a module of checks is not registered.
    """
    package = import_module(_PACKAGE)
    for info in iter_modules(package.__path__):
        if info.name in _MACHINERY:
            continue
        for function in _public_functions(import_module(f"{_PACKAGE}.{info.name}")):
            if not any(check.evaluate is function for check in _REGISTRY.values()):
                name = function.__name__
                raise CheckRegistrationError(
                    f"orchestration/checks/{info.name}.py: {name} is not registered: add the line "
                    f'@asset_check("<asset>", description="…") above it, or write the line def _{name}(…) if it is a helper'
                )
    return list(_REGISTRY.values())


def newest_only_names() -> set[str]:
    """Return the names of the checks of the newest snapshot."""
    return {check.name for check in load_checks() if check.newest_only}


def group_by_table(checks: Collection[Check]) -> dict[str, list[Check]]:
    """Return the checks of each monthly table, its schema first."""
    groups = {table: [make_schema_check(table)] for table in TABLES}
    for check in checks:
        if check.step == "table":
            groups[check.asset].append(check)
    return groups


def make_schema_check(table: str) -> Check:
    """Make the check that every table has: its months meet the table's Pandera model."""

    def verify_months(settings: Settings, store: TableStore, months: list[str]) -> CheckOutcome:
        broken = {}
        for month in months:
            if not store.path(table, month).exists():
                continue
            try:
                store.verify(table, month)
            except InvalidTableError as error:
                broken[month] = str(error)
        return CheckOutcome(not broken, {"months": len(months), "broken": broken})

    return Check(table, SCHEMA, f"Every month meets the schema of {table}.", verify_months, True, (), False, "table")


def _public_functions(module: Any) -> Iterator[Callable[..., Any]]:
    """Yield the functions that a module defines and whose names do not start with _."""
    for name, function in inspect.getmembers(module, inspect.isfunction):
        if function.__module__ == module.__name__ and not name.startswith("_"):
            yield function
