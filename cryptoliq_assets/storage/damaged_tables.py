"""Find damaged month files and set them aside, so that the next refresh makes them again."""

from cryptoliq_assets.core import Location
from cryptoliq_assets.schemas import DERIVED_TABLES, TABLES
from cryptoliq_assets.storage.parquet_store import TableStore, damaged_table_error
from cryptoliq_assets.storage.validation import DamagedTableError, schema_fingerprint, validate_table

# Days named in an error.
_LISTED = 3


def verify_rows(store: TableStore, table: str, month: str) -> None:
    """Read every row of a month, validate it, and compare it with the day digests of the month's stamp; InvalidTableError."""
    from cryptoliq_assets.storage.digests import day_digests

    spec, path = TABLES[table], store.path(table, month)
    frame = validate_table(spec, store.read(table, [month]), where=str(path))
    stamp = store.stamp(table, month)
    if stamp is None or stamp.schema != schema_fingerprint(spec):
        return
    found = {day: digest for day, (digest, _) in day_digests(frame).items()}
    days = sorted(day for day in {*found, *stamp.days} if found.get(day) != stamp.days.get(day))
    if days:
        listed = [f"{day} {found.get(day, 'no rows')}, expected {stamp.days.get(day, 'no rows')}" for day in days]
        reason = f"digest of the rows of {len(days)} day(s) differs: {'; '.join(listed[:_LISTED])}"
        raise damaged_table_error(spec, month, path, reason)


def is_intact(store: TableStore, table: str, month: str) -> bool:
    """Whether a month file can be opened and has the bytes that were written."""
    try:
        store.verify(table, month)
    except DamagedTableError:
        return False
    return True


def set_aside_month(store: TableStore, table: str, month: str) -> Location | None:
    """Rename a damaged month file: the month is then missing, and the next refresh makes it again.

    Call it under the run lock. Returns the new path; None where the file is not damaged, or cannot be made again.
    """
    path = store.path(table, month)
    if table not in DERIVED_TABLES or not path.exists() or is_intact(store, table, month):
        return None
    aside = path.with_name(f".{path.name}.damaged")
    path.rename(aside)
    return aside
