"""The HTTP API of a real process on loopback: rejected requests."""

import json

import pytest

from cryptoliq_assets_tests.support.http_checks import CSV, JSON, check_problem
from cryptoliq_assets_tests.support.services import BODY


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"price": -1.0}, "price"),
        ({"price": 0}, "price"),
        ({"price": 5e-324}, "price"),
        ({"price": 1.01e18}, "price"),
        ({"24h_volume": 9.9e-19}, "24h_volume"),
        ({"mkt_cap": 5e-324}, "mkt_cap"),
        ({"mkt_cap": 1e19}, "mkt_cap"),
        ({"1h": 1e17}, "1h"),
        ({"liquidity_ratio": 1e-38}, "liquidity_ratio"),
        ({"price_change_24h": -1e38}, "price_change_24h"),
        ({"price": "100"}, "price"),
        ({"price": None}, "price"),
        ({"price": True}, "price"),
        ({"24h": -100.5}, "24h"),
        ({"7d": -101}, "7d"),
        ({"1h": "0.5"}, "1h"),
        ({"24h_volume": -1}, "24h_volume"),
        ({"24h_volume": None}, "24h_volume"),
        ({"mkt_cap": -5}, "mkt_cap"),
        ({"liquidity_ratio": -0.1}, "liquidity_ratio"),
        ({"coin": ""}, "coin"),
        ({"coin": "x" * 201}, "coin"),
        ({"coin": 5}, "coin"),
        ({"date": "2025-02-30"}, "date"),
        ({"date": 20250801}, "date"),
        ({"date": "2025-06-01"}, "date"),
        ({"date": "2990-01-01"}, "date"),
        ({"symbol": "BTC"}, "symbol"),
        ({"volume": 5}, "volume"),
        ({"change_24h": 5}, "change_24h"),
    ],
)
def test_an_invalid_field_is_named(client, values, field):
    body = check_problem(client.post("/predict", json={**BODY, **values}), 422, field=field)
    assert field in body["detail"]
    nested = client.post("/predict/batch", json={"rows": [BODY, {**BODY, **values}]})
    check_problem(nested, 422)
    assert field in nested.json()["detail"]


@pytest.mark.parametrize(
    ("price", "expected"),
    [(1e305, "less than or equal to 1e+18; got 1e+305"), (0.0, "greater than or equal to 1e-18; got 0.0")],
)
def test_large_and_small_bounds_are_shown_with_exponents(client, price, expected):
    body = check_problem(client.post("/predict", json={**BODY, "price": price}), 422, field="price")
    assert f"price: Input should be {expected}" in body["detail"]


def test_an_implausible_amount_is_rejected_with_both_bounds(client):
    body = check_problem(client.post("/predict", json={**BODY, "mkt_cap": 5e-324}), 422, field="mkt_cap")
    assert "mkt_cap: Input should be 0 or at least 1e-18, and at most 1e18; got 5e-324" in body["detail"]


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999", "01", "'1'", "0x10"])
def test_invalid_numbers_are_rejected(client, word):
    sent = json.dumps({**BODY, "price": "?"}).replace('"?"', word)
    check_problem(client.post("/predict", content=sent, headers=JSON), 422)


@pytest.mark.parametrize("sent", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'"price"', b"[" * 10_000, b"{}" * 2])
def test_a_body_that_is_not_an_object_is_rejected(client, sent):
    check_problem(client.post("/predict", content=sent, headers=JSON), 422)
    check_problem(client.post("/predict/batch", content=sent, headers=JSON), 422)


def test_a_missing_field_is_named(client):
    body = check_problem(client.post("/predict", json={"price": 1.0}), 422, field="24h_volume")
    assert body["errors"] == [{"field": "24h_volume", "message": "Field required"}]


@pytest.mark.parametrize(
    ("path", "headers", "kib", "says"),
    [
        ("/predict", JSON, 16, "16 KiB that a single request may have"),
        ("/predict/batch", JSON, 100, "100 KiB that 50 rows may have"),
        ("/predict/batch", CSV, 1024, "1 MiB that CRYPTOLIQ_API__MAX_BODY_MIB allows"),
    ],
)
def test_a_body_beyond_its_limit_is_413_declared_or_not(client, path, headers, kib, says):
    def chunks(sent: bytes):
        yield from (sent[start : start + 65_536] for start in range(0, len(sent), 65_536))

    limit = b"1," * (kib * 512)
    check_problem(client.post(path, content=limit, headers=headers), 422)
    for sent in (limit + b"1", b"1," * 700_000):
        check_problem(client.post(path, content=chunks(sent), headers=headers), 413)
        response = client.post(path, content=sent, headers=headers)
        check_problem(response, 413, says=says if len(sent) < 2**20 else "that")


