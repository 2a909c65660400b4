"""Validate the coins in CoinGecko's responses: which are left out, how messages name them, and how many may be.

Pure functions. Whether the value of a cell is valid is decided by `ingestion.parsing`; add here only what prevents a coin
from becoming a row at all.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cryptoliq_assets.ingestion.coingecko.errors import OutputRejectedError
from cryptoliq_assets.schemas import CHANGE_COLUMNS, DERIVED_COLUMNS, OPTIONAL_NUMBERS

# Contract column → key of a coin in a response.
NUMBER_KEYS = {
    "price": "current_price",
    "1h": "price_change_percentage_1h_in_currency",
    "24h": "price_change_percentage_24h_in_currency",
    "7d": "price_change_percentage_7d_in_currency",
    "24h_volume": "total_volume",
    "mkt_cap": "market_cap",
    "price_change_24h": "price_change_24h",
    "high_24h": "high_24h",
    "low_24h": "low_24h",
    "circulating_supply": "circulating_supply",
    "market_cap_rank": "market_cap_rank",
}
# Contract column → list of a chart.
CHART_SERIES = {"price": "prices", "mkt_cap": "market_caps", "24h_volume": "total_volumes"}
TEXT_KEYS = ("symbol", "name", "last_updated")
# A higher fraction of coins with an error is an error of the source. A single coin never is.
MAX_ERROR_FRACTION = 0.05
# A page on which no coin has these is damaged; the other columns may be unknown for the smallest coins.
_PAGE_COLUMNS = ("price", "24h_volume")
_MARKET_COLUMNS = ("price", *CHANGE_COLUMNS, "24h_volume", "mkt_cap")
# Minimum number of coins to decide about a column.
_MIN_PAGE_COINS, _MIN_MARKET_COINS = 50, 3
# A lone surrogate cannot be encoded, and NUL makes a file binary.
_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_MAX_LISTED, _MAX_SHOWN_CHARS = 50, 60


@dataclass(frozen=True)
class ValidatedPage:
    """A page of the market without the entries that cannot become a row.

    Attributes:
        coins: Usable coins: id, TEXT_KEYS and the keys of NUMBER_KEYS.
        received: Number of all entries.
        errors: A sentence for each entry left out.
        cleaned: A sentence for each changed value.
    """

    coins: list[dict[str, Any]]
    received: int
    errors: list[str]
    cleaned: list[str]


def validate_page(page: Sequence[Any], *, number: int) -> ValidatedPage:
    """Separate the usable coins of a page from entries with an error, and clean their texts.

    Args:
        page: Entries of a response of /coins/markets.
        number: Number of the page, from 1, for messages.

    Returns:
        The usable coins, and what was left out or changed.
    """
    coins, errors, cleaned = [], [], []
    for place, entry in enumerate(page, start=1):
        error = _entry_error(entry)
        if error:
            errors.append(f"{_describe_entry(entry, place=place, page=number)}: {error}")
            continue
        coin, changes = _clean(entry)
        coins.append(coin)
        cleaned += [f"{coin['id']}: {what}" for what in changes]
    return ValidatedPage(coins, len(page), errors, cleaned)


def parse_coin_id(entry: Any) -> str | None:
    """Return the id of an entry in a response, None if it has no valid one.

    Args:
        entry: Any JSON value.

    Returns:
        The id on one line.

    Example:
        >>> parse_coin_id({"id": " bitcoin "}), parse_coin_id({"id": 17}), parse_coin_id(None)
        ('bitcoin', None, None)
    """
    value = entry.get("id") if isinstance(entry, dict) else None
    return clean_text(value) or None if isinstance(value, str) and not _UNWRITABLE.search(value) else None


def check_error_fraction(errors: Sequence[str], *, coins: int) -> None:
    """Check that few enough coins have an error.

    Args:
        errors: A sentence for each coin with an error.
        coins: Number of all coins.

    Raises:
        OutputRejectedError: More than MAX_ERROR_FRACTION of the coins, and more than one, have an error; names them.
    """
    if len(errors) > max(1, int(MAX_ERROR_FRACTION * coins)):
        raise OutputRejectedError(
            f"{len(errors)} of {coins} coins have an error, more than {MAX_ERROR_FRACTION:.0%}, and nothing is written: "
            f"{join_names(errors)}; run it again later: everything is requested again"
        )


def make_omitted_notes(errors: Sequence[str], *, coins: int) -> list[str]:
    """Return a sentence that names the coins left out, if any.

    Args:
        errors: A sentence for each coin left out.
        coins: Number of all coins.

    Returns:
        At most one sentence.
    """
    return [f"{len(errors)} of {coins} coins have an error and are left out: {join_names(errors)}"] if errors else []


def make_cleaned_notes(cleaned: Sequence[str]) -> list[str]:
    """Return a sentence that names the changed values, if any."""
    return [f"{len(cleaned)} values were cleaned: {join_names(cleaned)}"] if cleaned else []


def check_page_columns(coins: Sequence[dict[str, Any]], *, number: int) -> None:
    """Check that some coin of a page has a price and a volume.

    Args:
        coins: Usable coins of the page.
        number: Number of the page, from 1, for messages.

    Raises:
        OutputRejectedError: No coin has one; names the keys.
    """
    if len(coins) >= _MIN_PAGE_COINS:
        _check_columns(coins, _PAGE_COLUMNS, what=f"page {number} of the market")


def check_market_columns(coins: Sequence[dict[str, Any]]) -> None:
    """Check that some coin of the market has a value in each column that a snapshot requires.

    Args:
        coins: Usable coins of all pages.

    Raises:
        OutputRejectedError: A column is empty; names the keys.
    """
    if len(coins) >= _MIN_MARKET_COINS:
        _check_columns(coins, _MARKET_COLUMNS, what="the market")


def _check_columns(coins: Sequence[dict[str, Any]], columns: Iterable[str], *, what: str) -> None:
    empty = [name for name in columns if all(coin.get(NUMBER_KEYS[name]) in (None, "") for coin in coins)]
    if empty:
        keys = ", ".join(f"{NUMBER_KEYS[name]} (column {name})" for name in empty)
        raise OutputRejectedError(
            f"{what}: {keys} missing or null in all {len(coins)} coins, and nothing is written; run it again later: everything "
            "is requested again"
        )


def clean_text(value: Any) -> str:
    """Convert a text of a response to a cell: one line, without characters that a file cannot contain.

    Args:
        value: Any JSON value.

    Returns:
        The text; empty if the value is not a string.

    Example:
        >>> clean_text("Wrapped   Bitcoin "), clean_text(7)
        ('Wrapped Bitcoin', '')
    """
    return " ".join(_UNWRITABLE.sub("", value).split()) if isinstance(value, str) else ""


def parse_number(value: Any) -> int | float | None:
    """Return a number, or the number that a string contains.

    Args:
        value: Any JSON value.

    Returns:
        The number; None for any other value, booleans included.

    Example:
        >>> parse_number(3), parse_number("1.5"), parse_number("many"), parse_number(True)
        (3, 1.5, None, None)
    """
    if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()):
        return float(value)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def join_names(names: Sequence[str]) -> str:
    """Join texts for a message; after 50, only the number of the others is given."""
    return "; ".join(names[:_MAX_LISTED]) + (
        f"; and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    )


def _entry_error(entry: Any) -> str | None:
    """Return why an entry of a page is not a coin, None if it is one."""
    if not isinstance(entry, dict):
        return f"{_to_ascii_json(entry)} instead of a coin"
    if parse_coin_id(entry) is not None:
        return None
    if "id" not in entry:
        return "the key id is missing"
    return f"id is {_to_ascii_json(entry['id'])}, expected a string"


def _describe_entry(entry: Any, *, place: int, page: int) -> str:
    """Return how messages name an entry without a usable id."""
    texts = {key: clean_text(entry.get(key)) for key in ("id", "name", "symbol")} if isinstance(entry, dict) else {}
    names = [texts[key] for key in ("id", "name") if texts.get(key)] or [texts.get("symbol", "")]
    return " ".join([*filter(None, names), f"(entry {place} of page {page})"])


def _clean(entry: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the keys of a coin that a row needs, as values valid in JSON and CSV, and what was changed."""
    coin: dict[str, Any] = {"id": parse_coin_id(entry)}
    changes = []
    for key in TEXT_KEYS:
        value = entry.get(key)
        coin[key] = clean_text(value)
        if value is not None and (not isinstance(value, str) or _UNWRITABLE.search(value)):
            changes.append(f"{key} is {_to_ascii_json(value)}, written as {coin[key]!r}")
    for column, key in NUMBER_KEYS.items():
        value = entry.get(key)
        if isinstance(value, str):
            value = clean_text(value)
        if value is not None and value != "" and parse_number(value) is None:
            if column in (*DERIVED_COLUMNS, *OPTIONAL_NUMBERS):
                # Optional columns: the coin stays.
                changes.append(f"{key} is {_to_ascii_json(value)}, not a number: left empty")
                value = None
            elif not isinstance(value, str):
                # As text: the parser rejects it and states the reason.
                value = _to_ascii_json(value)
        coin[key] = value
    return coin, changes


def _to_ascii_json(value: Any) -> str:
    """Return a value as JSON in ASCII, truncated."""
    text = json.dumps(value)
    return text if len(text) <= _MAX_SHOWN_CHARS else text[:_MAX_SHOWN_CHARS] + "…"
