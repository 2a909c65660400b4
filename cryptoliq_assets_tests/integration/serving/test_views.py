"""Views of a home: the numbers of its tables, null for unknown values, messages for damaged files."""

import datetime as dt
import json

import pandas as pd
import pytest

from cryptoliq_assets.core.atomic_write import write_json
from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.modeling.registry.model_registry import open_model_store
from cryptoliq_assets.modeling.registry.serialization import ModelRejectedError
from cryptoliq_assets.serving import home_views, views
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.frames import fill_home, raw_rows, received, store_forecast
from cryptoliq_assets_tests.support.settings import make_settings


@pytest.fixture
def own(trained_home, tmp_path) -> Settings:
    """A home that the test may change."""
    return make_settings(home_dir=trained_home.copy_to(tmp_path / "home"), cv__n_splits=2)


def strict(value) -> str:
    return json.dumps(value, allow_nan=False)


def test_the_latest_forecasts_equal_the_tables(settings):
    found = views.load_latest_forecasts(settings, TableStore(settings))
    strict(found)
    forecasts = pd.read_parquet(settings.data_dir / "forecasts").set_index("coin")
    features = pd.read_parquet(settings.data_dir / "processed" / "engineered_features" / "2025-07.parquet")
    features = features[features["date"] == "2025-07-31"].set_index("coin")
    assert (found["date"], found["target_date"]) == ("2025-07-31", "2025-08-01")
    assert found["count"] == len(found["items"]) == len(forecasts)
    assert [item["coin"] for item in found["items"]] == sorted(forecasts.index)
    for item in found["items"]:
        row, seen = forecasts.loc[item["coin"]], features.loc[item["coin"]]
        assert (item["liquidity_score"], item["lower"]) == (row["liquidity_score"], row["lower"])
        assert item["change"] == row["liquidity_score"] - seen["liquidity_score"]
        assert item["below_mean"] == row["liquidity_score"] - seen["liquidity_score_mean_30d"]
    ranked = sorted((item for item in found["items"] if item["rank"]), key=lambda item: item["rank"])
    caps = [item["mkt_cap"] for item in ranked]
    assert caps == sorted(caps, reverse=True)
    assert [item["rank"] for item in ranked] == list(range(1, len(ranked) + 1))


def test_without_forecasts_the_view_is_empty(tmp_path):
    settings = make_settings(home_dir=tmp_path)
    found = views.load_latest_forecasts(settings, TableStore(settings))
    assert (found["count"], found["items"], found["date"], found["model_version"]) == (0, [], None, None)


def test_unknown_values_are_null(own):
    store = TableStore(own)
    features = store.read("engineered_features", ["2025-07"])
    features.loc[features["coin"] == "Bitcoin", ["liquidity_score", views.MEAN_30D]] = float("nan")
    store.write("engineered_features", features, ["2025-07"])
    items = {item["coin"]: item for item in views.load_latest_forecasts(own, store)["items"]}
    assert [items["Bitcoin"][name] for name in ("today", "change", "mean_30d", "below_mean")] == [None] * 4


def test_the_current_models_forecasts_are_shown_else_the_last(own):
    store = TableStore(own)
    current = open_model_store(own).model_version(open_model_store(own).current_version())
    stored = store.read("forecasts")
    later = stored.assign(
        model_version="2025-06-30_v9",
        liquidity_score=stored["lower"],
        made_at=stored["made_at"] + pd.Timedelta("1h"),
    )
    plain = {"coin": object, "model_version": object}
    both = pd.concat([stored.astype(plain), later.astype(plain)], ignore_index=True)
    store.write("forecasts", both, ["2025-07"])
    assert views.load_latest_forecasts(own, store)["model_version"] == current
    assert views.build_coin_view(own, store, "Bitcoin")["latest"]["model_version"] == current
    for name in ("current.pkl", "ledger.jsonl"):
        (own.models_dir / name).unlink()
    found = views.load_latest_forecasts(own, store)
    assert (found["model_version"], found["count"]) == ("2025-06-30_v9", len(later))
    assert found["items"][0]["liquidity_score"] == found["items"][0]["lower"]


def test_a_coin_view_has_days_forecasts_and_actual_scores(tmp_path):
    settings = make_settings(home_dir=tmp_path)
    store = fill_home(settings, [1, 2, 3, 4])
    cleaned = raw_rows([{"coin": coin, "day": day} for coin in ("A", "B") for day in (1, 2, 3, 4)])
    store.write(
        "cleaned_snapshots", cleaned.assign(filled_forward=False, filled_backward=False, outlier=False), ["2025-03"]
    )
    store_forecast(settings, 2, version="X_2025-03-01_v1")
    labels = store.read("labels", ["2025-03"], coin="A").set_index("date")
    seen = views.build_coin_view(settings, store, "A")
    strict(seen)
    assert [day["date"] for day in seen["history"]] == ["2025-03-01", "2025-03-02", "2025-03-03", "2025-03-04"]
    assert seen["history"][2]["liquidity_score"] == labels.loc["2025-03-03", "liquidity_score"]
    (forecast,) = seen["forecasts"]
    assert (forecast["date"], forecast["target_date"], forecast["liquidity_score"]) == ("2025-03-02", "2025-03-03", 0.5)
    assert forecast["realised"] == labels.loc["2025-03-03", "liquidity_score"]
    assert forecast["made_at"] == "2025-05-01T12:00:00Z"
    assert (forecast["filled"], forecast["outlier"]) == (False, False)
    assert (seen["latest"]["filled"], seen["latest"]["outlier"]) == (False, False)
    assert (seen["latest"]["liquidity_score"], seen["snapshot"]["date"]) == (0.5, "2025-03-04")
    assert views.build_coin_view(settings, store, "B")["latest"] is None
    assert views.build_coin_view(settings, store, "C") is None


