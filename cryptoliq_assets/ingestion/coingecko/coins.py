"""Errors of single coins in CoinGecko's answers: which coins are left out, how each is named, and how many may be. Pure.

What makes a value valid is the contract's matter (`parsing.py`); here is only what keeps a coin from becoming a row at all.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from cryptoliq_assets.ingestion.coingecko.errors import OutputRejectedError
from cryptoliq_assets.schemas import CHANGE_COLUMNS, DERIVED_COLUMNS, OPTIONAL_NUMBERS

# Column of the contract → key of a coin in an answer.
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
TEXT_KEYS = ("symbol", "name", "last_updated")
# More coins with an error than this share are a fault of the source. One alone never is.
MAX_ERROR_SHARE = 0.05
# Without these on a whole page the answer is damaged; the other columns may be unknown for the smallest coins.
_PAGE_COLUMNS = ("price", "24h_volume")
_MARKET_COLUMNS = ("price", *CHANGE_COLUMNS, "24h_volume", "mkt_cap")
# Fewer coins than these say nothing about a column.
_MIN_PAGE_COINS, _MIN_MARKET_COINS = 50, 3
# Half of a surrogate pair cannot be encoded, and NUL makes a file binary.
_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")
_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_LISTED, _SHOWN = 50, 60


@dataclass(frozen=True)
class ValidatedPage:
    """A page of the market without the coins that no row can be made of.

    `received` counts all entries; `errors` has a sentence for each entry left out, `cleaned` one for each value changed.
    """

    coins: list[dict[str, Any]]
    received: int
    errors: list[str]
    cleaned: list[str]


def validate_page(page: Sequence[Any], *, number: int) -> ValidatedPage:
    """Separate the usable coins of page `number` (from 1) from those with an error; texts of the usable ones are clean."""
    coins, errors, cleaned = [], [], []
    for place, entry in enumerate(page, start=1):
        error = _entry_error(entry)
        if error:
            errors.append(f"{_name_of(entry, place=place, page=number)}: {error}")
            continue
        coin, changed = _clean(entry)
        coins.append(coin)
        cleaned += [f"{coin['id']}: {what}" for what in changed]
    return ValidatedPage(coins, len(page), errors, cleaned)


def parse_coin_id(entry: Any) -> str | None:
    """The id of an entry as it is written; None where it has none that can be."""
    value = entry.get("id") if isinstance(entry, dict) else None
    return clean_text(value) or None if isinstance(value, str) and not _UNWRITABLE.search(value) else None


def check_error_share(errors: Sequence[str], *, coins: int) -> None:
    """Raise OutputRejectedError, naming the coins, where more than MAX_ERROR_SHARE of `coins` (and more than one) have an error."""
    if len(errors) > max(1, int(MAX_ERROR_SHARE * coins)):
        raise OutputRejectedError(
            f"{len(errors)} of {coins} coins have an error, more than {MAX_ERROR_SHARE:.0%}, and nothing is written: "
            f"{join_names(errors)}; run it again later: all of it is requested again"
        )


def make_omitted_notes(errors: Sequence[str], *, coins: int) -> list[str]:
    """A sentence that names the coins left out; none where there are none."""
    return [f"{len(errors)} of {coins} coins have an error and are left out: {join_names(errors)}"] if errors else []


def make_cleaned_notes(cleaned: Sequence[str]) -> list[str]:
    return [f"{len(cleaned)} values were cleaned: {join_names(cleaned)}"] if cleaned else []


def check_page_columns(coins: Sequence[dict[str, Any]], *, number: int) -> None:
    """Raise OutputRejectedError where no coin of a page has a price or a volume."""
    if len(coins) >= _MIN_PAGE_COINS:
        _check_columns(coins, _PAGE_COLUMNS, what=f"page {number} of the market")


def check_market_columns(coins: Sequence[dict[str, Any]]) -> None:
    """Raise OutputRejectedError, naming the keys, where no coin of the market has a value of a column that a snapshot needs."""
    if len(coins) >= _MIN_MARKET_COINS:
        _check_columns(coins, _MARKET_COLUMNS, what="the market")


def _check_columns(coins: Sequence[dict[str, Any]], columns: Iterable[str], *, what: str) -> None:
    empty = [name for name in columns if all(coin.get(NUMBER_KEYS[name]) in (None, "") for coin in coins)]
    if empty:
        keys = ", ".join(f"{NUMBER_KEYS[name]} (column {name})" for name in empty)
        raise OutputRejectedError(
            f"{what}: {keys} missing or null in all {len(coins)} coins, and nothing is written; run it again later: all of it "
            "is requested again"
        )


def clean_text(value: Any) -> str:
    """A text of an answer as a cell: on one line, without what no file can hold; empty where it is no text."""
    return " ".join(_UNWRITABLE.sub("", value).split()) if isinstance(value, str) else ""


def parse_number(value: Any) -> int | float | None:
    """A number, or a text that states one; None for anything else."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value.strip()):
        return float(value)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def join_names(names: Sequence[str]) -> str:
    return "; ".join(names[:_LISTED]) + (f"; and {len(names) - _LISTED} more" if len(names) > _LISTED else "")


def _entry_error(entry: Any) -> str | None:
    """What keeps an entry of a page from being a coin."""
    if not isinstance(entry, dict):
        return f"{_shown(entry)} instead of a coin"
    if parse_coin_id(entry) is not None:
        return None
    if "id" not in entry:
        return "the key id is missing"
    return f"id is {_shown(entry['id'])}, expected a text"


def _name_of(entry: Any, *, place: int, page: int) -> str:
    """How a coin without a usable id is named to people."""
    texts = {key: clean_text(entry.get(key)) for key in ("id", "name", "symbol")} if isinstance(entry, dict) else {}
    known = [texts[key] for key in ("id", "name") if texts.get(key)] or [texts.get("symbol")]
    return " ".join([*filter(None, known), f"(entry {place} of page {page})"])


def _clean(entry: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The keys of a coin that a row needs, as values that JSON and CSV can hold; and what was changed."""
    coin: dict[str, Any] = {"id": parse_coin_id(entry)}
    changed = []
    for key in TEXT_KEYS:
        value = entry.get(key)
        coin[key] = clean_text(value)
        if value is not None and (not isinstance(value, str) or _UNWRITABLE.search(value)):
            changed.append(f"{key} is {_shown(value)}, written as {coin[key]!r}")
    for column, key in NUMBER_KEYS.items():
        value = entry.get(key)
        if isinstance(value, str):
            value = clean_text(value)
        if value is not None and value != "" and parse_number(value) is None:
            if column in (*DERIVED_COLUMNS, *OPTIONAL_NUMBERS):
                # A file may lack these: the coin stays.
                changed.append(f"{key} is {_shown(value)}, not a number: left empty")
                value = None
            elif not isinstance(value, str):
                # As text: the contract refuses it, with its reason.
                value = _shown(value)
        coin[key] = value
    return coin, changed


def _shown(value: Any) -> str:
    """A value as JSON, cut; always plain ASCII."""
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
