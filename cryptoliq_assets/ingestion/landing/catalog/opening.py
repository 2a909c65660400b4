"""Open the catalog of the settings: that of the market with Postgres, otherwise the file of the data directory.

A catalog that is missing is rebuilt; the first start with Postgres moves the rows of the file into the market.
"""

import logging
import os
from collections.abc import Iterable
from pathlib import Path

from cryptoliq_assets.core import Location, Settings, list_names, read_home_id
from cryptoliq_assets.core.database import Market, MarketError, find_market, forget_market
from cryptoliq_assets.ingestion.landing.catalog.entries import CatalogEntry
from cryptoliq_assets.ingestion.landing.catalog.file_catalog import Catalog
from cryptoliq_assets.ingestion.landing.catalog.rebuild import read_archived_versions, rebuild_catalog
from cryptoliq_assets.storage import TableStore, check_files_owner, join_market

_LOG = logging.getLogger("cryptoliq.catalog")


def find_catalog(settings: Settings) -> Catalog | None:
    """Return the catalog as it is; None for a market that does not exist yet. Nothing is created or rebuilt.

    Args:
        settings: Settings of the data directory.
    """
    if settings.postgres_url is None:
        return Catalog(settings.catalog_path)
    market = find_market(settings)
    return None if market is None else _catalog_of(market, settings)


def open_catalog(settings: Settings) -> Catalog:
    """Open the catalog of a data directory; rebuild it first if it is missing although files were received.

    Args:
        settings: Settings of the data directory.

    Raises:
        MarketError: The catalog of the market is still in another data directory.
        ForeignTableError: Tables or files at the location belong to another data directory or market.
        DatabaseUnavailableError: Postgres does not answer.
    """
    check_files_owner(settings)
    if settings.postgres_url is None:
        catalog = Catalog(settings.catalog_path)
        if catalog.is_missing and (_has_files(settings.archive_dir) or _has_files(settings.validation_dir)):
            if os.path.lexists(_moved_path(settings)):
                # Months may have rows that other data directories of the market received.
                _check_complete(read_archived_versions(settings), settings)
            rebuild_catalog(settings)
        return catalog
    market = join_market(settings)
    catalog = _catalog_of(market, settings)
    if market.import_pending:
        _move_into_market(market, catalog, settings)
    if market.id == read_home_id(settings) and os.path.lexists(settings.catalog_path):
        # A process without the variable would use it, and assign its numbers a second time.
        os.replace(settings.catalog_path, _moved_path(settings))
    return catalog


def _catalog_of(market: Market, settings: Settings) -> Catalog:
    return Catalog(settings.catalog_path, market=market, home_id=read_home_id(settings))


def _move_into_market(market: Market, catalog: Catalog, settings: Settings) -> None:
    """Insert the rows of the data directory's own catalog into the empty market, and set the file aside."""
    if read_home_id(settings) != market.id:
        raise MarketError(
            f"the catalog of the tables at {settings.tables_url} is still in the data directory {market.id}: run "
            "`cryptoliq status` there once, with CRYPTOLIQ_POSTGRES_URL set, which moves it into the database"
        )
    path = settings.catalog_path
    own = Catalog(path)
    files = read_archived_versions(settings) if own.is_missing else own.files()
    _check_complete(files, settings)
    with market.database.transaction() as session:
        [(pending,)] = session.fetch(
            "SELECT import_pending FROM cryptoliq_markets WHERE id = :market FOR UPDATE", {"market": market.id}
        )
        if pending:
            catalog.insert_into(session, files)
            session.execute(
                "UPDATE cryptoliq_markets SET import_pending = FALSE WHERE id = :market", [{"market": market.id}]
            )
    forget_market(market)
    if pending and files:
        _LOG.warning(
            "the catalog of %d file(s), %s, was moved into the database of CRYPTOLIQ_POSTGRES_URL", len(files), path
        )


def _moved_path(settings: Settings) -> Path:
    return settings.catalog_path.with_name(f"{settings.catalog_path.name}.moved")


def _check_complete(files: Iterable[CatalogEntry], settings: Settings) -> None:
    """Check that a catalog to be moved or rebuilt knows every arrival in the raw months: months would lose their rows otherwise."""
    store = TableStore(settings).listed_once()
    known = {file.arrival for file in files}
    for month in store.months("raw_snapshots"):
        stamp = store.stamp("raw_snapshots", month)
        unknown = sorted(set(stamp.sources if stamp else ()) - known)
        if unknown:
            raise MarketError(
                f"{store.path('raw_snapshots', month)} has rows of the arrival(s) {', '.join(map(str, unknown[:5]))}, which the catalog "
                f"of this data directory does not know: restore the database, or put archives and validation reports of all data directories into {settings.archive_dir} and {settings.validation_dir}"
            )


def _has_files(folder: Location) -> bool:
    return any(not name.startswith(".") for name in list_names(folder))
