"""The HTTP API of a real process on loopback: accepted requests and every route."""

import json
import re
import subprocess
import time

import pytest

from cryptoliq_assets.modeling.estimators import MODEL_NAMES
from cryptoliq_assets.modeling.registry.model_registry import open_model_store
from cryptoliq_assets_tests.support.http_checks import CSV, JSON, check_problem
from cryptoliq_assets_tests.support.services import BODY, COMMAND, environment
from cryptoliq_assets_tests.support.settings import make_settings


def test_predict_returns_score_interval_and_inputs_used(client):
    response = client.post("/predict", json=BODY)
    assert response.status_code == 200
    prediction = response.json()
    assert {"liquidity_score", "model", "model_version", "timestamp"} <= set(prediction)
    assert prediction["lower"] < prediction["liquidity_score"] < prediction["upper"]
    assert (prediction["basis"], prediction["level"], prediction["horizon_days"]) == ("history", 0.9, 1)
    assert 0 <= prediction["percentile"] <= 100
    assert prediction["flags"] == {
        "volatility_floored": False,
        "out_of_range": prediction["flags"]["out_of_range"],
        "stale_history": False,
    }
    assert prediction["model"] in MODEL_NAMES.values()
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}_v\d+", prediction["model_version"])
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z", prediction["timestamp"])


def test_predict_accepts_the_eight_fields_without_a_media_type(client):
    body = {name: value for name, value in BODY.items() if name not in ("coin", "date")}
    body |= {"liquidity_ratio": 0.02, "price_change_24h": -1.5}
    for headers in (JSON, {}, {"Content-Type": "application/json; charset=utf-8"}):
        response = client.post("/predict", content=json.dumps(body), headers=headers)
        assert (response.status_code, response.json()["basis"]) == (200, "snapshot")


def test_integers_and_null_are_accepted_as_numbers(client):
    body = {**BODY, "price": 100, "24h": -1, "mkt_cap": None}
    assert client.post("/predict", json=body).status_code == 200


def test_a_json_batch_equals_single_requests(client):
    rows = [BODY, {**BODY, "coin": "Ethereum"}, {**BODY, "coin": None}]
    responses = client.post("/predict/batch", json={"rows": rows}).json()["answers"]
    for row, response in zip(rows, responses, strict=True):
        single = client.post("/predict", json=row).json()
        assert {**single, "timestamp": ""} == {**response, "timestamp": ""}


def test_a_csv_batch_equals_the_output_of_the_command(client, limited_service, trained_home, tmp_path):
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    later = trained_home.later_files[0].read_bytes()
    source.write_bytes(later + b"Nocoin,NO,-1,0,0,0,1,1,,,2025-08-01\n")
    response = client.post("/predict/batch?unit=auto", content=source.read_bytes(), headers=CSV)
    assert (response.status_code, response.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    run = subprocess.run(
        [*COMMAND, "predict", str(source), str(target)],
        env=environment(limited_service.home),
        capture_output=True,
        check=False,
    )
    assert run.returncode == 1, run.stdout + run.stderr
    assert response.content == target.read_bytes()
    assert b"history" in response.content


def test_a_csv_is_percent_by_default_and_doubts_are_reported(client, limited_service):
    # A calm day: by size alone, these values could be fractions.
    header = b"coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date\n"
    calm = header + b"".join(b"Coin%d,C,1.0,0.002,0.01,0.03,1e6,1e8,2025-08-01\n" % n for n in range(30))

    def predict(content: bytes, **params: str) -> tuple[str, bool, bytes]:
        response = client.post("/predict/batch", content=content, headers=CSV, params=params)
        assert response.status_code == 200, response.text
        return response.headers["cryptoliq-unit"], "cryptoliq-doubts" in response.headers, response.content

    plain, percent = predict(calm), predict(calm, unit="percent")
    assert plain == percent
    assert plain[:2] == ("percent", False)
    assert predict(calm, unit="fraction")[0] == "fraction"
    assert predict(calm, unit="auto")[0] == "fraction"
    bare = header + b"Coin,C,1.0,,,,1e6,1e8,2025-08-01\n"
    guessed = client.post("/predict/batch", content=bare, headers=CSV, params={"unit": "auto"})
    assert "not certain" in guessed.headers["cryptoliq-doubts"]
    time.sleep(0.5)
    result = limited_service.app_log("prediction")[-1]
    assert result["unit"] == guessed.headers["cryptoliq-unit"] == "percent"
    assert "not certain" in result["doubts"][0]
    check_problem(client.post("/predict/batch", content=calm, headers=CSV, params={"unit": "x"}), 422, field="unit")


@pytest.mark.parametrize("path", ["/forecasts", "/forecasts/Bitcoin", "/model", "/healthz", "/readyz", "/openapi.json"])
def test_head_is_get_without_a_body(client, path):
    head = client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == client.get(path).headers["content-length"]


def test_forecasts_are_filtered_sorted_and_paged(client):
    all_items = client.get("/forecasts", params={"limit": 1000}).json()
    assert all_items["date"] == "2025-07-31"
    assert all_items["count"] == len(all_items["items"]) >= 25
    falling = client.get("/forecasts", params={"sort": "-liquidity_score", "limit": 5, "offset": 2}).json()
    scores = sorted((item["liquidity_score"] for item in all_items["items"]), reverse=True)
    assert [item["liquidity_score"] for item in falling["items"]] == scores[2:7]
    found = client.get("/forecasts", params={"search": "BITCOIN"}).json()["items"]
    assert "Bitcoin" in {item["coin"] for item in found}
    assert client.get("/forecasts", params={"search": "no such coin"}).json()["count"] == 0


def test_forecasts_can_be_sorted_by_every_field(client):
    all_items = client.get("/forecasts", params={"limit": 1000}).json()["items"]
    for name in all_items[0]:
        known = sorted(item[name] for item in all_items if item[name] is not None)
        for sort, expected in ((name, known), (f"-{name}", known[::-1])):
            response = client.get("/forecasts", params={"sort": sort, "limit": 1000})
            assert response.status_code == 200, sort
            assert [item[name] for item in response.json()["items"]][: len(known)] == expected, sort


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


def test_readiness_reports_a_lost_pointer_and_still_serves(client, limited_service):
    link = limited_service.home / "models" / "current.pkl"
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
        ready = problem_is(f"current.pkl is missing: in the audit log {target.stem} is current")
        shown = open_model_store(make_settings(home_dir=limited_service.home)).model_version(target.stem)
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
            response = client.post(path, content=sent, headers=kind)
            # The date of the example may be outside the history of this home.
            assert response.status_code == 200, response.text


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
