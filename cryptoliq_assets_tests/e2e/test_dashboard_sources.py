"""Data sources of the dashboard: equal values from a data directory and a service, and errors as messages."""

import datetime as dt
import io
import time

import pandas as pd
import pytest

from cryptoliq_assets.core.home import prepare_home
from cryptoliq_assets.dashboard.data_sources import http as remote_module
from cryptoliq_assets.dashboard.data_sources.http import ApiSource
from cryptoliq_assets.dashboard.data_sources.local import LocalSource
from cryptoliq_assets.dashboard.data_sources.selection import select_source
from cryptoliq_assets.dashboard.error_messages import UserFacingError
from cryptoliq_assets.modeling.registry.model_registry import open_model_store
from cryptoliq_assets.serving.gateway.auth import generate_key
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.service_fixtures import AWKWARD
from cryptoliq_assets_tests.support.services import Served, answering, serving
from cryptoliq_assets_tests.support.settings import make_settings

BODY = {"price": 1.0, "24h_volume": 1e6}


@pytest.fixture
def writable(trained_home, tmp_path) -> LocalSource:
    """Return the source of a writable copy of the data directory."""
    return LocalSource(make_settings(home_dir=trained_home.copy_to(tmp_path / "home"), cv__n_splits=2))


def make_csv(trained_home) -> bytes:
    """Return four rows of a snapshot; the price of the last one is invalid."""
    header, *rows = trained_home.later_files[0].read_text(encoding="utf-8").splitlines()
    bad = rows[3].split(",")
    bad[header.split(",").index("price")] = "x"
    return "\n".join([header, *rows[:3], ",".join(bad)]).encode() + b"\n"


def test_settings_select_the_source(settings):
    assert isinstance(select_source(settings), LocalSource)
    assert isinstance(
        select_source(make_settings(home_dir=settings.home_dir, dashboard__api_url="http://127.0.0.1:8000")), ApiSource
    )
    with pytest.raises(ValueError, match="api_url"):
        make_settings(dashboard__api_url="ftp://example.org")


@pytest.fixture
def remote(service) -> ApiSource:
    return ApiSource(service.url, service.key)


def test_data_directory_and_service_return_equal_values(service, remote):
    local = LocalSource(make_settings(home_dir=service.served.home, cv__n_splits=2))
    assert remote.load_forecasts() == local.load_forecasts()
    assert remote.load_coin("Bitcoin") == local.load_coin("Bitcoin")
    assert remote.load_coin("unknown") is local.load_coin("unknown") is None
    assert remote.load_model() == local.load_model()


def test_forecasts_are_requested_page_by_page(remote, monkeypatch):
    all_forecasts = remote.load_forecasts()
    monkeypatch.setattr(remote_module, "_PAGE", 7)
    assert remote.load_forecasts() == all_forecasts
    assert len({item["coin"] for item in all_forecasts["items"]}) == all_forecasts["count"] > 14


def test_coin_name_with_a_slash_is_one_path_segment(remote):
    assert (remote.load_coin(AWKWARD)["coin"], remote.load_coin(AWKWARD)["symbol"]) == (AWKWARD, "ETH")


def test_row_is_sent_unchanged_and_forecast_as_locally(service, remote):
    began = time.time()
    body = {**BODY, "24h": -1.5, "coin": "Bitcoin", "date": "2025-08-01"}
    result, local = remote.predict(body), LocalSource(make_settings(home_dir=service.served.home)).predict(body)
    assert {**result, "timestamp": ""} == {**local, "timestamp": ""}
    assert service.logged_inputs(began) == [body]


def test_file_is_sent_unchanged_and_forecast_as_locally(service, remote, trained_home):
    content = make_csv(trained_home)
    assert remote.predict_csv(content) == LocalSource(make_settings(home_dir=service.served.home)).predict_csv(content)
    with pytest.raises(UserFacingError, match="Invalid request") as error:
        remote.predict_csv(b"what,is,this\n1,2,3\n")
    assert "column" in error.value.detail


def test_rejection_by_the_service_names_the_fields(remote):
    with pytest.raises(UserFacingError) as error:
        remote.predict({**BODY, "price": -1.0, "24h": -101.0})
    assert error.value.title == "Invalid request"
    fields = dict(error.value.fields)
    assert set(fields) == {"price", "24h"}
    assert "greater than or equal to 1e-18; got -1.0" in fields["price"]


def test_rejected_key_names_the_setting_but_not_the_key(service):
    for key, method in ((f"{service.key}x", "load_forecasts"), ("", "load_model"), (None, "load_forecasts")):
        with pytest.raises(UserFacingError, match="rejected the API key") as error:
            getattr(ApiSource(service.url, key), method)()
        assert "CRYPTOLIQ_DASHBOARD__API_KEY" in error.value.detail
        assert service.key not in str(error.value)
    assert service.key not in repr(make_settings(dashboard__api_key=service.key))


