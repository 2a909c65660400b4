"""A home and a service answer alike, and what goes wrong is told in words."""

import datetime as dt
import io

import pandas as pd
import pytest

from cryptoliq_assets.io.tables import TableStore
from cryptoliq_assets.models.store import store_of
from cryptoliq_assets.serving.sources import ApiSource, LocalSource, Problem, source_of
from cryptoliq_assets.settings import Settings
from cryptoliq_assets_tests.serving.stub_service import KEY

BODY = {"price": 1.0, "24h_volume": 1e6}


@pytest.fixture
def own(trained_home, tmp_path) -> LocalSource:
    """Of a home to write in."""
    return LocalSource(Settings(home=trained_home.copy_to(tmp_path / "home"), folds=2))


def upload(trained_home) -> bytes:
    """Four rows of a real snapshot, the last with a price that is none."""
    header, *rows = trained_home.later_files[0].read_text(encoding="utf-8").splitlines()
    bad = rows[3].split(",")
    bad[header.split(",").index("price")] = "x"
    return "\n".join([header, *rows[:3], ",".join(bad)]).encode() + b"\n"


def test_the_settings_say_which_source(settings):
    assert isinstance(source_of(settings), LocalSource)
    assert isinstance(source_of(Settings(home=settings.home, api_url="http://127.0.0.1:8000")), ApiSource)
    with pytest.raises(ValueError, match="api_url"):
        Settings(api_url="ftp://example.org")


def test_home_and_service_tell_the_same(settings, service):
    local, remote = LocalSource(settings), ApiSource(service.url, KEY)
    assert remote.forecasts() == local.forecasts()
    assert remote.coin("Bitcoin") == local.coin("Bitcoin")
    assert remote.coin("nobody") is local.coin("nobody") is None
    assert remote.model() == local.model()
    assert service.keys == {f"Bearer {KEY}"}


def test_a_service_is_asked_page_by_page(settings, service):
    service.page = 7
    assert ApiSource(service.url).forecasts() == LocalSource(settings).forecasts()


def test_a_coin_whose_name_holds_a_slash_is_one_part_of_the_address(service):
    service.coins["A/B?c=1"] = {"coin": "A/B?c=1"}
    assert ApiSource(service.url).coin("A/B?c=1") == {"coin": "A/B?c=1"}


def test_a_row_is_sent_as_json_and_a_file_as_csv(service, trained_home):
    source = ApiSource(service.url, KEY)
    assert source.predict(BODY)["liquidity_score"] == 0.512
    assert service.bodies == [BODY]
    made = pd.read_csv(io.BytesIO(source.predict_csv(upload(trained_home))))
    assert (len(made), service.types) == (4, ["text/csv"])


def test_what_a_service_refuses_is_told_with_its_fields(service):
    errors = [{"field": "price", "message": "must be above 0"}]
    service.refusal = (422, {"title": "The body is refused", "detail": "1 field", "errors": errors})
    with pytest.raises(Problem) as told:
        ApiSource(service.url, KEY).predict(BODY)
    assert (told.value.title, told.value.fields) == ("The body is refused", (("price", "must be above 0"),))


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_says_which_setting_and_never_the_key(service, status):
    service.refusal = (status, {"title": "no"})
    with pytest.raises(Problem) as told:
        ApiSource(service.url, KEY).forecasts()
    assert "CRYPTOLIQ_API_KEY" in told.value.detail
    assert KEY not in str(told.value)
    assert KEY not in repr(Settings(api_key=KEY))


def test_a_service_that_is_not_there_or_is_another_is_told():
    with pytest.raises(Problem, match="cannot be reached"):
        ApiSource("http://127.0.0.1:9", KEY).forecasts()


@pytest.mark.parametrize("answer", [{"title": None}, {"errors": "all"}, {"errors": ["x"]}])
def test_a_refusal_of_any_shape_is_told(service, answer):
    service.refusal = (500, answer)
    with pytest.raises(Problem, match="The service answered 500"):
        ApiSource(service.url).forecasts()


def test_a_file_is_forecast_locally_row_by_row_with_reasons(own, trained_home):
    made = pd.read_csv(io.BytesIO(own.predict_csv(upload(trained_home))))
    assert made["liquidity_score"].notna().tolist() == [True, True, True, False]
    assert "price is 'x'" in made["reason"].iloc[3]
    with pytest.raises(Problem, match="The file was refused"):
        own.predict_csv(b"what,is,this\n1,2,3\n")


def test_a_row_is_forecast_locally_as_the_newest_forecast_has_it(settings):
    source = LocalSource(settings)
    seen = source.coin("Bitcoin")
    cells = {name: value for name, value in seen["snapshot"].items() if name != "date"}
    said = source.predict({**cells, "coin": "Bitcoin", "date": seen["snapshot"]["date"]})
    assert said["liquidity_score"] == pytest.approx(seen["latest"]["liquidity_score"], abs=1e-9)
    assert (said["basis"], said["model_version"]) == ("history", seen["latest"]["model_version"])


def test_a_row_that_is_none_names_its_field(settings):
    with pytest.raises(Problem) as told:
        LocalSource(settings).predict({**BODY, "price": -1.0})
    ((field, fault),) = told.value.fields
    assert (field, "greater than 0" in fault) == ("price", True)
    with pytest.raises(Problem, match="expected a day"):
        LocalSource(settings).predict({**BODY, "date": "2019-01-01"})


def test_a_champion_is_loaded_once_and_again_when_another_is_current(own):
    first = own._ready().held
    assert own._ready().held is first
    store = store_of(own._settings)
    loaded = store.load()
    stored = store.promote(loaded.model, loaded.metadata, reason="again", at=dt.datetime.now(dt.UTC))
    assert own._ready().held.champion.version == stored["version"]


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
    # The footer is gone: no stamp, so the month says nothing of itself.
    assert own.forecasts()["count"] == 0
    version = store_of(settings).current_version()
    (settings.models_dir / f"{version}.pkl").write_bytes(b"")
    for ask in (own.model, lambda: own.predict_csv(b"coin\n")):
        with pytest.raises(Problem, match="The model was refused"):
            ask()


def test_a_table_that_breaks_its_schema_is_told(own):
    path = TableStore(own._settings).path("engineered_features", "2025-07")
    whole = pd.read_parquet(path)
    whole.drop(columns="liquidity_score").to_parquet(path)
    with pytest.raises(Problem, match="A table cannot be read") as told:
        own.forecasts()
    assert "cryptoliq materialize" in told.value.detail


def test_without_a_champion_a_forecast_says_what_to_do(tmp_path):
    with pytest.raises(Problem, match="cryptoliq train"):
        LocalSource(Settings(home=tmp_path)).predict(BODY)
