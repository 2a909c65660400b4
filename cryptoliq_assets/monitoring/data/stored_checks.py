"""Checks of stored items, one per kind: each returns the problem and its remedy, or None for a valid item.

Add a check for a new kind of item and call it in `stored_bytes`. How items are read and hashed belongs to their own modules.
"""

from collections.abc import Sequence
from pathlib import Path

from cryptoliq_assets.core import Location, Settings, read_json_object
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
Problem = tuple[str, str]


def check_catalog(settings: Settings) -> Problem | None:
    """Check the catalog, and its rows against the validation reports."""
    remedy = (
        "`cryptoliq verify --repair` rebuilds it from the archive and reports/validation"
        if settings.postgres_url is None
        else "restore the database from a backup"
    )
    try:
        catalog = open_catalog(settings)
        catalog.check()
        return _against_reports(catalog, settings, remedy)
    except (CatalogDamagedError, OSError) as error:
        return str(error).partition("; `cryptoliq")[0], remedy


def _against_reports(catalog: Catalog, settings: Settings, remedy: str) -> Problem | None:
    """Compare the rows of accepted files with their reports; a wrong report is an item itself."""
    for difference in find_disagreements(catalog, settings):
        if difference.wrong == REPORT:
            continue
        message = f"{difference.file.name}, arrival {difference.file.arrival}: {difference.field} is {difference.catalog_value}, its report contains"
        unknown = (
            "restore catalog, report or archived file from a backup: the archived file does not show which is correct"
        )
        return f"{message} {difference.report_value}", remedy if difference.wrong else unknown
    return None


def find_wrong_reports(settings: Settings) -> dict[str, str]:
    """Return the problem of reports that contradict the archived file, by path."""
    try:
        found = find_disagreements(open_catalog(settings), settings)
    except (CatalogDamagedError, OSError):
        return {}
    wrong = {}
    for each in found:
        path = find_report_path(settings.validation_dir, each.file.name, each.file.arrival)
        if path is not None and each.wrong == REPORT:
            wrong[str(path)] = (
                f"{each.field} is {each.report_value}, catalog and archived file contain {each.catalog_value}"
            )
    return wrong


def check_archived(file: CatalogEntry, settings: Settings) -> Problem | None:
    """Check the archived copy of a file."""
    problem = find_archive_damage(file, settings)
    if problem is None:
        return None
    return (
        problem.partition(" is damaged: ")[2].partition("; no month")[0],
        f"restore it from a backup, or put {file.name} as it was received into data/raw and run `cryptoliq verify --repair`",
    )


def check_month(store: TableStore, table: str, month: str, *, deep: bool) -> Problem | None:
    """Check a month of a table.

    Args:
        store: The tables.
        table: Name of the table.
        month: The month, as YYYY-MM.
        deep: Also check every row.
    """
    try:
        verify_rows(store, table, month) if deep else store.verify(table, month)
    except DamagedTableError as error:
        return error.reason, error.remedy
    except InvalidTableError as error:
        return str(error), "`cryptoliq materialize` recomputes a derived month; restore forecasts from a backup"
    except FileNotFoundError:
        # A refresh removed it after the folder was listed.
        return None
    return None


def check_ledger(models: ModelStore, versions: Sequence[str]) -> Problem | None:
    """Check the audit log; `versions` are the stored ones."""
    remedy = "restore it from a backup, or remove the damaged line and run `cryptoliq train`"
    try:
        problem = models.ledger.problem()
    except OSError as error:
        reason = str(error).removeprefix(f"{models.ledger.path}: ")
        return reason, "restore it from a backup, or remove it and run `cryptoliq train`"
    if problem:
        return problem.partition(" is damaged: ")[2].partition("; such lines")[0], remedy
    if versions and not models.ledger.exists():
        return "it does not exist, although models are stored", "restore it from a backup, or run `cryptoliq train`"
    return None


def check_pointer(models: ModelStore) -> Problem | None:
    """Check the pointer to the current version; None also if the audit log cannot be read."""
    try:
        problem = models.pointer().problem
    except OSError:
        # It needs the audit log, which is an item itself.
        return None
    if problem is None:
        return None
    what, _, remedy = problem.partition("; ")
    return what, remedy


def check_model(models: ModelStore, version: str, *, current: str | None, deep: bool) -> Problem | None:
    """Check a stored model.

    Args:
        models: The model registry.
        version: The version.
        current: The current version; None without one.
        deep: Also load the model.
    """
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


def check_candidate_files(path: Path, settings: Settings) -> Problem | None:
    """Check the files of a candidate or of the leaderboard."""
    from cryptoliq_assets.modeling.registry import check_candidate

    key = settings.signing_key.get_secret_value().encode() if settings.signing_key else None
    try:
        check_candidate(path.parent, path.stem, signing_key=key)
    except ModelRejectedError as error:
        return error.reason, "`cryptoliq train` writes it again"
    return None


def check_document(path: Location, wrong: str | None) -> Problem | None:
    """Check a report; `wrong` is a known problem of its content."""
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
    return wrong, "remove it; `cryptoliq materialize`, `train` or `monitor` (the command that wrote it) writes it again"
