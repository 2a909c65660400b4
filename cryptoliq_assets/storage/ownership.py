"""Ownership of month files: two data directories on one location must not overwrite each other's months.

Raw months name the received files that they contain by arrival number, and every data directory assigns its own numbers. To another
directory the rows look like those of its own, older files, so it would replace them.
"""

from collections.abc import Mapping

from cryptoliq_assets.core import Location, Settings, read_home_id


class ForeignTableError(RuntimeError):
    """Another data directory wrote a month file; the message states the remedy."""


def reject_foreign_months(settings: Settings, owners: Mapping[Location, str]) -> None:
    """Check that this data directory may write some month files.

    Args:
        settings: Settings of the data directory.
        owners: Identifier of the data directory that wrote each file; empty for a file of an earlier version, which belongs to nobody.

    Raises:
        ForeignTableError: Another data directory wrote one of them.
    """
    own = read_home_id(settings)
    for path, owner in owners.items():
        if owner not in ("", own):
            raise ForeignTableError(
                f"{path} was written by another data directory, {owner}; this one, {own or 'without an id'}, would overwrite its "
                "months. Set CRYPTOLIQ_STORAGE__URL to a location of its own; only if this directory replaces the other one, "
                f"write {owner} into {settings.home_id_path}"
            )
