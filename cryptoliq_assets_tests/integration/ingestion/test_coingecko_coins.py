"""An error in one coin's data concerns that coin alone: it is left out or cleaned, and named; many errors fail the fetch."""

import csv
import datetime as dt
import json
from collections.abc import Iterator
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
from cryptoliq_assets.ingestion.coingecko.history import HistoryFetcher
from cryptoliq_assets.ingestion.coingecko.market_pages import merge_pages
from cryptoliq_assets.ingestion.coingecko.responses import Response, parse_response
from cryptoliq_assets.ingestion.coingecko.snapshot import fetch_snapshot, make_row
from cryptoliq_assets_tests.support.coingecko_api import NOW, Fault, Service, Waited, chart, coin, fetching, serving

COINS = 60
DAY = dt.date(2025, 3, 5)
MISSING = object()


@pytest.fixture
def service() -> Iterator[Service]:
    with serving(Service(coins=[coin(place) for place in range(1, COINS + 1)])) as service:
        yield service


def fetch(home: Path, service: Service, *, coins: int | None = None, **said: Any) -> FetchResult:
    wanted = coins or len(service.coins)
    return fetch_snapshot(fetching(home, service, coingecko__top_n=wanted, **said), clock=Waited().clock)


def rows(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["coin"]: row for row in csv.DictReader(file)}


def changed(place: int, **values: Any) -> dict[str, Any]:
    return {key: value for key, value in (coin(place) | values).items() if value is not MISSING}


# Entry in the place of the third coin → what the note says of it.
ERRORS = {
    "null id": (changed(3, id=None), "Coin, the 3. (entry 3 of page 1): id is null, expected a string"),
    "no id": (changed(3, id=MISSING), "Coin, the 3. (entry 3 of page 1): the key id is missing"),
    "numeric id": (changed(3, id=17, name=None), "c3 (entry 3 of page 1): id is 17, expected a string"),
    "blank id": (changed(3, id=" "), 'id is " ", expected a string'),
    "half a sign in the id": (changed(3, id="co\ud83d"), 'co Coin, the 3. (entry 3 of page 1): id is "co\\ud83d"'),
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
    made = fetch(tmp_path, service)
    assert rows(made.files[0]).keys() == {f"coin-{place}" for place in range(1, COINS + 1) if place != 3}
    (note,) = made.notes
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
    made = fetch(tmp_path, service)
    found = rows(made.files[0])
    assert len(found) == COINS
    assert {name: found["coin-3"][name] for name in written} == written
    assert note in made.notes[0]


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
    made = fetch(tmp_path, service)
    assert (len(rows(made.files[0])), "coin-3" in made.notes[0]) == (COINS - left_out, True)


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=[]), max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)


@given(st.dictionaries(st.sampled_from(["id", *TEXT_KEYS, *NUMBER_KEYS.values()]), ANY_JSON, min_size=1) | ANY_JSON)
@settings(max_examples=150)
def test_no_invalid_entry_removes_the_row_of_another_coin(entry) -> None:
    coins = [coin(place) for place in range(1, 5)]
    coins[2] = coin(3) | entry if isinstance(entry, dict) else entry
    answer = Response(200, {}, json.dumps(coins).encode())
    page = validate_page(parse_response(answer, what="page 1", now=NOW, plan="keyless"), number=1)
    merged, _ = merge_pages([page.coins], top=4)
    wanted = [make_row(each, DAY) for each in merged]
    content, left_out = validate_export(
        snapshot_file_name(DAY), wanted, SNAPSHOT_COLUMNS, Settings(), today=DAY, errors=page.errors
    )
    found = {row["coin"]: row for row in csv.DictReader(content.decode().splitlines())}
    assert len(found) + len(left_out) + len(page.errors) + (len(page.coins) - len(merged)) == 4
    others = {f"coin-{place}" for place in (1, 2, 4)}
    assert {found[name]["price"] for name in others} == {"1000.0", "500.0", "250.0"}
    assert len(found.keys() - others) <= 1


def test_more_than_5_percent_of_errors_fail_the_fetch(tmp_path, service) -> None:
    service.coins = [coin(place) for place in range(1, 301)]
    for place in range(1, 16):
        service.coins[place * 10]["current_price"] = "none of it"
    assert "15 of 300 coins have an error" in fetch(tmp_path / "enough", service).notes[0]
    service.coins[200]["id"] = None
    service.asked.clear()
    with pytest.raises(
        FetchError, match="16 of 300 coins have an error, more than 5%, and nothing is written"
    ) as caught:
        fetch(tmp_path, service)
    assert all(f"coin-{place * 10 + 1}: price is" in str(caught.value) for place in range(1, 16) if place != 20)
    assert not (tmp_path / "data" / "raw").exists()
    assert service.pages() == [1, 2]
    service.coins = [coin(place) for place in range(1, 301)]
    assert len(rows(fetch(tmp_path, service).files[0])) == 300
    assert service.pages() == [1, 2, 1, 2]


@pytest.mark.parametrize("value", [None, MISSING], ids=["null", "missing"])
@pytest.mark.parametrize("column", ["price", "1h", "24h", "7d", "24h_volume", "mkt_cap"])
def test_a_field_empty_in_all_coins_fails_the_fetch(tmp_path, service, column, value) -> None:
    key = NUMBER_KEYS[column]
    service.coins = [changed(place, **{key: value}) for place in range(1, 11)]
    with pytest.raises(FetchError, match=f"{key} .column {column}. missing or null in all 10 coins, and nothing is"):
        fetch(tmp_path, service)
    assert not (tmp_path / "data" / "raw").exists()
    service.coins = [coin(place) for place in range(1, 11)]
    assert fetch(tmp_path, service).files
    assert service.pages() == [1, 1]


