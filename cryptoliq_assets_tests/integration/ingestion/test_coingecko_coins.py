"""An error in the data of one coin affects that coin alone: it is left out or cleaned, and named; many errors fail the fetch."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.ingestion.coingecko.coins import NUMBER_KEYS, TEXT_KEYS, validate_page
from cryptoliq_assets.ingestion.coingecko.csv_export import (
    SNAPSHOT_COLUMNS,
    FetchResult,
    snapshot_file_name,
    validate_export,
)
from cryptoliq_assets.ingestion.coingecko.errors import FetchError
from cryptoliq_assets.ingestion.coingecko.market_pages import merge_pages
from cryptoliq_assets.ingestion.coingecko.responses import Response, parse_response
from cryptoliq_assets.ingestion.coingecko.snapshot import fetch_snapshot, make_row
from cryptoliq_assets_tests.support.coingecko_api import MISSING, NOW, FakeClock, Service, coin, make_fetch_settings
from cryptoliq_assets_tests.support.coingecko_runs import DAY, rows_by_coin

COINS = 60


def fetch(home: Path, service: Service, *, coins: int | None = None, **options: Any) -> FetchResult:
    top = coins or len(service.coins)
    return fetch_snapshot(make_fetch_settings(home, service, coingecko__top_n=top, **options), clock=FakeClock())


def changed(rank: int, **values: Any) -> dict[str, Any]:
    return {key: value for key, value in (coin(rank) | values).items() if value is not MISSING}


# Entry instead of the third coin → text of the note on it.
ERRORS = {
    "null id": (changed(3, id=None), "Coin, the 3. (entry 3 of page 1): id is null, expected a string"),
    "no id": (changed(3, id=MISSING), "Coin, the 3. (entry 3 of page 1): the key id is missing"),
    "numeric id": (changed(3, id=17, name=None), "c3 (entry 3 of page 1): id is 17, expected a string"),
    "blank id": (changed(3, id=" "), 'id is " ", expected a string'),
    "lone surrogate in the id": (changed(3, id="co\ud83d"), 'co Coin, the 3. (entry 3 of page 1): id is "co\\ud83d"'),
    "NUL in the id": (changed(3, id="co\x00"), '(entry 3 of page 1): id is "co\\u0000"'),
    "null": (None, "(entry 3 of page 1): null instead of a coin"),
    "list": ([1, 2], "(entry 3 of page 1): [1, 2] instead of a coin"),
    "price is text": (changed(3, current_price="twelve"), "coin-3: price is 'twelve' (not_a_number)"),
    "price is true": (changed(3, current_price=True), "coin-3: price is 'true' (not_a_number)"),
    "price is a list": (changed(3, current_price=[1.5]), "coin-3: price is '[1.5]' (not_a_number)"),
    "price below zero": (changed(3, current_price=-0.5), "coin-3: price is '-0.5' (negative_value)"),
    "price beyond the floats": (changed(3, current_price="1e999"), "coin-3: price is '1e999' ("),
    "price implausibly large": (changed(3, current_price=1e300), "coin-3: price is '1e+300' ("),
    "price implausibly small": (changed(3, current_price=5e-324), "coin-3: price is '5e-324' ("),
    "volume by currency": (
        changed(3, total_volume={"usd": 1}),
        """coin-3: 24h_volume is '{"usd": 1}' (not_a_number)""",
    ),
    "cap below zero": (changed(3, market_cap=-1), "coin-3: mkt_cap is '-1' (negative_value)"),
    "change is text": (
        changed(3, price_change_percentage_7d_in_currency="down"),
        "coin-3: 7d is 'down' (not_a_number)",
    ),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_only_the_coin_with_an_error_is_left_out(tmp_path, service, kind) -> None:
    service.coins[2], named = ERRORS[kind]
    result = fetch(tmp_path, service)
    assert rows_by_coin(result.files[0]).keys() == {f"coin-{rank}" for rank in range(1, COINS + 1) if rank != 3}
    (note,) = result.notes
    assert note.startswith(f"1 of {COINS} coins have an error and are left out: ")
    assert named in note


@pytest.mark.parametrize(
    ("values", "written", "note"),
    [
        (
            {"name": "Velt \ud83d"},
            {"name": "Velt"},
            '1 values were cleaned: coin-3: name is "Velt \\ud83d", written as',
        ),
        ({"name": "Ve\x00lt"}, {"name": "Velt"}, 'coin-3: name is "Ve\\u0000lt", written as'),
        ({"symbol": 7}, {"symbol": ""}, "coin-3: symbol is 7, written as ''"),
        ({"symbol": "c\udc00"}, {"symbol": "C"}, "coin-3: symbol is"),
        ({"high_24h": [1]}, {"high_24h": ""}, "coin-3: high_24h is [1], not a number: left empty"),
        ({"market_cap_rank": "first"}, {"market_cap_rank": ""}, 'coin-3: market_cap_rank is "first", not a number'),
        ({"price_change_24h": "much"}, {"price_change_24h": ""}, 'coin-3: price_change_24h is "much", not a number'),
    ],
)
def test_invalid_optional_values_are_cleaned_and_named(tmp_path, service, values, written, note) -> None:
    service.coins[2] = coin(3, **values)
    result = fetch(tmp_path, service)
    rows = rows_by_coin(result.files[0])
    assert len(rows) == COINS
    assert {name: rows["coin-3"][name] for name in written} == written
    assert note in result.notes[0]


@pytest.mark.parametrize(
    ("old", "new", "left_out"),
    [
        (b'"Coin, the 3."', b'"Coin \xff"', False),
        (b'"Coin, the 3."', b'"Coin \x00\n"', False),
        (b'"current_price": 333.3333333333333', b'"current_price": 1e999', True),
        (b'"current_price": 333.3333333333333', b'"current_price": ' + b"9" * 5000, True),
    ],
    ids=["broken UTF-8", "raw NUL", "beyond the floats", "5000 digits"],
)
def test_a_coin_with_damaged_bytes_affects_no_other(tmp_path, service, old, new, left_out) -> None:
    body = json.dumps(service.coins).encode()
    assert old in body
    service.bodies["/api/v3/coins/markets"] = body.replace(old, new)
    result = fetch(tmp_path, service)
    assert (len(rows_by_coin(result.files[0])), "coin-3" in result.notes[0]) == (COINS - left_out, True)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[]), max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


@given(st.dictionaries(st.sampled_from(["id", *TEXT_KEYS, *NUMBER_KEYS.values()]), ANY_JSON, min_size=1) | ANY_JSON)
@settings(max_examples=150)
def test_no_invalid_entry_removes_the_row_of_another_coin(entry) -> None:
    coins = [coin(rank) for rank in range(1, 5)]
    coins[2] = coin(3) | entry if isinstance(entry, dict) else entry
    response = Response(200, {}, json.dumps(coins).encode())
    page = validate_page(parse_response(response, what="page 1", now=NOW, plan="keyless"), number=1)
    merged, _ = merge_pages([page.coins], top=4)
    export_rows = [make_row(each, DAY) for each in merged]
    content, left_out = validate_export(
        snapshot_file_name(DAY), export_rows, SNAPSHOT_COLUMNS, Settings(), today=DAY, errors=page.errors
    )
    rows = {row["coin"]: row for row in csv.DictReader(content.decode().splitlines())}
    assert len(rows) + len(left_out) + len(page.errors) + (len(page.coins) - len(merged)) == 4
    others = {f"coin-{rank}" for rank in (1, 2, 4)}
    assert {rows[name]["price"] for name in others} == {"1000.0", "500.0", "250.0"}
    assert len(rows.keys() - others) <= 1


def test_more_than_5_percent_of_errors_fail_the_fetch(tmp_path, service) -> None:
    service.coins = [coin(rank) for rank in range(1, 301)]
    for rank in range(1, 16):
        service.coins[rank * 10]["current_price"] = "none of it"
    assert "15 of 300 coins have an error" in fetch(tmp_path / "enough", service).notes[0]
    service.coins[200]["id"] = None
    service.requests.clear()
    with pytest.raises(
        FetchError, match="16 of 300 coins have an error, more than 5%, and nothing is written"
    ) as caught:
        fetch(tmp_path, service)
    assert all(f"coin-{rank * 10 + 1}: price is" in str(caught.value) for rank in range(1, 16) if rank != 20)
    assert not (tmp_path / "data" / "raw").exists()
    assert service.pages() == [1, 2]
    service.coins = [coin(rank) for rank in range(1, 301)]
    assert len(rows_by_coin(fetch(tmp_path, service).files[0])) == 300
    assert service.pages() == [1, 2, 1, 2]


@pytest.mark.parametrize("value", [None, MISSING], ids=["null", "missing"])
@pytest.mark.parametrize("column", ["price", "1h", "24h", "7d", "24h_volume", "mkt_cap"])
def test_a_field_empty_in_all_coins_fails_the_fetch(tmp_path, service, column, value) -> None:
    key = NUMBER_KEYS[column]
    service.coins = [changed(rank, **{key: value}) for rank in range(1, 11)]
    with pytest.raises(FetchError, match=f"{key} .column {column}. missing or null in all 10 coins, and nothing is"):
        fetch(tmp_path, service)
    assert not (tmp_path / "data" / "raw").exists()
    service.coins = [coin(rank) for rank in range(1, 11)]
    assert fetch(tmp_path, service).files
    assert service.pages() == [1, 1]


@pytest.mark.parametrize("column", ["price", "24h_volume"])
def test_a_page_without_prices_or_volumes_fails_the_fetch(tmp_path, service, column) -> None:
    key = NUMBER_KEYS[column]
    service.coins = [coin(rank) for rank in range(1, 701)]
    for each in service.coins[250:500]:
        each[key] = None
    with pytest.raises(FetchError, match=f"page 2 of the market: {key} .* missing or null in all 250 coins"):
        fetch(tmp_path, service)


@pytest.mark.parametrize(("column", "value"), [("price", None), ("24h_volume", None), ("price", 0)])
def test_a_snapshot_is_rejected_by_the_rules_for_files(tmp_path, service, column, value) -> None:
    for each in service.coins[: COINS * 2 // 3]:
        each |= {NUMBER_KEYS[column]: value, "price_change_24h": None}
    with pytest.raises(
        FetchError, match=f"is not written, ingest would reject it: {column} is empty.* in 67% of the rows"
    ):
        fetch(tmp_path, service)
    assert not (tmp_path / "data" / "raw").exists()
    assert fetch(tmp_path, service, ingestion__max_rejected_fraction=0.7).files
    assert service.pages() == [1, 1]


def test_numbers_in_strings_are_parsed(tmp_path, service) -> None:
    plain = fetch(tmp_path / "numbers", service)
    for each in service.coins:
        each |= {key: str(each[key]) for key in NUMBER_KEYS.values()}
    service.coins[0]["current_price"] = " 1000.0 "
    result = fetch(tmp_path / "texts", service)
    assert (result.notes, result.files[0].read_bytes()) == ([], plain.files[0].read_bytes())


# Bodies that were once responses, or have their format.
SURROGATE = (
    rb'[{"id":"velt-000","symbol":"v0","name":"Velt \ud83d","current_price":1.0,"market_cap":1000,"total_volume":10}]'
)
NULL_ID = (
    b'[{"id":"velt-000","symbol":"v0","name":"Velt","current_price":1.0,"market_cap":1000,"total_volume":10},'
    b'{"id":null,"symbol":"v1","name":"Velt 1","current_price":1.0}]'
)


@pytest.mark.parametrize(
    ("body", "coins", "note"),
    [
        (SURROGATE, 1, "1 values were cleaned: velt-000: name is"),
        (NULL_ID, 2, "1 of 2 coins have an error and are left out: Velt 1 (entry 2 of page 1): id is null"),
    ],
)
def test_a_single_coin_with_an_error_never_fails_a_small_market(tmp_path, service, body, coins, note) -> None:
    service.bodies["/api/v3/coins/markets"] = body
    result = fetch(tmp_path, service, coins=coins)
    rows = rows_by_coin(result.files[0])
    assert {name: (row["name"], row["price"]) for name, row in rows.items()} == {"velt-000": ("Velt", "1.0")}
    assert any(note in text for text in result.notes)
