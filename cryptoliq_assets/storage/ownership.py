"""Ownership of month files: two data directories on one location must not overwrite each other's months.

Raw months name the received files that they contain by arrival number. Without Postgres every data directory assigns its own numbers: to
another one the rows look like those of its own, older files, so it would replace them. With Postgres a market assigns the numbers, and
the data directories on one location are one market.
"""

import os
from collections.abc import Callable, Mapping

from cryptoliq_assets.core import Location, Settings, ensure_home_id, read_home_id
from cryptoliq_assets.core.database import Market, create_market, find_market

# Identifier of the data directory or market that wrote each file; empty for a file of an earlier version, which belongs to nobody.
Owners = Mapping[Location, str]


class ForeignTableError(RuntimeError):
    """Another data directory wrote a month file; the message states the remedy."""


def ensure_owner_id(settings: Settings, find_owners: Callable[[], Owners]) -> str:
    """Return the identifier that new month files contain: that of the market with Postgres, otherwise of the data directory.

    Args:
        settings: Settings of the data directory.
        find_owners: Finds the owners of its raw months.

    Raises:
        ForeignTableError: The tables at a location without a market belong to another data directory.
    """
    return ensure_home_id(settings) if settings.postgres_url is None else ensure_market(settings, find_owners).id


def ensure_market(settings: Settings, find_owners: Callable[[], Owners]) -> Market:
    """Return the market of a data directory with Postgres; it is created if its location has none.

    Args:
        settings: Settings of the data directory.
        find_owners: Finds the owners of its raw months.

    Raises:
        ForeignTableError: The tables at a location without a market belong to another data directory.
    """
    home_id = ensure_home_id(settings)
    market = find_market(settings)
    if market is not None:
        return market
    for path, owner in find_owners().items():
        if owner not in ("", home_id):
            raise ForeignTableError(
                f"{path} was written by another data directory, {owner}, whose catalog is not in the database: run `cryptoliq status` there "
                "once with CRYPTOLIQ_POSTGRES_URL and CRYPTOLIQ_STORAGE__URL as here; only if this directory replaces it, write "
                f"{owner} into {settings.home_id_path}"
            )
    own = (settings.catalog_path, settings.archive_dir, settings.validation_dir)
    return create_market(settings, home_id=home_id, import_pending=any(map(os.path.lexists, own)))


def reject_foreign_months(settings: Settings, owners: Owners) -> None:
    """Check that this data directory may write some month files.

    Args:
        settings: Settings of the data directory.
        owners: Who wrote each file.

    Raises:
        ForeignTableError: Another one wrote one of them.
    """
    market = find_market(settings)
    own = read_home_id(settings) if market is None else market.id
    for path, owner in owners.items():
        if owner in ("", own):
            continue
        if market is not None:
            raise ForeignTableError(
                f"{path} was written in another market, {owner}; the market of this location, {own}, would overwrite its months. Set "
                "CRYPTOLIQ_STORAGE__URL to a location of its own"
            )
        raise ForeignTableError(
            f"{path} was written by another data directory, {owner}; this one, {own or 'without an id'}, would overwrite its "
            "months. Set CRYPTOLIQ_STORAGE__URL to a location of its own, or on all machines CRYPTOLIQ_POSTGRES_URL to one database, to share "
            f"it; only if this directory replaces the other one, write {owner} into {settings.home_id_path}"
        )
