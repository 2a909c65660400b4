"""The market of a data directory, found or created by the tables at its location."""

from cryptoliq_assets.core import Settings
from cryptoliq_assets.core.database import Market
from cryptoliq_assets.storage.ownership import ensure_market
from cryptoliq_assets.storage.parquet_store import TableStore


def join_market(settings: Settings) -> Market:
    """Return the market of a data directory with Postgres; it is created if its location has none.

    Args:
        settings: Settings of the data directory.

    Raises:
        ForeignTableError: The tables at a location without a market belong to another data directory.
        DatabaseUnavailableError: The database does not answer.
    """
    return ensure_market(settings, TableStore(settings).listed_once().raw_owners)
