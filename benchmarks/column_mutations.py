"""Snapshot files with a complete column changed, and the result that the contract requires.

A mutation takes a valid file of about 20 rows or more. `Mutation.find_error` compares the report of the file with the contract: errors
must not pass silently. Mutations that the contract does not mention (a constant volume, two swapped columns) may be accepted or rejected.
"""

import csv
import io
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, str]
Expectation = Callable[[dict[str, Any]], str | None]
_VITAL = ("coin", "price", "24h_volume")
_OPTIONAL = ("1h", "24h", "7d", "mkt_cap")
_USD = ("price", "24h_volume", "mkt_cap")
_FACTORS = (-1.0, 1e-12, 1e-6, 0.01, 100.0, 1e6, 1e12)
# Fractions of empty cells above which a column is named, and above which the file is rejected; both are defaults of settings.
_NAMED_FRACTION, _REJECTED_FRACTION = 0.2, 0.5
# Below this derived value, any stated value may be equal within the tolerance.
_COMPARABLE = 1e-4


@dataclass(frozen=True)
class Mutation:
    """A changed file.

    Attributes:
        description: How it was changed.
        content: The bytes of the file.
        find_error: Returns the error in a report about it, None if it is correct.
    """

    description: str
    content: bytes
    find_error: Expectation


def mutate_columns(content: bytes, chance: random.Random) -> Mutation:
    """Change a complete column of a valid file, or two related ones."""
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    return chance.choice([_empty, _constant, _scaled, _scaled_to_unit, _swapped, _contradicting])(rows, chance)


def _empty(rows: list[Row], chance: random.Random) -> Mutation:
    """Empty cells in most rows of a column, or in some."""
    column = chance.choice([*_VITAL, *_OPTIONAL, "symbol", "date"])
    chosen = chance.sample(range(len(rows)), round(chance.choice([0.1, 0.35, 0.7, 0.9, 1.0]) * len(rows)))
    for place in chosen:
        rows[place][column] = ""
    fraction = len(chosen) / len(rows)
    expected = _accept_any
    if column in (*_VITAL, "date") and fraction > _REJECTED_FRACTION:
        expected = _require_rejection
    elif column in _OPTIONAL and fraction > _NAMED_FRACTION:
        expected = _require_name(column)
    return _make_mutation(f"{column} is empty in {fraction:.0%} of the rows", rows, expected)


def _constant(rows: list[Row], chance: random.Random) -> Mutation:
    column, value = chance.choice([*_VITAL, *_OPTIONAL, "symbol", "date"]), chance.choice(["0", "1", "first", "nan"])
    value = rows[0][column] if value == "first" else value
    for row in rows:
        row[column] = value
    no_price = column == "price" and value in ("0", "nan")
    no_volume = column == "24h_volume" and value == "nan"
    no_date = column == "date" and value in ("0", "1", "nan")
    expected = _require_rejection if no_price or no_volume or no_date else _accept_any
    if column in _OPTIONAL and value == "nan":
        expected = _require_name(column)
    return _make_mutation(f"{column} is {value} in all rows", rows, expected)


def _scaled(rows: list[Row], chance: random.Random) -> Mutation:
    """Multiply a column by a factor, as if in another unit."""
    column, factor = chance.choice([*_USD, "1h", "24h", "7d"]), chance.choice(_FACTORS)
    for row in rows:
        row[column] = _multiply(row[column], factor)
    negative = column in _USD and factor < 0
    # A turnover of a day is between a thousandth and one in a real file.
    other_scale = column in ("24h_volume", "mkt_cap") and factor in (1e-12, 1e12)
    in_millions = column == "mkt_cap" and factor == 1e-6
    expected = _require_rejection if negative or other_scale or in_millions else _accept_any
    return _make_mutation(f"{column} times {factor:g}", rows, expected)


def _scaled_to_unit(rows: list[Row], chance: random.Random) -> Mutation:
    """Scale price and volume to [0, 1], like training data."""
    for column in ("price", "24h_volume"):
        values = [float(row[column]) for row in rows if row[column]]
        low, high = min(values), max(values)
        for row in rows:
            if row[column]:
                row[column] = repr((float(row[column]) - low) / (high - low))
    return _make_mutation("price and 24h_volume scaled to [0, 1]", rows, _require_rejection)


def _swapped(rows: list[Row], chance: random.Random) -> Mutation:
    first, second = chance.sample([*_VITAL, *_OPTIONAL, "symbol"], 2)
    for row in rows:
        row[first], row[second] = row[second], row[first]
    return _make_mutation(f"{first} and {second} swapped", rows, _accept_any)


def _contradicting(rows: list[Row], chance: random.Random) -> Mutation:
    """Add a stated derived column that is wrong in most rows, or in some."""
    column = chance.choice(["liquidity_ratio", "price_change_24h"])
    derived = [_ratio(row) if column == "liquidity_ratio" else _change(row) for row in rows]
    comparable = [place for place, value in enumerate(derived) if value is not None and abs(value) > _COMPARABLE]
    wrong = set(chance.sample(comparable, round(chance.choice([0.2, 0.8, 1.0]) * len(comparable))))
    factor = chance.choice([-1.0, 0.5, 3.7, 1e6])
    for place, (row, value) in enumerate(zip(rows, derived, strict=True)):
        row[column] = "" if value is None else repr(value * factor if place in wrong else value)

    def check_counts(report: dict[str, Any]) -> str | None:
        # A negative ratio rejects its complete row.
        counted = report["contradicted_cells"].get(column, 0) + sum(report["rows_refused"].values())
        if report["accepted"] and counted < len(wrong):
            return f"{len(wrong)} stated values of {column} are wrong, and the report does not count them"
        return None

    return _make_mutation(f"{column} times {factor:g} in {len(wrong)} of {len(comparable)} rows", rows, check_counts)


def _make_mutation(description: str, rows: Sequence[Row], expected: Expectation) -> Mutation:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return Mutation(description, text.getvalue().encode(), expected)


def _accept_any(report: dict[str, Any]) -> str | None:
    return None


def _require_rejection(report: dict[str, Any]) -> str | None:
    return "the file is accepted" if report["accepted"] else None


def _require_name(column: str) -> Expectation:
    def check_issues(report: dict[str, Any]) -> str | None:
        return None if any(column in issue for issue in report["issues"]) else f"no issue names {column}"

    return check_issues


def _parse_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _multiply(text: str, factor: float) -> str:
    value = _parse_number(text)
    return text if value is None else repr(value * factor)


def _ratio(row: Row) -> float | None:
    volume, cap = _parse_number(row["24h_volume"]), _parse_number(row["mkt_cap"])
    return None if volume is None or not cap else volume / cap


def _change(row: Row) -> float | None:
    price, change = _parse_number(row["price"]), _parse_number(row["24h"])
    return None if price is None or change is None or change <= -100 else price - price / (1 + change / 100)
