"""The HTTP API of a real process on loopback: every route and every rejection."""

import json
import re
import subprocess
import time

import httpx
import pytest

from cryptoliq_assets.modeling.estimators import MODEL_NAMES
from cryptoliq_assets.modeling.registry.model_registry import open_model_store
from cryptoliq_assets_tests.support.services import BODY, COMMAND, Served, environment, serving
from cryptoliq_assets_tests.support.settings import make_settings

CSV = {"Content-Type": "text/csv"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def served(trained_home, tmp_path_factory):
    home = trained_home.copy_to(tmp_path_factory.mktemp("api") / "home")
    with serving(home, api__max_body_mib=1, api__max_batch_rows=50) as running:
        yield running


@pytest.fixture(scope="module")
def client(served: Served):
    with httpx.Client(base_url=served.url, timeout=30) as made:
        yield made


def check_problem(answer: httpx.Response, status: int, *, field: str | None = None, says: str = "") -> dict:
    """Check a problem+json response of this status that names a field."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == {"type", "title", "status", "detail", "errors"}
    assert (body["status"], bool(body["title"])) == (status, True)
    assert says in body["detail"]
    assert "Traceback" not in answer.text
    assert ".py" not in answer.text
    if field is not None:
        assert field in {error["field"] for error in body["errors"]}, body
        assert all(error["message"] for error in body["errors"])
    return body


# Accepted requests.


def test_predict_returns_score_interval_and_inputs_used(client):
    answer = client.post("/predict", json=BODY)
    assert answer.status_code == 200
    said = answer.json()
    assert {"liquidity_score", "model", "model_version", "timestamp"} <= set(said)
    assert said["lower"] < said["liquidity_score"] < said["upper"]
    assert (said["basis"], said["level"], said["horizon_days"]) == ("history", 0.9, 1)
    assert 0 <= said["percentile"] <= 100
    assert said["flags"] == {
        "volatility_floored": False,
        "out_of_range": said["flags"]["out_of_range"],
        "stale_history": False,
    }
    assert said["model"] in MODEL_NAMES.values()
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}_v\d+", said["model_version"])
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", said["timestamp"])


def test_predict_accepts_the_eight_fields_without_a_media_type(client):
    body = {name: value for name, value in BODY.items() if name not in ("coin", "date")}
    body |= {"liquidity_ratio": 0.02, "price_change_24h": -1.5}
    for headers in (JSON, {}, {"Content-Type": "application/json; charset=utf-8"}):
        answer = client.post("/predict", content=json.dumps(body), headers=headers)
        assert (answer.status_code, answer.json()["basis"]) == (200, "snapshot")


def test_integers_and_null_are_accepted_as_numbers(client):
    body = {**BODY, "price": 100, "24h": -1, "mkt_cap": None}
    assert client.post("/predict", json=body).status_code == 200


def test_a_json_batch_equals_single_requests(client):
    rows = [BODY, {**BODY, "coin": "Ethereum"}, {**BODY, "coin": None}]
    answers = client.post("/predict/batch", json={"rows": rows}).json()["answers"]
    for row, answer in zip(rows, answers, strict=True):
        single = client.post("/predict", json=row).json()
        assert {**single, "timestamp": ""} == {**answer, "timestamp": ""}


def test_a_csv_batch_equals_the_output_of_the_command(client, served, trained_home, tmp_path):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    later = trained_home.later_files[0].read_bytes()
    source.write_bytes(later + b"Nocoin,NO,-1,0,0,0,1,1,,,2025-08-01\n")
    answer = client.post("/predict/batch?unit=auto", content=source.read_bytes(), headers=CSV)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    run = subprocess.run(
        [*COMMAND, "predict", str(source), str(target)], env=environment(served.home), capture_output=True, check=False
    )
    assert run.returncode == 1, run.stdout + run.stderr
    assert answer.content == target.read_bytes()
    assert b"history" in answer.content


def test_a_csv_is_percent_by_default_and_doubts_are_reported(client, served):
    # A calm day: by size alone, these values could be fractions.
    header = b"coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date\n"
    calm = header + b"".join(b"Coin%d,C,1.0,0.002,0.01,0.03,1e6,1e8,2025-08-01\n" % n for n in range(30))

    def asked(content: bytes, **params: str) -> tuple[str, bool, bytes]:
        answer = client.post("/predict/batch", content=content, headers=CSV, params=params)
        assert answer.status_code == 200, answer.text
        return answer.headers["cryptoliq-unit"], "cryptoliq-doubts" in answer.headers, answer.content

    plain, percent = asked(calm), asked(calm, unit="percent")
    assert plain == percent
    assert plain[:2] == ("percent", False)
    assert asked(calm, unit="fraction")[0] == "fraction"
    assert asked(calm, unit="auto")[0] == "fraction"
    bare = header + b"Coin,C,1.0,,,,1e6,1e8,2025-08-01\n"
    guessed = client.post("/predict/batch", content=bare, headers=CSV, params={"unit": "auto"})
    assert "not certain" in guessed.headers["cryptoliq-doubts"]
    time.sleep(0.5)
    result = served.app_log("prediction")[-1]
    assert result["unit"] == guessed.headers["cryptoliq-unit"] == "percent"
    assert "not certain" in result["doubts"][0]
    check_problem(client.post("/predict/batch", content=calm, headers=CSV, params={"unit": "x"}), 422, field="unit")


@pytest.mark.parametrize("path", ["/forecasts", "/forecasts/Bitcoin", "/model", "/healthz", "/readyz", "/openapi.json"])
def test_head_is_get_without_a_body(client, path):
    head = client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == client.get(path).headers["content-length"]


def test_forecasts_are_filtered_sorted_and_paged(client):
    whole = client.get("/forecasts", params={"limit": 1000}).json()
    assert whole["date"] == "2025-07-31"
    assert whole["count"] == len(whole["items"]) >= 25
    falling = client.get("/forecasts", params={"sort": "-liquidity_score", "limit": 5, "offset": 2}).json()
    scores = sorted((item["liquidity_score"] for item in whole["items"]), reverse=True)
    assert [item["liquidity_score"] for item in falling["items"]] == scores[2:7]
    found = client.get("/forecasts", params={"search": "BITCOIN"}).json()["items"]
    assert "Bitcoin" in {item["coin"] for item in found}
    assert client.get("/forecasts", params={"search": "no such coin"}).json()["count"] == 0


def test_forecasts_can_be_sorted_by_every_field(client):
    whole = client.get("/forecasts", params={"limit": 1000}).json()["items"]
    for name in whole[0]:
        known = sorted(item[name] for item in whole if item[name] is not None)
        for sort, expected in ((name, known), (f"-{name}", known[::-1])):
            answer = client.get("/forecasts", params={"sort": sort, "limit": 1000})
            assert answer.status_code == 200, sort
            assert [item[name] for item in answer.json()["items"]][: len(known)] == expected, sort


@pytest.mark.parametrize("query", ["sort=name", "limit=0", "limit=1001", "limit=x", "offset=-1", f"search={'x' * 201}"])
def test_forecasts_rejects_parameters_out_of_bounds(client, query):
    check_problem(client.get(f"/forecasts?{query}"), 422, field=query.partition("=")[0])


def test_a_coin_has_history_and_a_latest_forecast(client):
    found = client.get("/forecasts/Bitcoin", params={"days": 30}).json()
    assert found["coin"] == "Bitcoin"
    assert len(found["history"]) == 30
    assert found["latest"]["lower"] < found["latest"]["liquidity_score"] < found["latest"]["upper"]
    check_problem(client.get("/forecasts/Bitcoin?days=0"), 422, field="days")


@pytest.mark.parametrize(
    "name",
    [
        "a%2Fb",
        "a/b/c",
        "..%2F..%2Fetc%2Fpasswd",
        "%E2%82%BF%F0%9F%9A%80",
        "%00",
        "%FF%FE",
        "x" * 3000,
        "%25",
        "%0d%0aX: y",
    ],
)
def test_an_unknown_coin_of_any_name_is_404(client, name):
    check_problem(client.get(f"/forecasts/{name}"), 404)


def test_model_health_and_readiness_agree(client):
    model = client.get("/model").json()
    assert model["model_name"] in ("Linear_Regression", "Random_Forest", "XGBoost")
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz").json()
    assert (ready["status"], ready["model_version"]) == ("ready", model["model_version"])
    assert (ready["newest_snapshot"], ready["problem"]) == ("2025-07-31", None)


def test_readiness_reports_a_lost_pointer_and_still_serves(client, served):
    link = served.home / "models" / "current.pkl"
    target = link.readlink()

    def problem_is(begins: str) -> dict:
        for _ in range(300):
            ready = client.get("/readyz").json()
            if str(ready["problem"]).startswith(begins):
                return ready
            time.sleep(0.1)
        raise AssertionError(ready)

    link.unlink()
    try:
        ready = problem_is(f"current.pkl is missing: in the ledger {target.stem} is current")
        shown = open_model_store(make_settings(home_dir=served.home)).model_version(target.stem)
        assert (ready["status"], ready["model_version"]) == ("ready", shown)
        assert client.post("/predict", json=BODY).json()["model_version"] == shown
    finally:
        link.symlink_to(target)
    problem_is("None")


def test_openapi_has_every_route_and_valid_examples(client):
    schema = client.get("/openapi.json").json()
    assert set(schema["paths"]) == {
        "/predict",
        "/predict/batch",
        "/forecasts",
        "/forecasts/{coin}",
        "/model",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    components = schema["components"]["schemas"]
    for path in ("/predict", "/predict/batch"):
        for content in schema["paths"][path]["post"]["requestBody"]["content"].values():
            named = content["schema"].get("$ref", "").rpartition("/")[2]
            examples = [content["example"]] if "example" in content else components[named]["examples"]
            kind = JSON if isinstance(examples[0], dict) else CSV
            sent = json.dumps(examples[0]) if kind is JSON else examples[0]
            answer = client.post(path, content=sent, headers=kind)
            # The date of the example may be outside the history of this home.
            assert answer.status_code == 200, answer.text


# Rejected requests.


@pytest.mark.parametrize(
    ("said", "field"),
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
def test_an_invalid_field_is_named(client, said, field):
    body = check_problem(client.post("/predict", json={**BODY, **said}), 422, field=field)
    assert field in body["detail"]
    nested = client.post("/predict/batch", json={"rows": [BODY, {**BODY, **said}]})
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

    whole = b"1," * (kib * 512)
    check_problem(client.post(path, content=whole, headers=headers), 422)
    for sent in (whole + b"1", b"1," * 700_000):
        check_problem(client.post(path, content=chunks(sent), headers=headers), 413)
        answer = client.post(path, content=sent, headers=headers)
        check_problem(answer, 413, says=says if len(sent) < 2**20 else "that")


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
    answer = client.post(path, content=json.dumps(sent, separators=(",", ":")), headers=JSON)
    body = check_problem(answer, 422, says=count)
    assert len(body["errors"]) == (20 if "listed" in count else 0)
    assert len(answer.content) < 5000


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
    answer = client.request(method, f"{path}?bogus=1", json={"rows": [BODY]} if method == "POST" else None)
    check_problem(answer, 422, field="bogus")


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
    answer = client.request(method, path)
    check_problem(answer, 405)
    assert sorted(answer.headers["allow"].split(", ")) == allowed.split(", ")


@pytest.mark.parametrize(
    "path", ["/", "/predict/", "/nothing", "/docs", "/redoc", "/../etc/passwd", "//", "/é", "/forecasts/"]
)
def test_other_paths_are_404(client, path):
    check_problem(client.get(path), 404)


def test_requests_are_counted_and_a_scan_makes_one_label(client):
    for number in range(1000):
        assert client.get(f"/scan/{number}").status_code == 404
    time.sleep(0.1)
    text = client.get("/metrics").text
    lines = [line for line in text.splitlines() if line.startswith("cryptoliq_requests_total")]
    assert not any("scan" in line for line in lines)
    other = [line for line in lines if 'path="other"' in line and 'status="404"' in line]
    assert len(other) == 1
    assert float(other[0].split()[-1]) >= 1000
    client.get("/forecasts/Bitcoin")
    assert 'path="/forecasts/{coin:path}",status="200"' in client.get("/metrics").text
