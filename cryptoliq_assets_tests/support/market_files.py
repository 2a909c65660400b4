"""Files of a random market as rows of text cells, and their parsing both alone and together with other files."""

import random
from collections.abc import Callable

from cryptoliq_assets.ingestion.parsing import ParsedSnapshot, RawFile, parse_snapshot, parse_snapshots
from cryptoliq_assets_tests.support.csv_snapshots import FIRST, TODAY

NAME = "coingecko_20250310.csv"
HEADER = ["coin", "symbol", "price", "1h", "24h", "7d", "24h_volume", "mkt_cap", "date"]
Row = dict[str, str]


def market(rows: int = 40, *, seed: int = 3) -> list[Row]:
    """Make a market with prices over six decades, in which half of the coins fall."""
    generator = random.Random(seed)
    market_rows: list[Row] = []
    for n in range(rows):
        cap = 10 ** generator.uniform(6, 11)
        cells = (10 ** generator.uniform(-3, 3), generator.gauss(0, 1), (1, -1)[n % 2] * generator.uniform(1.5, 9))
        numbers = [*(f"{cell:.6g}" for cell in cells), f"{generator.gauss(0, 12):.4f}"]
        numbers += [f"{cap * 10 ** generator.gauss(-1.6, 0.4):.2f}", f"{cap:.2f}"]
        market_rows.append(dict(zip(HEADER, [f"Coin {n}", f"C{n}", *numbers, "2025-03-10"], strict=True)))
    return market_rows


def content(rows: list[Row]) -> bytes:
    lines = [list(rows[0]), *([f'"{cell}"' if "," in cell else cell for cell in row.values()] for row in rows)]
    return "".join(",".join(cells) + "\n" for cells in lines).encode()


def parse(rows: list[Row] | bytes, **options: object) -> ParsedSnapshot:
    """Parse a file alone, and check that the result is the same together with ordinary files."""
    raw = rows if isinstance(rows, bytes) else content(rows)
    single = parse_snapshot(raw, name=NAME, today=TODAY, first_date=FIRST, **options)
    files = [RawFile(NAME, each, TODAY) for each in (content(market(seed=8)), raw, content(market(seed=9)))]
    grouped = parse_snapshots(files, first_date=FIRST, **options)[1]
    assert grouped.report == single.report
    assert (grouped.rows is None) == (single.rows is None)
    assert grouped.rows is None or grouped.rows.equals(single.rows)
    return single


def changed(column: str, value: Callable[[int, str], str], *, rows: int = 40) -> list[Row]:
    return [row | {column: value(n, row[column])} for n, row in enumerate(market(rows))]


def with_columns(**columns: Callable[[Row], float | str]) -> list[Row]:
    return [row | {name: str(value(row)) for name, value in columns.items()} for row in market()]


def price_change(row: Row) -> float:
    return float(row["price"]) - float(row["price"]) / (1 + float(row["24h"]) / 100)


def ratio(row: Row) -> float:
    return float(row["24h_volume"]) / float(row["mkt_cap"])
