"""Ownership of month files and of files at a location: two data directories on one location must not overwrite each other's.

Raw months name the received files that they contain by arrival number. Without Postgres every data directory assigns its own numbers: to
another one the rows look like those of its own, older files, so it would replace them. With Postgres a market assigns the numbers, and
the data directories on one location are one market.
"""

import os
from collections.abc import Callable, Mapping

from cryptoliq_assets.core import (
    Location,
    Settings,
    create_file,
    ensure_home_id,
    file_exists,
    list_names,
    read_home_id,
    read_text,
)
from cryptoliq_assets.core.database import Market, create_market, find_market

# Identifier of the data directory or market that wrote each file; empty for a file of an earlier version, which belongs to nobody.
Owners = Mapping[Location, str]
# Object at the location of the files, with the identifier of who owns them.
_FILES_OWNER = "owner"
# What this process has checked; an owner never changes.
_claimed: set[tuple[Location, str]] = set()


class ForeignTableError(RuntimeError):
    """Another data directory wrote a month file, or files at a location; the message states the remedy."""


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
    own = (settings.archive_dir, settings.validation_dir)
    pending = os.path.lexists(settings.catalog_path) or any(map(list_names, own))
    return create_market(settings, home_id=home_id, import_pending=pending)


def claim_files(settings: Settings, own: str) -> None:
    """Check that the files at `CRYPTOLIQ_STORAGE__FILES_URL` are those of a data directory or market; files of nobody become its own.

    Args:
        settings: Settings of the data directory.
        own: Identifier of the data directory, or of its market.

    Raises:
        ForeignTableError: They belong to another one.
    """
    location = settings.files_location
    if location is None or (location, own) in _claimed:
        return
    mark = location / _FILES_OWNER
    if not file_exists(mark):
        create_file(mark, f"{own}\n")
    owner = read_text(mark).strip()
    if owner == own:
        _claimed.add((location, own))
        return
    if settings.postgres_url is not None:
        raise ForeignTableError(
            f"{location} has the files of another market or data directory, {owner}; the market of {settings.tables_url}, {own}, would mix "
            f"its own with them. Set CRYPTOLIQ_STORAGE__FILES_URL to a location of its own; only if this market replaces the other one, "
            f"write {own} into {mark}"
        )
    raise ForeignTableError(
        f"{location} has the files of another data directory, {owner}; this one, {own}, would mix its own with them. Set "
        "CRYPTOLIQ_STORAGE__FILES_URL to a location of its own, or on all machines CRYPTOLIQ_POSTGRES_URL to one database and "
        f"CRYPTOLIQ_STORAGE__URL to one location, to share it; only if this directory replaces the other one, write {owner} into "
        f"{settings.home_id_path}"
    )


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
