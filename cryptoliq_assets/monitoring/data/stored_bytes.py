"""Verification of everything stored: archive, tables, models, candidates, audit log, catalog and reports.

Add a new kind of stored item to `_items`; its check belongs in `stored_checks`. The asset `stored_bytes` and `cryptoliq verify`
both call `verify_home`.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from cryptoliq_assets.core import (
    FileReadError,
    Location,
    Settings,
    is_remote,
    list_files,
    read_home_id,
    read_json_object,
    write_json,
)
from cryptoliq_assets.ingestion.landing import (
    CatalogDamagedError,
    CatalogEntry,
    open_catalog,
    repair_catalog,
    restore_from_drop_folder,
)
from cryptoliq_assets.modeling.registry import LINK, POINTER_FILE, ModelStore, open_model_store
from cryptoliq_assets.monitoring.alert_kinds import require_alert_kind
from cryptoliq_assets.monitoring.alert_registry import FAIL, OK
from cryptoliq_assets.monitoring.data import stored_checks as checks
from cryptoliq_assets.monitoring.findings import Finding
from cryptoliq_assets.monitoring.reports import VERIFY_REPORT
from cryptoliq_assets.schemas import TABLES, TRAINING_TABLES
from cryptoliq_assets.storage import TableStore, set_aside_month

CATALOG, ARCHIVE, TABLE = "catalogue", "archive", "table"
LEDGER, POINTER, MODEL, CANDIDATE, REPORTS = "ledger", "pointer", "model", "candidate", "report"
_LISTED = 5
_DATA_DAMAGED = require_alert_kind("data_damaged")
# One subject for all items: the finding recovers at the next verification without damage.
_WHERE = "stored bytes"


@dataclass(frozen=True)
class DamagedItem:
    """One damaged item: kind, path, problem, and its remedy."""

    kind: str
    path: str
    problem: str
    remedy: str


@dataclass(frozen=True)
class Verification:
    """The result of one verification.

    Attributes:
        made_at: ISO time.
        deep: Whether contents were checked as well.
        checked: Number of items by kind.
        damaged: The damaged items.
        repaired: One sentence per repair.
    """

    made_at: str
    deep: bool
    checked: dict[str, int]
    damaged: list[DamagedItem]
    repaired: list[str]

    def to_finding(self) -> Finding:
        """Return data_damaged, as the monitor reports it."""
        figures = {"checked": self.checked, "damaged": len(self.damaged), "deep": self.deep}
        if not self.damaged:
            what = f"{sum(self.checked.values()):,} stored item(s) are unchanged"
            return Finding(_DATA_DAMAGED, OK, _WHERE, what, figures=figures)
        named = "; ".join(f"{each.path}: {each.problem}; {each.remedy}" for each in self.damaged[:_LISTED])
        more = f"; and {len(self.damaged) - _LISTED} more" if len(self.damaged) > _LISTED else ""
        what = f"{len(self.damaged)} stored item(s) are damaged: {named}{more}"
        return Finding(_DATA_DAMAGED, FAIL, _WHERE, what, self.made_at, figures)

    def to_dict(self) -> dict[str, Any]:
        """Return the content of reports/verify.json."""
        return {**asdict(self), "conditions": [self.to_finding().to_dict()]}


# An item to check: its kind, its path, and the check, which returns the problem and its remedy.
_Item = tuple[str, str, Callable[[], checks.Problem | None]]


def verify_home(
    settings: Settings,
    *,
    deep: bool = False,
    repair: bool = False,
    progress: Callable[[str, int, int], None] = lambda kind, done, total: None,
) -> Verification:
    """Verify all stored items and write reports/verify.json.

    Args:
        settings: Paths and keys.
        deep: Also check contents: the rows of each month against the digests of its fingerprint and its schema, and each model by
            loading it.
        repair: Rebuild a damaged catalog, restore archived files from the drop folder, and set damaged months aside for the
            next refresh. The caller holds the run lock.
        progress: Called with the kind, the number of finished items and the number of all items.

    Returns:
        The result.
    """
    repaired = _repair_catalog(settings) if repair else []
    items = list(_items(settings, deep=deep))
    checked: Counter[str] = Counter()
    damaged = []
    for done, (kind, path, check) in enumerate(items, 1):
        problem = check()
        if problem and repair and (sentence := _repair_item(settings, kind, path)):
            repaired.append(sentence)
            problem = check()
        if problem:
            damaged.append(DamagedItem(kind, path, *problem))
        checked[kind] += 1
        progress(kind, done, len(items))
    made_at = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    result = Verification(made_at, deep, dict(checked), damaged, repaired)
    write_json(settings.reports_dir / VERIFY_REPORT, result.to_dict())
    return result


def read_last_verification(settings: Settings) -> dict[str, Any] | None:
    """Read the result of the last verification from reports/verify.json.

    Args:
        settings: Where the reports are stored.

    Returns:
        made_at, deep, number of checked items and paths of damaged ones; None before the first verification.

    Raises:
        FileReadError: The report cannot be read.
    """
    path = settings.reports_dir / VERIFY_REPORT
    try:
        report = read_json_object(path)
        return {
            "made_at": str(report["made_at"]),
            "deep": bool(report["deep"]),
            "checked": sum(report["checked"].values()),
            "damaged": [str(each["path"]) for each in report["damaged"]],
        }
    except FileNotFoundError:
        return None
    except (KeyError, TypeError, AttributeError) as error:
        raise FileReadError("damaged", f"{path} is damaged ({error!r}); `cryptoliq verify` writes it again") from error


def find_damaged_data(settings: Settings, now: dt.datetime, *, store: TableStore) -> list[Finding]:
    """Return data_damaged: a damaged catalog, months blocked by a damaged archived file, else the last verification.

    Args:
        settings: Paths.
        now: UTC.
        store: The tables.
    """
    # Not at the top: every Dagster process imports the monitor, and few need the parser.
    from cryptoliq_assets.ingestion.landing import make_plan

    try:
        blocked = make_plan(settings, open_catalog(settings), store=store, today=now.date()).blocked
    except CatalogDamagedError as error:
        return [Finding(_DATA_DAMAGED, FAIL, _WHERE, str(error))]
    if blocked:
        what = "; ".join(f"{month} cannot be computed: {reason}" for month, reason in sorted(blocked.items())[:_LISTED])
        return [Finding(_DATA_DAMAGED, FAIL, _WHERE, what, figures={"months": sorted(blocked)})]
    try:
        [finding] = read_json_object(settings.reports_dir / VERIFY_REPORT)["conditions"]
        return [Finding.from_dict(finding)]
    except FileNotFoundError:
        return [Finding(_DATA_DAMAGED, OK, _WHERE, "not verified yet: run `cryptoliq verify`")]
    except (OSError, ValueError, KeyError, TypeError):
        # A report that cannot be read is the finding `report_broken`.
        return []


def _items(settings: Settings, *, deep: bool) -> Iterator[_Item]:
    yield CATALOG, str(settings.catalog_path), lambda: checks.check_catalog(settings)
    for file in _archived(settings):
        path = str(settings.archive_dir / str(file.archived_as))
        yield ARCHIVE, path, partial(checks.check_archived, file, settings)
    store = TableStore(settings)
    for table in TABLES:
        for month in store.months(table):
            path = str(store.path(table, month))
            yield TABLE, path, partial(checks.check_month, store, table, month, deep=deep)
    models = open_model_store(settings)
    current, versions = _stored_models(models)
    yield LEDGER, str(models.ledger.path), lambda: checks.check_ledger(models, versions)
    if versions:
        name = POINTER_FILE if is_remote(models.folder) else LINK
        yield POINTER, str(models.folder / name), lambda: checks.check_pointer(models)
    for version in versions:
        path = str(models.folder / f"{version}.pkl")
        yield MODEL, path, partial(checks.check_model, models, version, current=current, deep=deep)
    for candidate in sorted(settings.candidates_dir.glob("*.json")):
        yield CANDIDATE, str(candidate), partial(checks.check_candidate_files, candidate, settings)
    wrong = checks.find_wrong_reports(settings)
    for document in _documents(settings):
        yield REPORTS, str(document), partial(checks.check_document, document, wrong.get(str(document)))


def _archived(settings: Settings) -> list[CatalogEntry]:
    """Return versions with a copy in the archive; none if the catalog is damaged, which is an item itself."""
    try:
        files = open_catalog(settings).files(states=["accepted", "superseded"])
    except (CatalogDamagedError, OSError):
        return []
    # With an archive of their own, other data directories of the market verify what they received.
    shared = settings.files_location is not None
    own = [file for file in files if shared or file.received_by in ("", read_home_id(settings))]
    # A version that returned has its first copy.
    return list({file.archived_as: file for file in own}.values())


def _stored_models(models: ModelStore) -> tuple[str | None, list[str]]:
    """Return the current version and all stored ones; none if the audit log cannot be read, which is an item itself."""
    try:
        return models.current_version(), models.versions()
    except OSError:
        return None, []


def _documents(settings: Settings) -> list[Location]:
    """Return reports that are read back, including the backtest; that of the verification is written at the end."""
    kinds = [(settings.reports_dir, ".json"), (settings.reports_dir, ".parquet"), (settings.validation_dir, ".json")]
    paths = [path for folder, kind in kinds for path in list_files(folder, kind)]
    return [path for path in paths if path.name != VERIFY_REPORT]


def _repair_catalog(settings: Settings) -> list[str]:
    aside = repair_catalog(settings)
    return [f"the catalog was rebuilt from archive and reports; the damaged one is {aside}"] if aside else []


def _repair_item(settings: Settings, kind: str, path: str) -> str | None:
    """Repair one item if that loses nothing; return what was done, else None."""
    if kind == ARCHIVE:
        for file in _archived(settings):
            if str(settings.archive_dir / str(file.archived_as)) == path and restore_from_drop_folder(file, settings):
                return f"{path} was restored from data/raw"
    if kind == TABLE:
        store = TableStore(settings)
        for table in TABLES:
            for month in store.months(table):
                if str(store.path(table, month)) == path and (aside := set_aside_month(store, table, month)):
                    command = "train" if table in TRAINING_TABLES else "materialize"
                    return f"{path} was set aside as {aside.name}: `cryptoliq {command}` recomputes the month"
    return None
