"""Background work of the service: reloads, removal of old files, and the shutdown."""

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
from cryptoliq_assets.serving.api import state
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.api_client import running_app
from cryptoliq_assets_tests.support.services import BODY, lines_of, promote_again
from cryptoliq_assets_tests.support.settings import make_settings


@pytest.fixture
def settings(trained_home, tmp_path) -> Settings:
    return make_settings(
        home_dir=trained_home.copy_to(tmp_path / "home"), cv__n_splits=2, api__reload_interval_seconds=0.05
    )


async def wait_until(condition) -> None:
    for _ in range(400):
        if condition():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the condition was not met within 20 s")


def test_logs_that_cannot_be_removed_do_not_stop_reloads(settings, monkeypatch):
    def reject(folder, **named):
        raise PermissionError(13, "Permission denied", str(folder / "2020-01-01.jsonl"))

    async def scenario():
        async with running_app(settings) as (app, client):
            service = app.state.service
            await wait_until(lambda: service.problem)
            message = (await client.get("/readyz")).json()["problem"]
            _, second = promote_again(settings.home_dir)
            await wait_until(lambda: service.predictor.snapshot.champion.version == second)
            assert (await client.post("/predict", json=BODY)).status_code == 200
            return message

    monkeypatch.setattr(state, "remove_old_days", reject)
    # The first reload removes old files, even if the machine has just been started.
    clock = SimpleNamespace(time=time.time, perf_counter=time.perf_counter, monotonic=lambda: 5.0)
    monkeypatch.setattr(state, "time", clock)
    message = asyncio.run(scenario())
    assert message.startswith("old files of data/predictions were not removed: PermissionError")
    events = [line["event"] for line in lines_of([settings.logs_dir / "app.log"])]
    assert (events[0], events.count("problem"), events[-1]) == ("model_loaded", 1, "stopped")
    # A clean stop loses no line.
    assert len(lines_of(list(settings.predictions_dir.glob("*.jsonl")))) == 1


def test_a_load_that_cannot_be_logged_serves_anyway(settings, monkeypatch):
    async def scenario():
        async with running_app(settings) as (app, _):
            service = app.state.service

            def fails(**named):
                raise KeyError("promoted_at")

            with monkeypatch.context() as patched:
                patched.setattr(service.metrics, "record_load", fails)
                _, second = promote_again(settings.home_dir)
                await wait_until(lambda: service.predictor.snapshot.champion.version == second and service.problem)
                assert service.problem == "a load was not logged: KeyError: 'promoted_at'"
            _, third = promote_again(settings.home_dir)
            await wait_until(lambda: service.predictor.snapshot.champion.version == third and not service.problem)

    asyncio.run(scenario())


def test_a_request_with_an_invalid_date_joins_no_batch(settings, monkeypatch):
    async def scenario():
        async with running_app(settings) as (app, client):
            batch_sizes = []
            predict = app.state.service.predictor.predict

            def count_requests(requests):
                batch_sizes.append(len(requests))
                return predict(requests)

            monkeypatch.setattr(app.state.service.predictor, "predict", count_requests)

            async def ask(number: int) -> httpx.Response:
                return await client.post("/predict", json=BODY if number % 4 else {**BODY, "date": "2990-01-01"})

            message = await asyncio.gather(*map(ask, range(40)))
            return batch_sizes, [answer.status_code for answer in message]

    batch_sizes, statuses = asyncio.run(scenario())
    assert statuses == [422, 200, 200, 200] * 10
    assert sum(batch_sizes) == 30
    assert max(batch_sizes) > 1


def test_percentiles_refer_to_the_forecasts_that_are_shown(settings):
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

    async def scenario():
        async with running_app(settings) as (app, client):
            shown = (await client.get("/forecasts", params={"limit": 1000})).json()
            return shown, app.state.service.predictor.snapshot.latest

    shown, latest = asyncio.run(scenario())
    assert shown["model_version"] == open_model_store(settings).model_version(
        open_model_store(settings).current_version()
    )
    np.testing.assert_array_equal(latest, sorted(item["liquidity_score"] for item in shown["items"]))


def test_forecasts_show_recomputed_features(settings):
    async def scenario():
        async with running_app(settings) as (_, client):
            before = (await client.get("/forecasts")).json()["items"]
            store = TableStore(settings)
            month = store.months("engineered_features")[-1]
            rows = store.read("engineered_features", [month])
            store.write("engineered_features", rows.assign(liquidity_score=rows["liquidity_score"] / 2), [month])
            return before, (await client.get("/forecasts")).json()["items"]

    before, after = asyncio.run(scenario())
    assert [item["today"] for item in after] == pytest.approx([item["today"] / 2 for item in before])


# Hanging loads.


def test_a_hanging_load_blocks_neither_responses_nor_the_stop(settings, monkeypatch):
    hanging = threading.Event()

    async def scenario() -> str:
        async with running_app(settings) as (app, client):
            assert (await client.get("/healthz")).status_code == 200
            assert (await client.get("/readyz")).status_code == 503
            return app.state.service.problem

    monkeypatch.setattr(state, "_FIRST_LOAD_SECONDS", 0.05)
    monkeypatch.setattr(state.Predictor, "refresh", lambda self: hanging.wait(60))
    try:
        assert "the storage of the data directory may not respond" in asyncio.run(scenario())
        assert not hanging.is_set()
    finally:
        hanging.set()
