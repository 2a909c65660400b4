"""Where model cards lie: one page a version, and reports/model_card.html, the page of the version that is current."""

from pathlib import Path

from cryptoliq_assets.core import read_stored, write_file, write_files


def card_path(reports_dir: Path) -> Path:
    """The card of the current model."""
    return reports_dir / "model_card.html"


def save_card(reports_dir: Path, version: str, page: str, *, stored: list[str]) -> Path:
    """Write the card of a version that has just become current; cards of versions not `stored` any more are removed."""
    content = page.encode("utf-8")
    write_files({_of_version(reports_dir, version): content, card_path(reports_dir): content})
    for path in (reports_dir / "model_cards").glob("*.html"):
        if path.stem not in {version, *stored}:
            path.unlink(missing_ok=True)
    return card_path(reports_dir)


def publish_card(reports_dir: Path, version: str) -> None:
    """After a rollback: the card of `version` takes its place; where there is none, another model's must not stand."""
    kept = _of_version(reports_dir, version)
    if kept.exists():
        write_file(card_path(reports_dir), read_stored(kept))
    else:
        card_path(reports_dir).unlink(missing_ok=True)


def _of_version(reports_dir: Path, version: str) -> Path:
    return reports_dir / "model_cards" / f"{version}.html"
