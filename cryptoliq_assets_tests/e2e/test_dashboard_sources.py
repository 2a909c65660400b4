"""A home and a service answer alike, and what goes wrong is told in words."""

import datetime as dt
import io
import time

import pandas as pd
import pytest

from cryptoliq_assets.core.home import prepare_home
from cryptoliq_assets.dashboard.data_sources import http as remote_module
from cryptoliq_assets.dashboard.data_sources.http import ApiSource
from cryptoliq_assets.dashboard.data_sources.local import LocalSource
from cryptoliq_assets.dashboard.data_sources.selection import source_of
from cryptoliq_assets.dashboard.error_messages import UserFacingError
from cryptoliq_assets.modeling.registry.model_registry import store_of
from cryptoliq_assets.serving.gateway.auth import generate_key
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.service_fixtures import AWKWARD
from cryptoliq_assets_tests.support.services import Served, answering, serving
from cryptoliq_assets_tests.support.settings import make_settings

BODY = {"price": 1.0, "24h_volume": 1e6}


@pytest.fixture
def own(trained_home, tmp_path) -> LocalSource:
    """Of a home to write in."""
    return LocalSource(make_settings(home_dir=trained_home.copy_to(tmp_path / "home"), cv__n_splits=2))


def upload(trained_home) -> bytes:
    """Four rows of a real snapshot, the last with a price that is none."""
    header, *rows = trained_home.later_files[0].read_text(encoding="utf-8").splitlines()
    bad = rows[3].split(",")
    bad[header.split(",").index("price")] = "x"
    return "\n".join([header, *rows[:3], ",".join(bad)]).encode() + b"\n"


def test_the_settings_say_which_source(settings):
    assert isinstance(source_of(settings), LocalSource)
    assert isinstance(
        source_of(make_settings(home_dir=settings.home_dir, dashboard__api_url="http://127.0.0.1:8000")), ApiSource
    )
    with pytest.raises(ValueError, match="api_url"):
        make_settings(dashboard__api_url="ftp://example.org")


@pytest.fixture
def remote(service) -> ApiSource:
    return ApiSource(service.url, service.key)


def test_home_and_service_tell_the_same(service, remote):
    local = LocalSource(make_settings(home_dir=service.served.home, cv__n_splits=2))
    assert remote.forecasts() == local.forecasts()
    assert remote.coin("Bitcoin") == local.coin("Bitcoin")
    assert remote.coin("nobody") is local.coin("nobody") is None
    assert remote.model() == local.model()


def test_a_service_is_asked_page_by_page(remote, monkeypatch):
    whole = remote.forecasts()
    monkeypatch.setattr(remote_module, "_PAGE", 7)
    assert remote.forecasts() == whole
    assert len({item["coin"] for item in whole["items"]}) == whole["count"] > 14


def test_a_coin_whose_name_holds_a_slash_is_one_part_of_the_address(remote):
    assert (remote.coin(AWKWARD)["coin"], remote.coin(AWKWARD)["symbol"]) == (AWKWARD, "ETH")


def test_a_row_is_sent_as_it_is_and_answered_as_the_home_answers_it(service, remote):
    began = time.time()
    body = {**BODY, "24h": -1.5, "coin": "Bitcoin", "date": "2025-08-01"}
    said, own = remote.predict(body), LocalSource(make_settings(home_dir=service.served.home)).predict(body)
    assert {**said, "timestamp": ""} == {**own, "timestamp": ""}
    assert service.noted(began) == [body]


def test_a_file_is_sent_as_it_is_and_comes_back_as_the_home_would_have_it(service, remote, trained_home):
    content = upload(trained_home)
    assert remote.predict_csv(content) == LocalSource(make_settings(home_dir=service.served.home)).predict_csv(content)
    with pytest.raises(UserFacingError, match="Invalid request") as told:
        remote.predict_csv(b"what,is,this\n1,2,3\n")
    assert "column" in told.value.detail


def test_what_a_service_refuses_is_told_with_its_fields(remote):
    with pytest.raises(UserFacingError) as told:
        remote.predict({**BODY, "price": -1.0, "24h": -101.0})
    assert told.value.title == "Invalid request"
    fields = dict(told.value.fields)
    assert set(fields) == {"price", "24h"}
    assert "greater than or equal to 1e-18; got -1.0" in fields["price"]


def test_a_refused_key_says_which_setting_and_never_the_key(service):
    for key, asks in ((f"{service.key}x", "forecasts"), ("", "model"), (None, "forecasts")):
        with pytest.raises(UserFacingError, match="refused the key") as told:
            getattr(ApiSource(service.url, key), asks)()
        assert "CRYPTOLIQ_DASHBOARD__API_KEY" in told.value.detail
        assert service.key not in str(told.value)
    assert service.key not in repr(make_settings(dashboard__api_key=service.key))


