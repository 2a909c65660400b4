"""Backtest: out-of-fold forecasts of every model, their metrics, and the stored files."""

import dataclasses
import json
import os
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from cryptoliq_assets.core.safe_open import FileReadError
from cryptoliq_assets.modeling.datasets.splits import make_folds
from cryptoliq_assets.modeling.evaluation.backtest import by_coin_path, read_backtest, read_by_coin, write_backtest
from cryptoliq_assets.modeling.evaluation.cross_validation import evaluate_baseline
from cryptoliq_assets.modeling.training_data import training_rows
from cryptoliq_assets.orchestration.definitions import build_definitions
from cryptoliq_assets.schemas.backtest import BACKTEST, BACKTEST_BY_COIN
from cryptoliq_assets.schemas.groups import BUCKETS, VIEWS
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets.storage.validation import InvalidTableError, validate_table
from cryptoliq_assets_tests.support.settings import make_settings

MODELS = ["linear_regression", "random_forest", "xgboost", "persistence", "har", "mean_7d"]


@pytest.fixture(scope="module")
def backtest(trained_home) -> pd.DataFrame:
    return read_backtest(trained_home.path / "reports" / "backtest.parquet")


def test_every_model_forecasts_the_same_rows(backtest):
    assert backtest["model"].cat.categories.tolist() == MODELS
    keys = {name: part[["coin", "date"]].to_numpy().tolist() for name, part in backtest.groupby("model", observed=True)}
    assert all(rows == keys["xgboost"] for rows in keys.values())
    assert len(keys["xgboost"]) > 1_500
    validate_table(BACKTEST, backtest, where="stored backtest")


def test_the_skill_of_the_leaderboard_is_that_of_the_backtest(trained_home, backtest):
    board = json.loads((trained_home.path / "reports" / "metrics.json").read_text())
    for entry in board["candidates"] + board["baselines"]:
        own = backtest[backtest["model"] == entry["name"]]
        for view, column in (("with_history", "predicted"), ("without_history", "predicted_without_history")):
            squares = (
                pd.DataFrame(
                    {
                        "fold": own["fold"],
                        "model": (own[column] - own["realised"]) ** 2,
                        "naive": (own["persistence"] - own["realised"]) ** 2,
                    }
                )
                .groupby("fold")[["model", "naive"]]
                .mean()
            )
            skill = float((1.0 - squares["model"] / squares["naive"]).mean())
            assert skill == pytest.approx(entry["metrics"][view]["all"]["mean"]["skill"], abs=1e-9), entry["name"]


def test_every_metric_exists_for_every_model_view_and_bucket(trained_home):
    board = json.loads((trained_home.path / "reports" / "metrics.json").read_text())
    names = {"rows", "skill", "mae", "rmse", "r2", "mae_vs_persistence", "mae_vs_har"}
    entries = board["candidates"] + board["baselines"]
    assert {entry["name"] for entry in entries} == set(MODELS)
    for entry in entries:
        assert set(entry["metrics"]) == set(VIEWS)
        for populations in entry["metrics"].values():
            assert set(populations) == {"all", "known_cap"}
            for metrics in populations.values():
                assert [fold["fold"] for fold in metrics["folds"]] == [1, 2]
                assert list(metrics["buckets"]) == list(BUCKETS)
                for scores in [metrics["mean"], *metrics["folds"], *metrics["buckets"].values()]:
                    assert scores.keys() - {"fold"} == names
                    # Without tested rows no metric is reported, otherwise all of them.
                    assert all(
                        (value is None) == (scores["rows"] == 0) for name, value in scores.items() if name != "rows"
                    )


