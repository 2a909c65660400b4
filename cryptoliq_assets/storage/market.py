"""The market of a data directory, found or created by the tables at its location."""

from cryptoliq_assets.core import Settings, ensure_home_id
from cryptoliq_assets.core.database import Market
from cryptoliq_assets.storage.ownership import claim_files, ensure_market
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


def check_files_owner(settings: Settings) -> None:
    """Check that this data directory may use the files at `CRYPTOLIQ_STORAGE__FILES_URL`; the first one to do so owns them.

    With Postgres its market owns them, so the data directories of a market share them. A process checks once.

    Args:
        settings: Settings of the data directory.

    Raises:
        ForeignTableError: They belong to another data directory or market.
        StoreUnavailableError: Their store or the database does not answer.
    """
    if settings.files_location is not None:
        claim_files(settings, ensure_home_id(settings) if settings.postgres_url is None else join_market(settings).id)
