"""Detection of damaged month files; a renamed one is recomputed by the next refresh."""

from cryptoliq_assets.core import Location
from cryptoliq_assets.core.database import prove_lock
from cryptoliq_assets.schemas import DERIVED_TABLES, TABLES, TRAINING_TABLES
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets.storage.validation import (
    DamagedTableError,
    damaged_table_error,
    schema_fingerprint,
    validate_table,
)

# Maximum number of days listed in an error.
_LISTED = 3


def verify_rows(store: TableStore, table: str, month: str) -> None:
    """Read and validate every row of a month, and compare the rows with the day digests of its stamp.

    Args:
        store: Tables.
        table: Name of the table.
        month: Month, YYYY-MM.

    Raises:
        InvalidTableError: The month is damaged, or does not satisfy its schema.
    """
    from cryptoliq_assets.storage.stamps import day_digests

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
    """Return whether a month file can be opened and contains the bytes that were written.

    Args:
        store: Tables.
        table: Name of the table.
        month: Month, YYYY-MM.
    """
    try:
        store.verify(table, month)
    except DamagedTableError:
        return False
    return True


def set_aside_month(store: TableStore, table: str, month: str) -> Location | None:
    """Rename a damaged month file: the month is then missing, and the next refresh (or training) recomputes it.

    Requires the run lock; raises LockLostError if it is lost.

    Args:
        store: Tables.
        table: Name of the table.
        month: Month, YYYY-MM.

    Returns:
        The new path; None if the file is not damaged, or cannot be recomputed.
    """
    path = store.path(table, month)
    computed = table in (*DERIVED_TABLES, *TRAINING_TABLES)
    if not computed or not path.exists() or is_intact(store, table, month):
        return None
    aside = path.with_name(f".{path.name}.damaged")
    prove_lock()
    path.rename(aside)  # type: ignore[arg-type]  # with_name keeps the class: both are a Path, or both a UPath.
    return aside
