"""Snapshot files with whole columns changed, and what the contract says must come of each.

A mutation takes a good file of some 20 rows or more. `Mutation.fault` compares the file's report with the contract: it is for what must not pass in
silence. Mutations about which the contract says nothing (a constant volume, two columns swapped) may be accepted or refused.
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
# Above this share of empty cells a column is named; above the other the file is of no use. Both are defaults of settings.
_NAMED_SHARE, _USELESS_SHARE = 0.2, 0.5
# Of a derived value, below this a stated one may be equal within the tolerance whatever it is.
_COMPARABLE = 1e-4


@dataclass(frozen=True)
class Mutation:
    """The changed file, how it was changed, and what is wrong with a report on it (None: nothing)."""

    description: str
    content: bytes
    fault: Expectation


def mutate_columns(content: bytes, chance: random.Random) -> Mutation:
    """Change a whole column of a good file, or two that belong together."""
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    return chance.choice([_empty, _constant, _scaled, _scaled_to_unit, _swapped, _contradicting])(rows, chance)


def _empty(rows: list[Row], chance: random.Random) -> Mutation:
    """Empty cells in most rows of a column, or in some."""
    column = chance.choice([*_VITAL, *_OPTIONAL, "symbol", "date"])
    chosen = chance.sample(range(len(rows)), round(chance.choice([0.1, 0.35, 0.7, 0.9, 1.0]) * len(rows)))
    for place in chosen:
        rows[place][column] = ""
    share = len(chosen) / len(rows)
    expected = _anything
    if column in (*_VITAL, "date") and share > _USELESS_SHARE:
        expected = _must_refuse
    elif column in _OPTIONAL and share > _NAMED_SHARE:
        expected = _must_name(column)
    return _made(f"{column} is empty in {share:.0%} of the rows", rows, expected)


def _constant(rows: list[Row], chance: random.Random) -> Mutation:
    column, value = chance.choice([*_VITAL, *_OPTIONAL, "symbol", "date"]), chance.choice(["0", "1", "first", "nan"])
    value = rows[0][column] if value == "first" else value
    for row in rows:
        row[column] = value
    no_price = column == "price" and value in ("0", "nan")
    no_volume = column == "24h_volume" and value == "nan"
    no_date = column == "date" and value in ("0", "1", "nan")
    expected = _must_refuse if no_price or no_volume or no_date else _anything
    if column in _OPTIONAL and value == "nan":
        expected = _must_name(column)
    return _made(f"{column} is {value} in all rows", rows, expected)


def _scaled(rows: list[Row], chance: random.Random) -> Mutation:
    """A column times a factor: another unit."""
    column, factor = chance.choice([*_USD, "1h", "24h", "7d"]), chance.choice(_FACTORS)
    for row in rows:
        row[column] = _times(row[column], factor)
    negative = column in _USD and factor < 0
    # A turnover of a day is between a thousandth and one in a real file.
    other_scale = column in ("24h_volume", "mkt_cap") and factor in (1e-12, 1e12)
    in_millions = column == "mkt_cap" and factor == 1e-6
    expected = _must_refuse if negative or other_scale or in_millions else _anything
    return _made(f"{column} times {factor:g}", rows, expected)


def _scaled_to_unit(rows: list[Row], chance: random.Random) -> Mutation:
    """Price and volume scaled to [0, 1], as tables for training are."""
    for column in ("price", "24h_volume"):
        values = [float(row[column]) for row in rows if row[column]]
        low, high = min(values), max(values)
        for row in rows:
            if row[column]:
                row[column] = repr((float(row[column]) - low) / (high - low))
    return _made("price and 24h_volume scaled to [0, 1]", rows, _must_refuse)


def _swapped(rows: list[Row], chance: random.Random) -> Mutation:
    first, second = chance.sample([*_VITAL, *_OPTIONAL, "symbol"], 2)
    for row in rows:
        row[first], row[second] = row[second], row[first]
    return _made(f"{first} and {second} swapped", rows, _anything)


def _contradicting(rows: list[Row], chance: random.Random) -> Mutation:
    """A stated derived column that is wrong in most rows, or in some."""
    column = chance.choice(["liquidity_ratio", "price_change_24h"])
    derived = [_ratio(row) if column == "liquidity_ratio" else _change(row) for row in rows]
    comparable = [place for place, value in enumerate(derived) if value is not None and abs(value) > _COMPARABLE]
    wrong = set(chance.sample(comparable, round(chance.choice([0.2, 0.8, 1.0]) * len(comparable))))
    factor = chance.choice([-1.0, 0.5, 3.7, 1e6])
    for place, (row, value) in enumerate(zip(rows, derived, strict=True)):
        row[column] = "" if value is None else repr(value * factor if place in wrong else value)

    def contradicted(report: dict[str, Any]) -> str | None:
        # A negative ratio takes its whole row out.
        found = report["contradicted_cells"].get(column, 0) + sum(report["rows_refused"].values())
        if report["accepted"] and found < len(wrong):
            return f"{len(wrong)} stated values of {column} are wrong, and the report does not count them"
        return None

    return _made(f"{column} times {factor:g} in {len(wrong)} of {len(comparable)} rows", rows, contradicted)


def _made(description: str, rows: Sequence[Row], expected: Expectation) -> Mutation:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return Mutation(description, text.getvalue().encode(), expected)


def _anything(report: dict[str, Any]) -> str | None:
    return None


def _must_refuse(report: dict[str, Any]) -> str | None:
    return "the file is accepted" if report["accepted"] else None


def _must_name(column: str) -> Expectation:
    def named(report: dict[str, Any]) -> str | None:
        return None if any(column in issue for issue in report["issues"]) else f"no issue names {column}"

    return named


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _times(text: str, factor: float) -> str:
    value = _number(text)
    return text if value is None else repr(value * factor)


def _ratio(row: Row) -> float | None:
    volume, cap = _number(row["24h_volume"]), _number(row["mkt_cap"])
    return None if volume is None or not cap else volume / cap


def _change(row: Row) -> float | None:
    price, change = _number(row["price"]), _number(row["24h"])
    return None if price is None or change is None or change <= -100 else price - price / (1 + change / 100)