def test_metrics_by_coin_are_those_of_the_backtest(trained_home, backtest):
    by_coin = read_by_coin(by_coin_path(trained_home.path / "reports"))
    validate_table(BACKTEST_BY_COIN, by_coin, where="stored metrics by coin")
    coins = set(backtest["coin"])
    keys = {(coin, model, view) for coin in coins for model in MODELS for view in VIEWS}
    assert set(by_coin[["coin", "model", "view"]].itertuples(index=False, name=None)) == keys
    own = backtest.astype({"coin": str, "model": str})
    har = own[own["model"] == "har"].set_index(["coin", "date"])["predicted"].rename("har")
    own = own.join(har, on=["coin", "date"])
    for view, column in (("with_history", "predicted"), ("without_history", "predicted_without_history")):
        errors = {name: own[name] - own["realised"] for name in (column, "persistence", "har")}
        magnitudes = pd.DataFrame({"absolute": errors[column].abs(), "squared": errors[column] ** 2})
        magnitudes = magnitudes.assign(naive=errors["persistence"] ** 2, har=errors["har"].abs())
        means = magnitudes.groupby([own["coin"], own["model"]]).mean()
        found = by_coin[by_coin["view"] == view].astype({"coin": str, "model": str}).set_index(["coin", "model"])
        found = found.loc[means.index]
        np.testing.assert_allclose(found["mae"], means["absolute"])
        np.testing.assert_allclose(found["rmse"], np.sqrt(means["squared"]))
        np.testing.assert_allclose(found["skill"], 1.0 - means["squared"] / means["naive"], atol=1e-9)
        # The HAR forecast of the same view: without history, HAR's own.
        har = means["absolute"].xs("har", level="model") if view == "without_history" else means["har"]
        expected = (
            means["absolute"] / har.reindex(means.index, level="coin")
            if view == "without_history"
            else means["absolute"] / har
        )
        np.testing.assert_allclose(found["mae_vs_har"], expected)


def test_the_realized_score_is_the_labels_target(trained_home, backtest):
    labels = TableStore(make_settings(home_dir=trained_home.path)).read("labels").astype({"coin": str})
    own = backtest[backtest["model"] == "har"].astype({"coin": str})
    both = own.merge(labels, on=["coin", "target_date"], suffixes=("", "_label"))
    assert len(both) == len(own)
    np.testing.assert_array_equal(both["realised"], both["target_score"])
    np.testing.assert_array_equal(both["persistence"], both["liquidity_score"])
    later = labels.set_index(["coin", "date"])["liquidity_score"]
    realised = later.reindex(pd.MultiIndex.from_frame(own[["coin", "target_date"]])).to_numpy()
    np.testing.assert_array_equal(own["realised"], realised)


@pytest.fixture(scope="module")
def evaluated(trained_home):
    settings = make_settings(home_dir=trained_home.path, cv__n_splits=2)
    rows, _ = training_rows(settings, TableStore(settings))
    return evaluate_baseline("har", rows, make_folds(rows, count=2)), rows


def test_an_invalid_forecast_keeps_the_previous_file(evaluated, tmp_path):
    har, rows = evaluated
    path = tmp_path / "backtest.parquet"
    assert write_backtest(path, [har], rows).rows == {"har": len(har.rows)}
    before, coins_before = path.read_bytes(), by_coin_path(tmp_path).read_bytes()
    broken = {view: values.copy() for view, values in har.forecasts.items()}
    broken["with_history"][7] = np.nan
    with pytest.raises(InvalidTableError, match=r"predicted: not_nullable failed 1 time"):
        write_backtest(path, [har, dataclasses.replace(har, name="bad", forecasts=broken)], rows)
    assert (path.read_bytes(), by_coin_path(tmp_path).read_bytes()) == (before, coins_before)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["backtest.parquet", "backtest_by_coin.parquet"]


