"""Checks of what a home has stored, one a kind: what is wrong with an item and what repairs it, None for a sound one.

`stored_bytes` calls them for every item. How things are read and what their digests are belongs to their own modules.
"""

from collections.abc import Sequence
from pathlib import Path

from cryptoliq_assets.core import Settings, read_json_object
from cryptoliq_assets.ingestion.landing import (
    REPORT,
    Catalog,
    CatalogDamagedError,
    CatalogEntry,
    find_archive_damage,
    find_disagreements,
    open_catalog,
)
from cryptoliq_assets.ingestion.reports import find_report_path
from cryptoliq_assets.modeling.registry import ModelRejectedError, ModelStore
from cryptoliq_assets.storage import DamagedTableError, InvalidTableError, TableStore, verify_rows

# Problem and remedy.
Fault = tuple[str, str]


def check_catalog(settings: Settings) -> Fault | None:
    remedy = "`cryptoliq verify --repair` makes it again from the archive and reports/validation"
    try:
        catalog = open_catalog(settings)
        catalog.check()
        return _against_reports(catalog, settings, remedy)
    except (CatalogDamagedError, OSError) as error:
        return str(error).partition("; `cryptoliq")[0], remedy


def _against_reports(catalog: Catalog, settings: Settings, remedy: str) -> Fault | None:
    """A row of an accepted file says what its report says; a report that is wrong itself is an item of its own."""
    for found in find_disagreements(catalog, settings):
        if found.wrong == REPORT:
            continue
        said = (
            f"{found.file.name}, arrival {found.file.arrival}: {found.field} is {found.catalog_value}, its report says"
        )
        unknown = (
            "restore catalog, report or archived file from a backup: the archived file does not tell which is right"
        )
        return f"{said} {found.report_value}", remedy if found.wrong else unknown
    return None


def find_wrong_reports(settings: Settings) -> dict[str, str]:
    """What is wrong with reports that the archived file contradicts, by path."""
    try:
        found = find_disagreements(open_catalog(settings), settings)
    except (CatalogDamagedError, OSError):
        return {}
    wrong = {}
    for each in found:
        path = find_report_path(settings.validation_dir, each.file.name, each.file.arrival)
        if path is not None and each.wrong == REPORT:
            said = f"{each.field} is {each.report_value}, catalog and archived file say {each.catalog_value}"
            wrong[str(path)] = said
    return wrong


def check_archived(file: CatalogEntry, settings: Settings) -> Fault | None:
    problem = find_archive_damage(file, settings)
    if problem is None:
        return None
    return (
        problem.partition(" is damaged: ")[2].partition("; no month")[0],
        f"restore it from a backup, or put {file.name} as it was received into data/raw and run `cryptoliq verify --repair`",
    )


def check_month(store: TableStore, table: str, month: str, *, deep: bool) -> Fault | None:
    try:
        verify_rows(store, table, month) if deep else store.verify(table, month)
    except DamagedTableError as error:
        return error.reason, error.remedy
    except InvalidTableError as error:
        return str(error), "`cryptoliq materialize` makes a derived month again; restore forecasts from a backup"
    except FileNotFoundError:
        # A refresh has removed it since the folder was listed.
        return None
    return None


def check_ledger(models: ModelStore, versions: Sequence[str]) -> Fault | None:
    """`versions`: those that are stored."""
    remedy = "restore it from a backup, or remove the damaged line and run `cryptoliq train`"
    try:
        problem = models.ledger.problem()
    except OSError as error:
        reason = str(error).removeprefix(f"{models.ledger.path}: ")
        return reason, "restore it from a backup, or remove it and run `cryptoliq train`"
    if problem:
        return problem.partition(" is damaged: ")[2].partition("; such lines")[0], remedy
    if versions and not models.ledger.path.exists():
        return "it is gone, although models are stored", "restore it from a backup, or run `cryptoliq train`"
    return None


def check_pointer(models: ModelStore) -> Fault | None:
    try:
        problem = models.pointer().problem
    except OSError:
        # It takes the ledger, which is an item of its own.
        return None
    if problem is None:
        return None
    what, _, remedy = problem.partition("; ")
    return what, remedy


def check_model(models: ModelStore, version: str, *, current: str | None, deep: bool) -> Fault | None:
    try:
        if version != current and models.is_unfinished(version):
            return None
        models.load(version) if deep else models.check(version)
    except (ModelRejectedError, OSError) as error:
        restore, other = (
            f"restore {version}.pkl and {version}.json from a backup, or",
            "remove both: another model is current",
        )
        if version == current:
            other = "make another model current (`cryptoliq models rollback` or `train`) and remove both"
        return str(error), f"{restore} {other}"
    return None


def check_candidate_files(path: Path, settings: Settings) -> Fault | None:
    from cryptoliq_assets.modeling.registry import check_candidate

    key = settings.signing_key.get_secret_value().encode() if settings.signing_key else None
    try:
        check_candidate(path.parent, path.stem, signing_key=key)
    except ModelRejectedError as error:
        return error.reason, "`cryptoliq train` writes it again"
    return None


def check_document(path: Path, wrong: str | None) -> Fault | None:
    """`wrong`: what is known to be wrong with what it says."""
    from cryptoliq_assets.modeling.evaluation import check_backtest

    try:
        if path.suffix == ".parquet":
            check_backtest(path)
        else:
            read_json_object(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        wrong = str(error).removeprefix(f"{path} is damaged: ").removeprefix(f"{path}: ").partition("; remove it")[0]
    if wrong is None:
        return None
    if path.parent.name == "validation":
        return wrong, "restore it from a backup, or remove it: tables, models and forecasts do not need it"
    return wrong, "remove it; `cryptoliq materialize`, `train` or `monitor`, whichever made it, writes it again"
