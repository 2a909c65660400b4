"""Markets: what data directories share whose tables are at one location.

A market is found by its location. Its id is in the stamps of its month files, where a data directory without Postgres has its
own: a market takes the id of the data directory that creates it, so existing months stay its own.
"""

import uuid
from dataclasses import dataclass
from pathlib import Path

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.core.database.connection import Database, open_database
from cryptoliq_assets.core.home import read_home_id
from cryptoliq_assets.core.locations import is_remote, resolve_location

_SCHEMES = {"s3a": "s3", "gcs": "gs"}
_found: dict[tuple[str, str], "Market"] = {}


class MarketError(RuntimeError):
    """A data directory cannot take part in the market at its location; the message states the remedy."""


@dataclass(frozen=True)
class Market:
    """One market in the database.

    Attributes:
        database: The database that has it.
        id: Its identifier, 32 hexadecimal digits.
        location: Location of its tables.
        import_pending: Whether the catalog of the data directory with this id is not in the database yet.
    """

    database: Database
    id: str
    location: str
    import_pending: bool = False


def market_location(settings: Settings) -> str:
    """Return the location by which a market is found: that of its tables.

    Args:
        settings: Settings of the data directory.
    """
    return shared_location(settings, settings.tables_url)


def shared_location(settings: Settings, url: str) -> str:
    """Return a location as all machines know it.

    What is inside the data directory is known by its identifier: the same path on two machines is two directories.

    Args:
        settings: Settings of the data directory.
        url: A folder, or a URL of an object store.
    """
    location = resolve_location(url, limits=settings.storage.limits)
    if is_remote(location):
        scheme, _, path = url.partition("://")
        return f"{_SCHEMES.get(scheme, scheme)}://{path.rstrip('/')}"
    folder = Path(location).resolve()
    if folder.is_relative_to(settings.home_dir.resolve()):
        return f"home:{read_home_id(settings)}/{folder.relative_to(settings.home_dir.resolve()).as_posix()}"
    return f"file://{folder.as_posix()}"


def find_market(settings: Settings) -> Market | None:
    """Return the market of a data directory; None where it has none yet, or without Postgres.

    Raises:
        DatabaseUnavailableError: The database does not answer.
    """
    database = open_database(settings)
    if database is None:
        return None
    location = market_location(settings)
    known = _found.get((database.url, location))
    if known is not None:
        return known
    with database.transaction() as session:
        rows = session.fetch(
            "SELECT id, import_pending FROM cryptoliq_markets WHERE location = :location", {"location": location}
        )
    if not rows:
        return None
    market = Market(database, rows[0][0], location, bool(rows[0][1]))
    # Neither changes any more.
    if not market.import_pending:
        _found[database.url, location] = market
    return market


def create_market(settings: Settings, *, home_id: str, import_pending: bool) -> Market:
    """Create the market of a data directory, unless another process has done so.

    Args:
        settings: Settings of the data directory, with Postgres.
        home_id: Its identifier, the market's too unless it has a market at another location.
        import_pending: Whether it has a catalog of its own that belongs into the database.

    Returns:
        The market at its location.
    """
    database = open_database(settings)
    assert database is not None
    location = market_location(settings)
    values = {"location": location, "id": home_id, "other": uuid.uuid4().hex, "pending": import_pending}
    with database.transaction() as session:
        session.execute(
            "INSERT INTO cryptoliq_markets (id, location, import_pending) VALUES (CASE WHEN EXISTS (SELECT 1 FROM"
            " cryptoliq_markets WHERE id = :id) THEN :other ELSE :id END, :location, :pending)"
            " ON CONFLICT (location) DO NOTHING",
            [values],
        )
    market = find_market(settings)
    assert market is not None
    return market


def forget_market(market: Market) -> None:
    """Read a market again at its next use, after it was changed."""
    _found.pop((market.database.url, market.location), None)
