"""Total rows: a row with the sum of the others is rejected."""

import pytest
from hypothesis import given, strategies as st

from cryptoliq_assets.ingestion.csv.total_rows import is_total_name
from cryptoliq_assets_tests.support.market_files import market, parse


@pytest.mark.parametrize(
    "name",
    [
        "Total",
        "SUM",
        " all ",
        "Total market",
        "TOTAL:",
        "Grand Total",
        "Market total",
        "\u03a3",
        "Total (40 coins)",
        "Total USD",
        "TOTAL 2025-03-10",
        "Insgesamt",
    ],
)
def test_a_row_with_the_total_of_the_others_is_rejected(name: str) -> None:
    rows = market()
    total = sum(float(row["24h_volume"]) for row in rows)
    parsed = parse([*rows, rows[0] | {"coin": name, "24h_volume": f"{total * 0.992:.2f}"}])
    assert (parsed.report["rows_refused"], parsed.report["rows_kept"]) == ({"total_row": 1}, 40)
    assert "the sum of the other rows of its date" in parsed.report["issues"][0]


def test_a_coin_named_total_is_accepted() -> None:
    rows = market()
    total = sum(float(row["24h_volume"]) for row in rows)
    for name, volume in (("Total", 0.9 * total), ("Totality", total), ("Allianz", total)):
        assert parse([*rows, rows[0] | {"coin": name, "24h_volume": f"{volume:.2f}"}]).report["rows_kept"] == 41


@given(st.text(max_size=12))
def test_a_name_without_a_total_word_is_no_total(name: str) -> None:
    if not any(
        word in name.casefold()
        for word in ("total", "sum", "all", "aggregate", "gesamt", "\u03c3", "\u2211", "итого", "всего", "合计", "总计")
    ):
        assert not is_total_name(name)