@pytest.mark.parametrize("column", ["price", "24h_volume"])
def test_a_page_without_prices_or_volumes_fails_the_fetch(tmp_path, service, column) -> None:
    key = NUMBER_KEYS[column]
    service.coins = [coin(place) for place in range(1, 701)]
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
    made = fetch(tmp_path / "texts", service)
    assert (made.notes, made.files[0].read_bytes()) == ([], plain.files[0].read_bytes())


# Bodies that were once answers, or are in their shape.
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
    made = fetch(tmp_path, service, coins=coins)
    found = rows(made.files[0])
    assert {name: (row["name"], row["price"]) for name, row in found.items()} == {"velt-000": ("Velt", "1.0")}
    assert any(note in said for said in made.notes)


def history(home: Path, service: Service, **said: Any) -> HistoryFetcher:
    return HistoryFetcher(fetching(home, service, **said), 5, len(service.coins), clock=Waited().clock)


def with_chart(service: Service, name: str, **lists: Any) -> None:
    """Serve this chart of a coin, with some lists changed."""
    body = {key: value for key, value in (chart(days=13, now=NOW) | lists).items() if value is not MISSING}
    service.bodies[f"/api/v3/coins/{name}/market_chart"] = json.dumps(body).encode()


@pytest.mark.parametrize("caps", [MISSING, None, [], {}, "none"])
def test_a_chart_without_market_caps_is_used_and_reported(tmp_path, service, caps) -> None:
    service.coins = service.coins[:3]
    with_chart(service, "coin-2", market_caps=caps)
    made = history(tmp_path, service).fetch()
    assert made.notes == ["1 of 3 charts have an error: coin-2: no market caps: the rest is used"]
    found = rows(made.files[-1])
    assert len(made.files) == 5
    assert [bool(found[f"coin-{place}"]["mkt_cap"]) for place in (1, 2, 3)] == [True, False, True]
    assert found["coin-2"]["24h_volume"]


@pytest.mark.parametrize(
    ("lists", "named"),
    [
        ({"prices": MISSING}, "coin-2: no prices: left out"),
        ({"total_volumes": None}, "coin-2: no total volumes: left out"),
        ({"prices": [[1, 2, 3]], "total_volumes": []}, "coin-2: no prices: left out"),
    ],
)
def test_an_unusable_chart_is_left_out_and_reported(tmp_path, service, lists, named) -> None:
    service.coins = service.coins[:3]
    with_chart(service, "coin-2", **lists)
    made = history(tmp_path, service).fetch()
    assert named in made.notes[0]
    assert {frozenset(rows(path)) for path in made.files} == {frozenset({"coin-1", "coin-3"})}


def test_invalid_points_of_a_chart_are_dropped_and_counted(tmp_path, service) -> None:
    service.coins = service.coins[:3]
    good = chart(days=13, now=NOW, start=100.0 + 2)
    texts = {name: [[str(moment), str(value)] for moment, value in points] for name, points in good.items()}
    plain = history(tmp_path / "plain", service).fetch()
    with_chart(service, "coin-2", **texts)
    made = history(tmp_path / "texts", service).fetch()
    assert (made.notes, rows(made.files[-1])) == ([], rows(plain.files[-1]))
    texts["prices"][3:3] = [None, [1], ["then", 5], [good["prices"][3][0], "dear"]]
    with_chart(service, "coin-2", **texts)
    made = history(tmp_path / "damaged", service).fetch()
    assert made.notes[0].endswith("coin-2: 4 of 18 prices are invalid points: the rest is used")
    assert rows(made.files[-1]) == rows(plain.files[-1])


def test_an_invalid_price_removes_only_its_row(tmp_path, service) -> None:
    service.coins = service.coins[:3]
    good = chart(days=13, now=NOW)
    good["prices"][-2][1] = -5.0
    with_chart(service, "coin-2", **good)
    made = history(tmp_path, service).fetch()
    assert made.notes == ["1 rows have an error and are left out: 2025-03-05: coin-2: price is '-5.0' (negative_value)"]
    assert [len(rows(path)) for path in made.files] == [3, 3, 3, 3, 2]


def test_one_rejected_chart_is_left_out_and_reported(tmp_path, service) -> None:
    service.coins = service.coins[:3]
    service.faults = [("coin-2/market_chart", Fault(422, b'{"error":"coin-2 is frozen"}'))]
    made = history(tmp_path, service).fetch()
    assert "coin-2: the chart of coin-2: rejected (422: coin-2 is frozen): left out" in made.notes[0]
    assert len(rows(made.files[-1])) == 2


def test_many_charts_with_errors_are_requested_again(tmp_path, service) -> None:
    service.coins = service.coins[:4]
    for name in ("coin-2", "coin-3"):
        with_chart(service, name, market_caps=None)
    with pytest.raises(FetchError, match=r"2 of 4 coins have an error.*coin-2: no market caps.*coin-3: no market caps"):
        history(tmp_path, service).fetch()
    assert not (tmp_path / "data" / "raw").exists()
    service.bodies.clear()
    service.asked.clear()
    assert len(history(tmp_path, service).fetch().files) == 5
    assert service.charts() == ["coin-2", "coin-3"]


def test_a_history_continues_without_an_invalid_coin(tmp_path, service) -> None:
    service.coins = service.coins[:3]
    service.coins[1] = {"symbol": "v", "name": "Velt\ud83d"}
    made = history(tmp_path, service).fetch()
    assert made.notes == [
        "1 of 3 coins have an error and are left out: Velt (entry 2 of page 1): the key id is missing"
    ]
    assert rows(made.files[-1]).keys() == {"coin-1", "coin-3"}