def test_a_damaged_backtest_is_an_error_with_a_remedy(evaluated, tmp_path):
    har, rows = evaluated
    write_backtest(tmp_path / "backtest.parquet", [har], rows)
    for path, read in ((tmp_path / "backtest.parquet", read_backtest), (by_coin_path(tmp_path), read_by_coin)):
        content = path.read_bytes()
        for position in (100, len(content) // 2, len(content) - 100):
            path.write_bytes(content[:position] + bytes([content[position] ^ 4]) + content[position + 1 :])
            with pytest.raises(
                FileReadError, match=r"is damaged: sha256 of its .* expected .* `cryptoliq train` recreates it"
            ) as error:
                read(path)
            assert str(path) in str(error.value)
        path.unlink()
        os.mkfifo(path)
        with pytest.raises(FileReadError, match="a named pipe, not a regular file"):
            read(path)


def test_metrics_of_every_view_are_validated(evaluated, tmp_path):
    har, rows = evaluated
    broken = {view: values.copy() for view, values in har.forecasts.items()}
    broken["young"][7] = np.nan
    with pytest.raises(InvalidTableError, match=r"backtest_by_coin: .*\n  (mae|bias|rmse): not_nullable failed 1 time"):
        write_backtest(tmp_path / "backtest.parquet", [dataclasses.replace(har, forecasts=broken)], rows)
    assert not list(tmp_path.iterdir())


def test_the_best_model_is_a_candidate_and_not_a_baseline(evaluated, tmp_path):
    har, rows = evaluated
    naive = evaluate_baseline("persistence", rows, make_folds(rows, count=2))
    assert write_backtest(tmp_path / "backtest.parquet", [naive, har], rows).best == "har"
    candidate = dataclasses.replace(naive, name="candidate", spec={"name": "candidate"})
    assert write_backtest(tmp_path / "backtest.parquet", [har, candidate], rows).best == "candidate"


def test_a_duplicate_model_and_no_model_are_rejected(evaluated, tmp_path):
    har, rows = evaluated
    with pytest.raises(ValueError, match="har occurs twice"):
        write_backtest(tmp_path / "backtest.parquet", [har, har], rows)
    with pytest.raises(ValueError, match="no model was evaluated"):
        write_backtest(tmp_path / "backtest.parquet", [], rows)
    assert not list(tmp_path.iterdir())


def test_the_asset_shows_rows_preview_and_a_plot(trained_home):
    instance = dg.DagsterInstance.from_config(str(trained_home.path / ".dagster"))
    event = instance.get_latest_materialization_event(dg.AssetKey("backtest"))
    shown = event.asset_materialization.metadata
    assert shown["rows_by_model"].value.keys() == set(MODELS)
    assert shown["dagster/row_count"].value == sum(shown["rows_by_model"].value.values())
    assert shown["preview"].value.count("\n") == 2 + 3 * len(MODELS) - 1
    assert shown["error_by_day"].value.startswith("![mean absolute error, 7-day mean](data:image/svg+xml;base64,")
    board = json.loads((trained_home.path / "reports" / "metrics.json").read_text())
    assert shown["best_model"].value == board["best"]
    assert Path(shown["by_coin_path"].value).is_file()
    best, worst = (
        [line.split(" | ") for line in shown[name].value.splitlines()[2:]]
        for name in ("coins_forecast_best", "coins_forecast_worst")
    )
    assert (len(best), len(worst)) == (5, 5)
    by_coin = read_by_coin(by_coin_path(trained_home.path / "reports"))
    own = by_coin[(by_coin["model"] == board["best"]) & (by_coin["view"] == "with_history") & (by_coin["rows"] >= 5)]
    assert best[0][0] == f"| {own.loc[own['mae'].idxmin(), 'coin']}"
    assert worst[0][0] == f"| {own.loc[own['mae'].idxmax(), 'coin']}"


def test_the_train_job_writes_the_backtest(home):
    definitions = build_definitions(home)
    train = definitions.resolve_job_def("train")
    assert dg.AssetKey("backtest") in train.asset_layer.executable_asset_keys
    assert "leaderboard_no_look_ahead" in {node.name for node in train.nodes}
    assert definitions.resolve_job_def("rollback").executor_def.name == "in_process"
    graph = definitions.get_repository_def().asset_graph
    parents = {key.to_user_string() for key in graph.get(dg.AssetKey("backtest")).parent_keys}
    assert parents == {"linear_regression", "random_forest", "xgboost"}