def test_a_coin_without_recent_rows_is_shown_to_its_last_day(tmp_path):
    settings = make_settings(home_dir=tmp_path)
    store = fill_home(settings, [1, 2, 3, 4])
    cleaned = raw_rows([*({"coin": "A", "day": day} for day in (1, 2, 3, 4)), {"coin": "B", "day": 2}])
    store.write(
        "cleaned_snapshots", cleaned.assign(filled_forward=False, filled_backward=False, outlier=False), ["2025-03"]
    )
    shown = {coin: views.build_coin_view(settings, store, coin, days=2)["history"] for coin in ("A", "B")}
    assert [day["date"] for day in shown["A"]] == ["2025-03-03", "2025-03-04"]
    assert [day["date"] for day in shown["B"]] == ["2025-03-02"]


def test_reading_one_coin_equals_filtering_the_table(settings):
    store = TableStore(settings)
    labels = store.read("labels", columns=["coin", "date", "target_score"])
    alone = store.read("labels", columns=["coin", "date", "target_score"], coin="Bitcoin")
    expected = labels[labels["coin"] == "Bitcoin"].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone.astype({"coin": object}), expected.astype({"coin": object}))
    assert store.read("labels", columns=["coin", "date"], coin="unknown").empty


def test_the_model_view_shows_the_serving_model(own):
    assert views.build_model_view(make_settings(home_dir=own.home_dir / "nowhere")) is None
    found = views.build_model_view(own)
    assert (found["version"], found["passed_over"]) == (open_model_store(own).current_version(), [])
    path = own.models_dir / f"{found['version']}.pkl"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelRejectedError, match="truncated, swapped or tampered with"):
        views.build_model_view(own)


def test_the_models_view_has_versions_ledger_and_leaderboard(own):
    store = open_model_store(own)
    loaded = store.load()
    store.promote(loaded.model, loaded.metadata, reason="again", at=dt.datetime.now(dt.UTC))
    found = home_views.build_models_view(own)
    strict(found)
    assert [entry["version"] for entry in found["versions"]] == store.versions()
    assert [entry["current"] for entry in found["versions"]] == [True, False]
    assert found["ledger"][0]["reason"] == "again"
    assert found["leaderboard"]["candidates"]
    (own.reports_dir / "metrics.json").write_text("{")
    damaged = home_views.build_models_view(own)
    assert damaged["leaderboard"] is None
    assert "metrics.json cannot be read" in damaged["problems"][0]
    assert "`cryptoliq train` writes it again" in damaged["problems"][0]


def test_health_counts_missing_days_and_the_age_of_the_newest(tmp_path):
    settings = make_settings(home_dir=tmp_path)
    rows = raw_rows([{"coin": coin, "day": day} for day in (1, 2, 5) for coin in ("A", "B")[: 1 + day % 2]])
    TableStore(settings).write("raw_snapshots", received(rows), ["2025-03"])
    found = home_views.build_health_view(settings, TableStore(settings), today=dt.date(2025, 3, 7))
    strict(found)
    assert (found["first_snapshot"], found["newest_snapshot"]) == ("2025-03-01", "2025-03-05")
    assert (found["age_days"], found["days"], found["missing_days"]) == (2, 3, ["2025-03-04", "2025-03-03"])
    assert [day["coins"] for day in found["snapshots"]] == [2, 1, 2]
    assert (found["accuracy"], found["drift"], found["files"]["latest"]) == (None, None, [])


def test_the_health_view_has_files_stale_coins_and_drift(own):
    write_json(own.reports_dir / "drift_report.json", {"drifted": ["price_log"]})
    found = home_views.build_health_view(own, TableStore(own))
    strict(found)
    assert found["files"]["counts"] == {"waiting": 0, "accepted": 90, "refused": 0, "superseded": 0}
    newest = found["files"]["latest"][0]
    assert newest["rows_read"] == newest["rows_kept"] + sum(newest["rows_refused"].values())
    assert found["drift"] == {"drifted": ["price_log"]}
    assert found["stale_on"] == "2025-07-31"


def test_live_accuracy_equals_a_calculation_by_hand(tmp_path):
    settings = make_settings(home_dir=tmp_path)
    store = fill_home(settings, [1, 2, 3])
    store_forecast(settings, 2, version="X_2025-03-01_v1")
    came = store.read("labels", ["2025-03"], coin="A").set_index("date").loc["2025-03-02"]
    found, by_day = home_views.measure_live_accuracy(store)
    assert found["mae"] == pytest.approx(abs(0.5 - came["target_score"]))
    assert found["mae_persistence"] == pytest.approx(abs(came["liquidity_score"] - came["target_score"]))
    assert [day["target_date"] for day in by_day] == ["2025-03-03"]
    # The same rows every day: persistence is never wrong, so no skill is defined.
    assert found["skill"] is None


def test_the_newest_forecasts_flag_filled_rows_and_outliers(own):
    store = TableStore(own)
    stored = store.read("forecasts")
    store.write("forecasts", stored.assign(filled=True, outlier=stored["coin"] == "Bitcoin"), ["2025-07"])
    items = {item["coin"]: item for item in views.load_latest_forecasts(own, store)["items"]}
    assert all(item["filled"] is True for item in items.values())
    assert [coin for coin, item in items.items() if item["outlier"]] == ["Bitcoin"]
    assert views.build_coin_view(own, store, "Bitcoin")["latest"]["outlier"] is True
