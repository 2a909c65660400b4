"""Documents of a market: small texts that are read and written as a whole."""

from cryptoliq_assets.core.database.markets import Market


def read_document(market: Market, name: str) -> str | None:
    """Return a document; None if it was never written.

    Args:
        market: Whose document.
        name: Its name.
    """
    with market.database.transaction() as session:
        rows = session.fetch(
            "SELECT content FROM cryptoliq_documents WHERE market = :market AND name = :name",
            {"market": market.id, "name": name},
        )
    return str(rows[0][0]) if rows else None


def write_document(market: Market, name: str, content: str) -> None:
    """Write a document.

    Args:
        market: Whose document.
        name: Its name.
        content: The new text.
    """
    with market.database.transaction() as session:
        session.execute(
            "INSERT INTO cryptoliq_documents (market, name, content) VALUES (:market, :name, :content)"
            " ON CONFLICT (market, name) DO UPDATE SET content = excluded.content",
            [{"market": market.id, "name": name, "content": content}],
        )