@pytest.mark.parametrize(
    ("path", "sent", "count"),
    [
        ("/predict", {**BODY, **{f"a{n}": 1 for n in range(1000)}}, "1,000 errors in total, 20 of them listed"),
        ("/predict/batch", {"rows": [{}] * 50}, "100 errors in total, 20 of them listed"),
        (
            "/predict/batch",
            {"rows": [{**BODY, **{f"{n}": 1 for n in range(10_100)}}]},
            "10,100 errors, too many to list",
        ),
    ],
)
def test_the_first_errors_are_listed_and_all_are_counted(client, path, sent, count):
    response = client.post(path, content=json.dumps(sent, separators=(",", ":")), headers=JSON)
    body = check_problem(response, 422, says=count)
    assert len(body["errors"]) == (20 if "listed" in count else 0)
    assert len(response.content) < 5000


def test_a_large_value_of_the_wrong_type_is_not_shown(client):
    body = check_problem(client.post("/predict", json={**BODY, "coin": ["x" * 90] * 100, "y" * 5000: 1}), 422)
    assert "got a list" in body["errors"][0]["message"]
    assert all(len(error["field"]) < 100 for error in body["errors"])


def test_batch_rows_with_invalid_dates_are_named(client):
    rows = [BODY, {**BODY, "date": "2990-01-01"}, BODY, {**BODY, "date": "2001-01-01"}]
    body = check_problem(
        client.post("/predict/batch", json={"rows": rows}), 422, field="rows.1.date", says="2990-01-01"
    )
    assert [error["field"] for error in body["errors"]] == ["rows.1.date", "rows.3.date"]


def test_a_batch_with_too_many_rows_is_413_an_empty_one_422(client):
    check_problem(client.post("/predict/batch", json={"rows": [BODY] * 51}), 413, says="more than 50 rows")
    assert client.post("/predict/batch", json={"rows": [BODY] * 50}).status_code == 200
    check_problem(client.post("/predict/batch", json={"rows": []}), 422, field="rows")


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "garbage"])
def test_another_media_type_is_415(client, kind):
    for path in ("/predict", "/predict/batch"):
        check_problem(client.post(path, content=b"{}", headers={"Content-Type": kind}), 415, says="application/json")


@pytest.mark.parametrize(
    "headers",
    [
        {**JSON, "Content-Encoding": "gzip"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": 'application/json; x=1; charset="latin-1"'},
    ],
)
def test_a_body_in_another_encoding_is_415(client, headers):
    for path in ("/predict", "/predict/batch"):
        check_problem(client.post(path, content=b"{}", headers=headers), 415, says="expected")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/forecasts"), ("GET", "/forecasts/Bitcoin"), ("POST", "/predict/batch")]
)
def test_an_unknown_parameter_is_rejected(client, method, path):
    response = client.request(method, f"{path}?bogus=1", json={"rows": [BODY]} if method == "POST" else None)
    check_problem(response, 422, field="bogus")


@pytest.mark.parametrize("sent", [b"", b"\x00\x01", b"a,b\n1,2\n", b"coin,price\n", b"\xff\xfe\xff"])
def test_a_csv_without_the_schema_is_rejected_completely(client, sent):
    check_problem(client.post("/predict/batch", content=sent, headers=CSV), 422)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/predict", "POST"),
        ("DELETE", "/predict/batch", "POST"),
        ("POST", "/forecasts", "GET, HEAD"),
        ("PUT", "/healthz", "GET, HEAD"),
    ],
)
def test_another_method_is_405_and_allowed_ones_are_named(client, method, path, allowed):
    response = client.request(method, path)
    check_problem(response, 405)
    assert sorted(response.headers["allow"].split(", ")) == allowed.split(", ")


@pytest.mark.parametrize(
    "path", ["/", "/predict/", "/nothing", "/docs", "/redoc", "/../etc/passwd", "//", "/é", "/forecasts/"]
)
def test_other_paths_are_404(client, path):
    check_problem(client.get(path), 404)
