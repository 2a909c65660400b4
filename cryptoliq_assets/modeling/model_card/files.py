"""Files of model cards: one page per version, and reports/model_card.html, the page of the current version.

What a card shows belongs in `modeling.model_card.facts`, how in `modeling.model_card.html`.
"""

from pathlib import Path

from cryptoliq_assets.core import read_stored, write_file, write_files


def card_path(reports_dir: Path) -> Path:
    """Return the path of the card of the current model."""
    return reports_dir / "model_card.html"


def save_card(reports_dir: Path, version: str, page: str, *, stored: list[str]) -> Path:
    """Write the card of a version that became current, and remove cards of versions that are no longer `stored`.

    Args:
        reports_dir: Folder of the reports.
        version: The version.
        page: The card, as HTML.
        stored: Versions that are still stored.
    """
    content = page.encode("utf-8")
    write_files({_version_path(reports_dir, version): content, card_path(reports_dir): content})
    for path in (reports_dir / "model_cards").glob("*.html"):
        if path.stem not in {version, *stored}:
            path.unlink(missing_ok=True)
    return card_path(reports_dir)


def publish_card(reports_dir: Path, version: str) -> None:
    """Show the card of a version after a rollback; without one, remove the other model's."""
    card = _version_path(reports_dir, version)
    if card.exists():
        write_file(card_path(reports_dir), read_stored(card))
    else:
        card_path(reports_dir).unlink(missing_ok=True)


def _version_path(reports_dir: Path, version: str) -> Path:
    return reports_dir / "model_cards" / f"{version}.html"
