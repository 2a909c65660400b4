"""All pages of the app: empty, incomplete and damaged data directories, and a service."""

import shutil

import pandas as pd
import pytest

from cryptoliq_assets.modeling.registry.model_registry import open_model_store
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.dashboard import PAGES, check_page, open_page, page_text
from cryptoliq_assets_tests.support.services import answering


@pytest.mark.parametrize("page", PAGES)
def test_empty_data_directory_shows_the_next_step(page, tmp_path, app_environment):
    app_environment(home=tmp_path)
    test = check_page(open_page(page))
    assert "Drop snapshot files into `data/raw` and run `cryptoliq materialize`" in page_text(test)
    assert not test.success
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("page", PAGES)
def test_missing_champion_shows_the_next_step(page, copied):
    shutil.rmtree(copied.models_dir)
    shutil.rmtree(copied.data_dir / "forecasts")
    test = open_page(page)
    assert not test.exception
    if page != "health":
        assert "run `cryptoliq train`" in page_text(test)


def test_missing_forecasts_show_the_next_step(copied):
    shutil.rmtree(copied.data_dir / "forecasts")
    assert "run `cryptoliq forecast`" in page_text(check_page(open_page("market")))


def test_damaged_model_and_table_show_a_message(copied):
    version = open_model_store(copied).current_version()
    (copied.models_dir / f"{version}.pkl").write_bytes(b"")
    test = open_page("models")
    assert "**The model was rejected**" in test.error[0].value
    assert "cryptoliq models verify" in test.error[0].value
    path = TableStore(copied).path("engineered_features", "2025-07")
    pd.read_parquet(path).drop(columns="liquidity_score").to_parquet(path)
    test = open_page("market")
    assert "**A table cannot be read**" in test.error[0].value
    assert not test.exception


def test_unexpected_error_shows_no_traceback(copied, monkeypatch):
    from cryptoliq_assets.serving import views

    monkeypatch.setattr(views, "load_latest_forecasts", lambda *_: 1 / 0)
    test = open_page("market")
    assert "Unexpected error" in test.error[0].value
    assert "ZeroDivision" not in page_text(test)


def test_text_of_another_server_is_escaped(app_environment):
    problem = {"title": "Rejected", "errors": [{"field": "price", "message": "at most 1e12, [not](http://x)"}]}
    with answering(422, problem) as url:
        app_environment(url=url)
        assert "- price: at most 1e12, \\[not\\](http\\://x)" in open_page("what_if").error[0].value


@pytest.mark.parametrize("page", ["market", "coin", "upload", "models", "health"])
def test_pages_open_on_a_service_or_name_the_limitation(page, app_environment, service):
    app_environment(url=service.url, key=service.key)
    test = check_page(open_page(page))
    assert ("needs the data directory" in page_text(test)) == (page in ("models", "health"))


@pytest.mark.parametrize("page", ["market", "coin", "what_if", "models"])
@pytest.mark.parametrize("given", ["none", "another"])
def test_missing_or_wrong_key_names_the_setting(page, given, app_environment, service):
    app_environment(url=service.url, key="" if given == "none" else f"{service.key}x")
    test = open_page(page)
    assert "**The service rejected the API key**" in test.error[0].value
    assert "CRYPTOLIQ" in test.error[0].value
    assert service.key not in page_text(test)
    assert not test.exception


def test_corrected_key_is_used_without_a_restart(app_environment, service):
    app_environment(url=service.url, key=f"{service.key}x")
    assert "rejected the API key" in open_page("market").error[0].value
    app_environment(url=service.url, key=service.key)
    check_page(open_page("market"))


@pytest.mark.parametrize("page", ["market", "coin", "what_if", "models"])
def test_unreachable_service_shows_a_message(page, app_environment):
    app_environment(url="http://127.0.0.1:9")
    test = open_page(page)
    assert "The service is unreachable" in test.error[0].value
    assert not test.exception