def test_too_many_requests_and_a_service_that_ends_are_told(awkward_home):
    key, digest = generate_key()
    with serving(awkward_home, api__keys=digest, api__rate_per_minute=60) as served:
        source = ApiSource(served.url, key)
        # Ten at once are let in.
        for _ in range(10):
            source.model()
        with pytest.raises(UserFacingError, match="Too many requests") as told:
            source.model()
        assert "at most 10 requests at once (burst) and 60 per minute" in told.value.detail
        assert "Try again in 1 s" in told.value.detail
        served.end()
        with pytest.raises(UserFacingError, match="cannot be reached") as told:
            source.predict(BODY)
        assert "cryptoliq serve" in told.value.detail


def test_a_service_without_a_champion_says_so(tmp_path):
    prepare_home(make_settings(home_dir=tmp_path))
    served = Served(tmp_path)
    try:
        served.wait_until_it_answers()
        source = ApiSource(served.url)
        assert source.model() is None
        assert source.forecasts()["items"] == []
        with pytest.raises(UserFacingError, match="Not available") as told:
            source.predict(BODY)
        assert "there is no champion yet" in told.value.detail
    finally:
        served.end()


@pytest.mark.parametrize("told", [{"title": None}, {"errors": "all"}, {"errors": ["x"]}, ["x"], "x"])
def test_a_refusal_of_any_shape_is_told(told):
    with answering(500, told) as url, pytest.raises(UserFacingError, match="The service answered 500"):
        ApiSource(url).forecasts()


@pytest.mark.parametrize("told", ["x", [1], {"items": 1}, {}])
def test_an_answer_that_is_none_of_the_services_is_told(told):
    with answering(200, told) as url, pytest.raises(UserFacingError, match="The service's answer cannot be read"):
        ApiSource(url).forecasts()


def test_a_file_is_forecast_locally_row_by_row_with_reasons(own, trained_home):
    made = pd.read_csv(io.BytesIO(own.predict_csv(upload(trained_home)).content))
    assert made["liquidity_score"].notna().tolist() == [True, True, True, False]
    assert "price is 'x'" in made["reason"].iloc[3]
    with pytest.raises(UserFacingError, match="The file was refused"):
        own.predict_csv(b"what,is,this\n1,2,3\n")


def test_a_row_is_forecast_locally_as_the_newest_forecast_has_it(settings):
    source = LocalSource(settings)
    seen = source.coin("Bitcoin")
    cells = {name: value for name, value in seen["snapshot"].items() if name != "date"}
    said = source.predict({**cells, "coin": "Bitcoin", "date": seen["snapshot"]["date"]})
    assert said["liquidity_score"] == pytest.approx(seen["latest"]["liquidity_score"], abs=1e-9)
    assert (said["basis"], said["model_version"]) == ("history", seen["latest"]["model_version"])


def test_a_row_that_is_none_names_its_field(settings):
    with pytest.raises(UserFacingError) as told:
        LocalSource(settings).predict({**BODY, "price": -1.0})
    ((field, fault),) = told.value.fields
    assert (field, "greater than or equal to 1e-18" in fault) == ("price", True)
    with pytest.raises(UserFacingError, match="expected a day"):
        LocalSource(settings).predict({**BODY, "date": "2019-01-01"})


def test_a_champion_is_loaded_once_and_again_when_another_is_current(own):
    first = own._ready().snapshot
    assert own._ready().snapshot is first
    store = store_of(own._settings)
    loaded = store.load()
    stored = store.promote(loaded.model, loaded.metadata, reason="again", at=dt.datetime.now(dt.UTC))
    assert own._ready().snapshot.champion.version == stored["version"]


def test_another_key_means_other_days_or_another_model(own):
    before = own.key()
    assert own.key() == before
    store = TableStore(own._settings)
    stored = store.read("forecasts")
    store.write("forecasts", stored.iloc[1:], ["2025-07"])
    after = own.key()
    assert after != before
    (own._settings.models_dir / "current.pkl").unlink()
    assert own.key() != after


def test_what_is_damaged_in_a_home_is_told(own):
    settings = own._settings
    path = TableStore(settings).path("forecasts", "2025-07")
    path.write_bytes(path.read_bytes()[:200])
    # The footer is gone: without the check, the month would count as one without forecasts.
    with pytest.raises(UserFacingError, match=r"A table cannot be read.*2025-07.parquet is damaged"):
        own.forecasts()
    version = store_of(settings).current_version()
    (settings.models_dir / f"{version}.pkl").write_bytes(b"")
    for ask in (own.model, lambda: own.predict_csv(b"coin\n")):
        with pytest.raises(UserFacingError, match="The model was refused"):
            ask()


def test_a_table_that_breaks_its_schema_is_told(own):
    path = TableStore(own._settings).path("engineered_features", "2025-07")
    whole = pd.read_parquet(path)
    whole.drop(columns="liquidity_score").to_parquet(path)
    with pytest.raises(UserFacingError, match="A table cannot be read") as told:
        own.forecasts()
    assert "cryptoliq materialize" in told.value.detail


def test_without_a_champion_a_forecast_says_what_to_do(tmp_path):
    with pytest.raises(UserFacingError, match="cryptoliq train"):
        LocalSource(make_settings(home_dir=tmp_path)).predict(BODY)
