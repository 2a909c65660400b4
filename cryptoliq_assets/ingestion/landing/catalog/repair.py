"""Repair a damaged catalog, and compare a catalog with the validation reports and the archive."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptoliq_assets.core import FileReadError, Settings
from cryptoliq_assets.ingestion.landing.catalog.entries import CatalogEntry
from cryptoliq_assets.ingestion.landing.catalog.file_catalog import Catalog
from cryptoliq_assets.ingestion.landing.catalog.opening import open_catalog
from cryptoliq_assets.ingestion.landing.catalog.sqlite_file import JOURNALS, CatalogDamagedError
from cryptoliq_assets.ingestion.landing.safe_open import read_file
from cryptoliq_assets.ingestion.reports import find_reports

# Which side of a disagreement is wrong.
CATALOG, REPORT = "catalog", "report"


@dataclass(frozen=True)
class Disagreement:
    """A field in which catalog and report of a file differ.

    Attributes:
        file: Row of the catalog.
        field: "sha256" or "dates".
        catalog_value: Value in the catalog.
        report_value: Value in the report.
        wrong: CATALOG or REPORT, the one that the archived copy contradicts; None if undecidable.
    """

    file: CatalogEntry
    field: str
    catalog_value: str
    report_value: str
    wrong: str | None


def repair_catalog(settings: Settings) -> Path | None:
    """Set a damaged catalog aside and rebuild it. A catalog that report and archived copy contradict counts as damaged.

    Args:
        settings: Settings of the data directory.

    Returns:
        Path of the damaged catalog, None if the catalog is valid.
    """
    if settings.postgres_url is not None:
        # Other data directories use it: nothing is set aside that only a backup of the database replaces.
        return None
    try:
        catalog = open_catalog(settings)
        catalog.check()
        if not any(each.wrong == CATALOG for each in find_disagreements(catalog, settings)):
            return None
    except CatalogDamagedError:
        pass
    path = settings.catalog_path
    aside = path.with_name(f"{path.name}.damaged")
    # Move its journals first: SQLite would apply them to the new catalog.
    for end in JOURNALS:
        journal = path.with_name(path.name + end)
        if os.path.lexists(journal):
            os.replace(journal, aside.with_name(aside.name + end))
    if os.path.lexists(path):
        os.replace(path, aside)
    open_catalog(settings)
    return aside


def find_disagreements(catalog: Catalog, settings: Settings) -> list[Disagreement]:
    """Compare the rows of accepted files with their reports; the archived copy decides which of the two is wrong.

    Args:
        catalog: Catalog to check.
        settings: Settings of the data directory.

    Returns:
        All differences.
    """
    disagreements = []
    files = catalog.files(states=["accepted", "superseded"])
    reports = find_reports(settings.validation_dir, [(file.name, file.arrival) for file in files])
    for file, report in zip(files, reports, strict=True):
        if report is None:
            continue
        dates = [date.isoformat() for date in file.dates]
        if (report.get("sha256"), report.get("dates")) != (file.sha256, dates):
            disagreements.append(_disagreement(file, report, settings))
    return disagreements


def _disagreement(file: CatalogEntry, report: dict[str, Any], settings: Settings) -> Disagreement:
    from cryptoliq_assets.ingestion.parsing import read_snapshot_dates

    try:
        content = read_file(settings.archive_dir / str(file.archived_as), settings)
    except (FileReadError, FileNotFoundError):
        content = None
    digest = None if content is None else hashlib.sha256(content).hexdigest()
    reported = str(report.get("sha256"))
    if reported != file.sha256:
        wrong = {reported: CATALOG, file.sha256: REPORT}.get(str(digest))
        return Disagreement(file, "sha256", file.sha256, reported, wrong)
    dates, reported = ", ".join(map(str, file.dates)), ", ".join(map(str, report.get("dates") or []))
    wrong = None
    if digest == file.sha256 and content is not None:
        # Rows may have been rejected: the file has at least the dates of its accepted rows.
        wrong = REPORT if read_snapshot_dates(content) >= set(file.dates) else CATALOG
    return Disagreement(file, "dates", dates, reported, wrong)
