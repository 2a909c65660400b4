"""Connections to the database of `CRYPTOLIQ_POSTGRES_URL`: each limited in time, its errors translated, its schema current.

A connection is opened for each transaction, so a restart of the server is not noticed between two of them, and a forked
process shares none.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.core.database.errors import DatabaseUnavailableError
from cryptoliq_assets.core.database.session import PostgresSession
from cryptoliq_assets.core.object_store import record_call

if TYPE_CHECKING:
    import sqlalchemy as sa

_Result = TypeVar("_Result")
# What a call to the database is named in messages.
DATABASE_NAME = "the database of CRYPTOLIQ_POSTGRES_URL"
# `status` has 10 s for everything.
_CONNECT_SECONDS = 3
_STATEMENT_SECONDS = 30
# As long as Dagster repeats its own calls.
_RESTART_SECONDS = 12.0
# A server that vanished without a word is noticed within 5 + 3·2 s while idle, and after this time while it owes an answer.
_LIMITS = {
    "connect_timeout": _CONNECT_SECONDS,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "cryptoliq",
    # The server, in turn, ends the session of a machine that vanished.
    "options": f"-c statement_timeout={_STATEMENT_SECONDS}s -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3",
}
# What Postgres and alembic need in addition to the data directory's own dependencies.
_PACKAGES = {"sqlalchemy": "sqlalchemy", "alembic": "alembic", "psycopg2": "psycopg2-binary"}


class Database:
    """The database behind one URL; cheap to create."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __repr__(self) -> str:
        return f"Database({DATABASE_NAME})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Database) and other.url == self.url

    def __hash__(self) -> int:
        return hash(self.url)

    @contextmanager
    def transaction(self) -> Iterator[PostgresSession]:
        """Open a transaction, committed at the end; the schema is migrated first if an earlier version made it.

        Raises:
            DatabaseUnavailableError: The server does not answer in time, or rejects connection or statement.
        """
        from cryptoliq_assets.core.database.schema import ensure_schema, is_current

        with translate_errors(), self.engine.connect() as connection:
            if not is_current(self.url):
                with connection.begin():
                    ensure_schema(connection, self.url)
            with connection.begin():
                yield PostgresSession(connection)

    @property
    def engine(self) -> "sa.Engine":
        """SQLAlchemy's engine, one for each URL."""
        return _open_engine(self.url)


def open_database(settings: Settings) -> Database | None:
    """Return the database of the settings; None where `CRYPTOLIQ_POSTGRES_URL` is not set. Nothing is connected.

    Raises:
        DatabaseUnavailableError: A package that it needs is not installed.
    """
    if settings.postgres_url is None:
        return None
    missing = [package for module, package in _PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise DatabaseUnavailableError(
            f"CRYPTOLIQ_POSTGRES_URL is set and {', '.join(missing)} is not installed: pip install {' '.join(missing)}"
        )
    return Database(settings.postgres_url.get_secret_value())


def explain_unusable_database(settings: Settings) -> str | None:
    """Explain why the database of the settings cannot be used; None if it can, or if none is set."""
    try:
        database = open_database(settings)
        if database is not None:
            with database.transaction() as session:
                session.fetch("SELECT 1")
    except DatabaseUnavailableError as error:
        return str(error)
    return None


def retry_during_restart(call: Callable[[], _Result]) -> _Result:
    """Make a call, again while the database restarts: a run that is about to begin need not fail for it.

    Args:
        call: What needs the database.

    Returns:
        Its result.

    Raises:
        DatabaseUnavailableError: The database did not answer in all this time.
    """
    from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

    attempts = Retrying(
        retry=retry_if_exception_type(DatabaseUnavailableError),
        stop=stop_after_delay(_RESTART_SECONDS),
        wait=wait_fixed(0.25),
        reraise=True,
    )
    return attempts(call)


@contextmanager
def translate_errors() -> Iterator[None]:
    """Raise DatabaseUnavailableError instead of errors of SQLAlchemy and of the driver; violated constraints pass."""
    from sqlalchemy import exc

    try:
        with record_call(DATABASE_NAME):
            yield
    except exc.IntegrityError:
        raise
    except exc.DBAPIError as error:
        # The driver's own message: SQLAlchemy adds the statement with its values.
        raise DatabaseUnavailableError(
            f"{DATABASE_NAME} does not answer: {' '.join(str(error.orig).split())}"
        ) from None
    except exc.ArgumentError as error:
        raise DatabaseUnavailableError(f"CRYPTOLIQ_POSTGRES_URL is no URL of a database ({error})") from None


@lru_cache
def _open_engine(url: str) -> "sa.Engine":
    from sqlalchemy import NullPool, create_engine, make_url

    given: Any = make_url(url).query
    limits = {name: value for name, value in _LIMITS.items() if name not in given}
    return create_engine(
        url,
        poolclass=NullPool,
        connect_args=limits,
        hide_parameters=True,
        # Rows are sent together: each on its own would wait for an answer.
        executemany_mode="values_plus_batch",
    )
