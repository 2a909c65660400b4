"""Files of model cards: one page per version, and reports/model_card.html, the page of the current version.

What a card shows belongs in `modeling.model_card.facts`, how in `modeling.model_card.html`.
"""

from cryptoliq_assets.core import Location, file_exists, list_files, read_stored, remove_file, write_file, write_files


def card_path(reports_dir: Location) -> Location:
    """Return the path of the card of the current model."""
    return reports_dir / "model_card.html"


def save_card(reports_dir: Location, version: str, page: str, *, stored: list[str]) -> Location:
    """Write the card of a version that became current, and remove cards of versions that are no longer `stored`.

    Args:
        reports_dir: Folder of the reports.
        version: The version.
        page: The card, as HTML.
        stored: Versions that are still stored.
    """
    content = page.encode("utf-8")
    write_files({_version_path(reports_dir, version): content, card_path(reports_dir): content})
    for path in list_files(reports_dir / "model_cards", ".html"):
        if path.stem not in {version, *stored}:
            remove_file(path)
    return card_path(reports_dir)


def publish_card(reports_dir: Location, version: str) -> None:
    """Show the card of a version after a rollback; without one, remove the other model's."""
    card = _version_path(reports_dir, version)
    if file_exists(card):
        write_file(card_path(reports_dir), read_stored(card))
    else:
        remove_file(card_path(reports_dir))


def _version_path(reports_dir: Location, version: str) -> Location:
    return reports_dir / "model_cards" / f"{version}.html"
