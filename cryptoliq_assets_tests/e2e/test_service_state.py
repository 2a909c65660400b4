"""What goes on beside the requests: looking for what is new, cleaning up, the end."""

import asyncio
import threading
import time
from types import SimpleNamespace

import httpx
import numpy as np
import pandas as pd
import pytest

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.modeling.registry.model_registry import open_model_store
from cryptoliq_assets.serving.api import state as service_module
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.api_client import asking
from cryptoliq_assets_tests.support.services import BODY, lines_of, promote_again
from cryptoliq_assets_tests.support.settings import make_settings


@pytest.fixture
def settings(trained_home, tmp_path) -> Settings:
    return make_settings(
        home_dir=trained_home.copy_to(tmp_path / "home"), cv__n_splits=2, api__reload_interval_seconds=0.05
    )


async def until(true) -> None:
    for _ in range(400):
        if true():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("not within 20 s")


def test_logs_that_cannot_be_removed_are_told_and_the_watch_goes_on(settings, monkeypatch):
    def refuses(folder, **named):
        raise PermissionError(13, "Permission denied", str(folder / "2020-01-01.jsonl"))

    async def whole():
        async with asking(settings) as (app, client):
            service = app.state.service
            await until(lambda: service.problem)
            told = (await client.get("/readyz")).json()["problem"]
            _, second = promote_again(settings.home_dir)
            await until(lambda: service.predictor.snapshot.champion.version == second)
            assert (await client.post("/predict", json=BODY)).status_code == 200
            return told

    monkeypatch.setattr(service_module, "remove_old_days", refuses)
    # However short the machine has been up, the first look cleans.
    clock = SimpleNamespace(time=time.time, perf_counter=time.perf_counter, monotonic=lambda: 5.0)
    monkeypatch.setattr(service_module, "time", clock)
    told = asyncio.run(whole())
    assert told.startswith("old files of data/predictions stay: PermissionError")
    events = [line["event"] for line in lines_of([settings.logs_dir / "app.log"])]
    assert (events[0], events.count("problem"), events[-1]) == ("model_loaded", 1, "stopped")
    # Nothing was lost of the clean stop.
    assert len(lines_of(list(settings.predictions_dir.glob("*.jsonl")))) == 1


def test_a_load_that_cannot_be_noted_serves_all_the_same(settings, monkeypatch):
    async def whole():
        async with asking(settings) as (app, _):
            service = app.state.service

            def fails(**named):
                raise KeyError("promoted_at")

            with monkeypatch.context() as patched:
                patched.setattr(service.metrics, "loaded", fails)
                _, second = promote_again(settings.home_dir)
                await until(lambda: service.predictor.snapshot.champion.version == second and service.problem)
                assert service.problem == "a load is not noted: KeyError: 'promoted_at'"
            _, third = promote_again(settings.home_dir)
            await until(lambda: service.predictor.snapshot.champion.version == third and not service.problem)

    asyncio.run(whole())


def test_a_badly_dated_request_is_not_among_those_that_are_computed_together(settings, monkeypatch):
    async def whole():
        async with asking(settings) as (app, client):
            asked = []
            answers = app.state.service.predictor.predict

            def counted(requests):
                asked.append(len(requests))
                return answers(requests)

            monkeypatch.setattr(app.state.service.predictor, "predict", counted)

            async def ask(number: int) -> httpx.Response:
                return await client.post("/predict", json=BODY if number % 4 else {**BODY, "date": "2990-01-01"})

            told = await asyncio.gather(*map(ask, range(40)))
            return asked, [answer.status_code for answer in told]

    asked, statuses = asyncio.run(whole())
    assert statuses == [422, 200, 200, 200] * 10
    assert sum(asked) == 30
    assert max(asked) > 1


def test_a_percentile_is_among_the_forecasts_that_are_shown_though_another_model_made_some_since(settings):
    store = TableStore(settings)
    month = store.months("forecasts")[-1]
    rows = store.read("forecasts", [month]).astype({"model_version": object})
    newest = rows[rows["date"] == rows["date"].max()]
    other = newest.assign(
        model_version="2025-07-31_v9",
        made_at=newest["made_at"] + pd.Timedelta(hours=1),
        **{name: newest[name] / 2 for name in ("liquidity_score", "lower", "upper")},
    )
    both = pd.concat([rows, other]).sort_values(["coin", "date", "made_at"], kind="stable")
    store.write("forecasts", both.astype({"model_version": "category"}), [month])

    async def whole():
        async with asking(settings) as (app, client):
            shown = (await client.get("/forecasts", params={"limit": 1000})).json()
            return shown, app.state.service.predictor.snapshot.latest

    shown, latest = asyncio.run(whole())
    assert shown["model_version"] == open_model_store(settings).model_version(
        open_model_store(settings).current_version()
    )
    np.testing.assert_array_equal(latest, sorted(item["liquidity_score"] for item in shown["items"]))


def test_forecasts_show_features_that_were_made_again(settings):
    async def whole():
        async with asking(settings) as (_, client):
            before = (await client.get("/forecasts")).json()["items"]
            store = TableStore(settings)
            month = store.months("engineered_features")[-1]
            rows = store.read("engineered_features", [month])
            store.write("engineered_features", rows.assign(liquidity_score=rows["liquidity_score"] / 2), [month])
            return before, (await client.get("/forecasts")).json()["items"]

    before, after = asyncio.run(whole())
    assert [item["today"] for item in after] == pytest.approx([item["today"] / 2 for item in before])


# Loads that hang


def test_a_load_that_hangs_keeps_the_service_neither_from_answering_nor_from_ending(settings, monkeypatch):
    hanging = threading.Event()

    async def whole() -> str:
        async with asking(settings) as (app, client):
            assert (await client.get("/healthz")).status_code == 200
            assert (await client.get("/readyz")).status_code == 503
            return app.state.service.problem

    monkeypatch.setattr(service_module, "_FIRST_LOAD_SECONDS", 0.05)
    monkeypatch.setattr(service_module.Predictor, "refresh", lambda self: hanging.wait(60))
    try:
        assert "the storage of the home may not answer" in asyncio.run(whole())
        assert not hanging.is_set()
    finally:
        hanging.set()
