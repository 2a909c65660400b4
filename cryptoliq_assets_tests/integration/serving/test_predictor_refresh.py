"""Reloading of the predictor: new, damaged and missing models and tables."""

import datetime as dt
import shutil
import threading

import pandas as pd
import pytest

from cryptoliq_assets.features.online import StoredHistory
from cryptoliq_assets.modeling.estimators.tree_predict_rows import FlatTreeEnsemble
from cryptoliq_assets.modeling.inference import load_champion
from cryptoliq_assets.modeling.registry.model_registry import open_model_store
from cryptoliq_assets.serving.predictor import NotReadyError, Predictor
from cryptoliq_assets.serving.views import load_latest_forecasts
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets.storage.validation import DamagedTableError
from cryptoliq_assets_tests.support.prediction_requests import NOW, request
from cryptoliq_assets_tests.support.services import promote_again
from cryptoliq_assets_tests.support.settings import make_settings


def test_refresh_loads_a_new_champion_and_a_rollback(own_predictor):
    first = own_predictor.snapshot.champion.version
    assert not own_predictor.refresh()
    second = promote_again(own_predictor.settings.home_dir)[1]
    assert own_predictor.refresh()
    assert own_predictor.snapshot.champion.version == second != first
    open_model_store(own_predictor.settings).rollback(at=dt.datetime.now(dt.UTC))
    assert own_predictor.refresh()
    assert own_predictor.snapshot.champion.version == first
    assert own_predictor.problem == ""


def test_a_champion_is_prepared_before_the_first_request(trained_home, monkeypatch):
    predictor = Predictor(make_settings(home_dir=trained_home.path))
    assert predictor.refresh()
    for name in ("from_booster", "from_forest"):
        monkeypatch.setattr(FlatTreeEnsemble, name, lambda _: pytest.fail("prepared during a request"))
    without_history, with_history = predictor.predict([request(), request(coin="Bitcoin", date="2025-08-01")], now=NOW)
    assert (without_history["basis"], with_history["basis"]) == ("snapshot", "history")
    assert predictor.snapshot.champion.loaded.metadata["model_name"] != "Linear_Regression"


def test_refresh_loads_a_new_snapshot_into_the_history(own_predictor):
    (before,) = own_predictor.predict(
        [request(coin="Bitcoin", date="2025-08-05")], now=dt.datetime(2025, 8, 5, tzinfo=dt.UTC)
    )
    store = TableStore(own_predictor.settings)
    rows = store.read("cleaned_snapshots", ["2025-07"])
    shifted = rows[rows["date"] == rows["date"].max()].assign(date=pd.Timestamp("2025-08-02"))
    store.write("cleaned_snapshots", shifted, ["2025-08"])
    model = own_predictor.snapshot.champion.loaded
    assert own_predictor.refresh()
    assert own_predictor.snapshot.newest == dt.date(2025, 8, 2)
    assert own_predictor.snapshot.champion.loaded is model
    (after,) = own_predictor.predict(
        [request(coin="Bitcoin", date="2025-08-05")], now=dt.datetime(2025, 8, 5, tzinfo=dt.UTC)
    )
    assert (before["basis"], after["basis"]) == ("snapshot", "history")


def test_with_a_damaged_current_model_the_earlier_one_serves(own_predictor):
    first = own_predictor.snapshot.champion.version
    broken = promote_again(own_predictor.settings.home_dir)[1]
    (own_predictor.settings.models_dir / f"{broken}.pkl").write_bytes(b"no pickle")
    fresh = Predictor(own_predictor.settings)
    for predictor in (own_predictor, fresh):
        predictor.refresh()
        assert predictor.snapshot.champion.version == first
        assert broken in predictor.problem
        assert predictor.predict([request()], now=NOW)


def test_a_current_model_repaired_in_place_is_loaded(own_predictor):
    second = promote_again(own_predictor.settings.home_dir)[1]
    artifact = own_predictor.settings.models_dir / f"{second}.pkl"
    valid = artifact.read_bytes()
    artifact.write_bytes(b"no pickle")
    own_predictor.refresh()
    assert own_predictor.snapshot.champion.version != second
    artifact.write_bytes(valid)
    own_predictor.refresh()
    assert (own_predictor.snapshot.champion.version, own_predictor.problem) == (second, "")


def test_a_lost_pointer_is_reported_until_it_is_rewritten(own_predictor):
    version, model = own_predictor.snapshot.champion.version, own_predictor.snapshot.champion.loaded
    (own_predictor.settings.models_dir / "current.pkl").unlink()
    assert own_predictor.refresh()
    assert (own_predictor.snapshot.champion.version, own_predictor.snapshot.champion.loaded) == (version, model)
    assert own_predictor.problem.startswith(f"current.pkl is missing: in the audit log {version} is current")
    open_model_store(own_predictor.settings).rollback(version, at=dt.datetime.now(dt.UTC))
    assert own_predictor.refresh()
    assert (own_predictor.snapshot.champion.version, own_predictor.problem) == (version, "")