def test_rate_limit_and_stopped_service_are_reported(awkward_home):
    key, digest = generate_key()
    with serving(awkward_home, api__keys=digest, api__rate_per_minute=60) as served:
        source = ApiSource(served.url, key)
        # Ten requests at once are accepted.
        for _ in range(10):
            source.load_model()
        with pytest.raises(UserFacingError, match="Too many requests") as error:
            source.load_model()
        assert "at most 10 requests at once (burst) and 60 per minute" in error.value.detail
        assert "Try again in 1 s" in error.value.detail
        served.end()
        with pytest.raises(UserFacingError, match="is unreachable") as error:
            source.predict(BODY)
        assert "cryptoliq serve" in error.value.detail


def test_service_without_a_champion_is_reported(tmp_path):
    prepare_home(make_settings(home_dir=tmp_path))
    served = Served(tmp_path)
    try:
        served.wait_until_it_answers()
        source = ApiSource(served.url)
        assert source.load_model() is None
        assert source.load_forecasts()["items"] == []
        with pytest.raises(UserFacingError, match="Not available") as error:
            source.predict(BODY)
        assert "there is no champion yet" in error.value.detail
    finally:
        served.end()


@pytest.mark.parametrize("body", [{"title": None}, {"errors": "all"}, {"errors": ["x"]}, ["x"], "x"])
def test_error_response_of_any_shape_is_reported(body):
    with answering(500, body) as url, pytest.raises(UserFacingError, match="The service responded with status 500"):
        ApiSource(url).load_forecasts()


@pytest.mark.parametrize("body", ["x", [1], {"items": 1}, {}])
def test_response_of_another_service_is_reported(body):
    with answering(200, body) as url, pytest.raises(UserFacingError, match="The service's response cannot be read"):
        ApiSource(url).load_forecasts()


def test_file_is_forecast_locally_with_reasons(writable, trained_home):
    rows = pd.read_csv(io.BytesIO(writable.predict_csv(make_csv(trained_home)).content))
    assert rows["liquidity_score"].notna().tolist() == [True, True, True, False]
    assert "price is 'x'" in rows["reason"].iloc[3]
    with pytest.raises(UserFacingError, match="The file was rejected"):
        writable.predict_csv(b"what,is,this\n1,2,3\n")


def test_stored_row_is_forecast_locally_as_stored(settings):
    source = LocalSource(settings)
    coin = source.load_coin("Bitcoin")
    cells = {name: value for name, value in coin["snapshot"].items() if name != "date"}
    result = source.predict({**cells, "coin": "Bitcoin", "date": coin["snapshot"]["date"]})
    assert result["liquidity_score"] == pytest.approx(coin["latest"]["liquidity_score"], abs=1e-9)
    assert (result["basis"], result["model_version"]) == ("history", coin["latest"]["model_version"])


def test_invalid_row_names_its_field(settings):
    with pytest.raises(UserFacingError) as error:
        LocalSource(settings).predict({**BODY, "price": -1.0})
    ((field, reason),) = error.value.fields
    assert (field, "greater than or equal to 1e-18" in reason) == ("price", True)
    with pytest.raises(UserFacingError, match="expected a date from"):
        LocalSource(settings).predict({**BODY, "date": "2019-01-01"})


def test_champion_is_reloaded_only_when_it_changes(writable):
    _, first = writable._load_predictor()
    assert writable._load_predictor()[1] is first
    store = open_model_store(writable._settings)
    loaded = store.load()
    stored = store.promote(loaded.model, loaded.metadata, reason="again", at=dt.datetime.now(dt.UTC))
    assert writable._load_predictor()[1].champion.version == stored["version"]


def test_cache_key_changes_with_days_and_model(writable):
    before = writable.cache_key()
    assert writable.cache_key() == before
    store = TableStore(writable._settings)
    stored = store.read("forecasts")
    store.write("forecasts", stored.iloc[1:], ["2025-07"])
    after = writable.cache_key()
    assert after != before
    (writable._settings.models_dir / "current.pkl").unlink()
    assert writable.cache_key() != after


def test_damaged_table_and_model_are_reported(writable):
    settings = writable._settings
    path = TableStore(settings).path("forecasts", "2025-07")
    path.write_bytes(path.read_bytes()[:200])
    # The footer is missing: without the check, the month would count as one without forecasts.
    with pytest.raises(UserFacingError, match=r"A table cannot be read.*2025-07.parquet is damaged"):
        writable.load_forecasts()
    version = open_model_store(settings).current_version()
    (settings.models_dir / f"{version}.pkl").write_bytes(b"")
    for load in (writable.load_model, lambda: writable.predict_csv(b"coin\n")):
        with pytest.raises(UserFacingError, match="The model was rejected"):
            load()


def test_table_that_violates_its_schema_is_reported(writable):
    path = TableStore(writable._settings).path("engineered_features", "2025-07")
    table = pd.read_parquet(path)
    table.drop(columns="liquidity_score").to_parquet(path)
    with pytest.raises(UserFacingError, match="A table cannot be read") as error:
        writable.load_forecasts()
    assert "cryptoliq materialize" in error.value.detail


def test_forecast_without_a_champion_names_the_next_step(tmp_path):
    with pytest.raises(UserFacingError, match="cryptoliq train"):
        LocalSource(make_settings(home_dir=tmp_path)).predict(BODY)
