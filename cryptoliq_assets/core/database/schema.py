"""The schema of the Postgres database: the migrations that were applied, and those to apply.

Add a migration as a module in `migrations/versions/`. The table of versions has a name of its own: Dagster's tables are in the
same database, and it records its versions under alembic's usual name.
"""

from typing import TYPE_CHECKING

from cryptoliq_assets.core.database.errors import DatabaseUnavailableError

if TYPE_CHECKING:
    import sqlalchemy as sa

VERSION_TABLE = "cryptoliq_schema"
# The revisions in order; the packaged files have these.
REVISIONS = ("0001", "0002")
# Any constant: two first connections at once migrate one after the other.
_MIGRATION_LOCK = 0x6372_7970_746F_6C71

_current: set[str] = set()


def is_current(url: str) -> bool:
    """Return whether this process has seen the current schema behind a URL."""
    return url in _current


def ensure_schema(connection: "sa.Connection", url: str) -> None:
    """Apply the migrations that the database lacks.

    Args:
        connection: Connection in a transaction.
        url: Its URL.

    Raises:
        DatabaseUnavailableError: A later version of cryptoliq made the schema.
    """
    if _find_revision(connection) != REVISIONS[-1]:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_MIGRATION_LOCK})")
        found = _find_revision(connection)
        if found is not None and found not in REVISIONS:
            raise DatabaseUnavailableError(
                f"the database of CRYPTOLIQ_POSTGRES_URL has the schema {found} of a later version; this one knows "
                f"{REVISIONS[-1]}: upgrade cryptoliq on this machine"
            )
        if found != REVISIONS[-1]:
            _upgrade(connection)
    _current.add(url)


def _find_revision(connection: "sa.Connection") -> str | None:
    exists = connection.exec_driver_sql(f"SELECT to_regclass('{VERSION_TABLE}')").scalar()
    if exists is None:
        return None
    found = connection.exec_driver_sql(f"SELECT version_num FROM {VERSION_TABLE}").scalar()
    return None if found is None else str(found)


def _upgrade(connection: "sa.Connection") -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "cryptoliq_assets.core.database:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, REVISIONS[-1])