def test_without_a_valid_model_the_loaded_one_serves(own_predictor):
    first, shown = own_predictor.snapshot.champion.version, own_predictor.snapshot.champion.model_version
    broken = promote_again(own_predictor.settings.home_dir)[1]
    for version in (first, broken):
        (own_predictor.settings.models_dir / f"{version}.pkl").write_bytes(b"no pickle")
    assert not own_predictor.refresh()
    assert own_predictor.snapshot.champion.version == first
    assert broken in own_predictor.problem
    assert own_predictor.predict([request()], now=NOW)[0]["model_version"] == shown


def test_a_home_without_a_champion_names_the_command(tmp_path):
    predictor = Predictor(make_settings(home_dir=tmp_path))
    assert not predictor.refresh()
    with pytest.raises(NotReadyError, match="cryptoliq materialize"):
        predictor.predict([request()])


def test_a_home_without_tables_predicts_from_the_snapshot(own_predictor):
    shutil.rmtree(own_predictor.settings.data_dir)
    fresh = Predictor(own_predictor.settings)
    assert fresh.refresh()
    (prediction,) = fresh.predict([request(coin="Bitcoin")], now=NOW)
    assert (prediction["basis"], prediction["percentile"]) == ("snapshot", None)


def test_the_old_snapshot_serves_until_the_new_one_is_loaded(own_predictor, monkeypatch):
    first, second = own_predictor.snapshot.champion.model_version, promote_again(own_predictor.settings.home_dir)[1]
    entered, go_on = threading.Event(), threading.Event()
    read = StoredHistory.from_rows

    def read_slowly(rows, *, formula):
        entered.set()
        assert go_on.wait(30)
        return read(rows, formula=formula)

    monkeypatch.setattr(StoredHistory, "from_rows", read_slowly)
    old_snapshot, loading = own_predictor.snapshot, threading.Thread(target=own_predictor.refresh)
    loading.start()
    assert entered.wait(30)
    assert own_predictor.snapshot is old_snapshot
    assert own_predictor.predict([request()], now=NOW)[0]["model_version"] == first
    go_on.set()
    loading.join(30)
    assert own_predictor.snapshot is not old_snapshot
    assert load_champion(own_predictor.settings).version == second
    shown = open_model_store(own_predictor.settings).model_version(second)
    assert own_predictor.predict([request()], now=NOW)[0]["model_version"] == shown


def test_a_coin_gone_for_months_is_stale_and_a_new_one_is_not(own_predictor):
    store = TableStore(own_predictor.settings)
    rows = store.read("cleaned_snapshots", ["2025-07"])
    # Stored in January only, five months before all loaded rows.
    shifted = rows.assign(
        date=rows["date"] - pd.Timedelta(days=181), coin=rows["coin"].cat.rename_categories(lambda name: f"old {name}")
    )
    store.write("cleaned_snapshots", shifted[shifted["date"].dt.strftime("%Y-%m") == "2025-01"], ["2025-01"])
    own_predictor.snapshot = None
    assert own_predictor.refresh()
    assert "old Bitcoin" not in own_predictor.snapshot.history.codes
    old, new = own_predictor.predict([request(coin="old Bitcoin"), request(coin="new Bitcoin")], now=NOW)
    assert (old["basis"], old["flags"]["stale_history"]) == ("snapshot", True)
    assert (new["basis"], new["flags"]["stale_history"]) == ("snapshot", False)
    assert old["liquidity_score"] == new["liquidity_score"]
    # In the loaded months, but before the 90 days that windows include.
    far = dt.datetime(2025, 11, 20, tzinfo=dt.UTC)
    (prediction,) = own_predictor.predict([request(coin="Bitcoin")], now=far)
    assert prediction["flags"]["stale_history"] is True


def test_damaged_forecasts_only_remove_the_percentile(own_predictor):
    store = own_predictor.store
    path = store.path("forecasts", store.months("forecasts")[-1])
    content = path.read_bytes()
    path.write_bytes(b"")
    assert own_predictor.refresh()
    assert f"{path} is damaged" in own_predictor.problem
    assert not own_predictor.refresh()
    assert f"{path} is damaged" in own_predictor.problem
    [prediction] = own_predictor.predict([request()], now=NOW)
    assert prediction["percentile"] is None
    assert prediction["liquidity_score"] > 0
    with pytest.raises(DamagedTableError):
        load_latest_forecasts(own_predictor.settings, store)
    path.write_bytes(content)
    assert own_predictor.refresh()
    assert own_predictor.problem == ""
