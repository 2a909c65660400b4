"""Metrics by coin: those of the leaderboard on the rows of each coin, for every view."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cryptoliq_assets.modeling.datasets.splits import make_folds
from cryptoliq_assets.modeling.evaluation.backtest import best_and_worst_coins, measure_coins, measure_coins_of_views
from cryptoliq_assets.modeling.evaluation.cross_validation import evaluate_baseline
from cryptoliq_assets.modeling.evaluation.fold_metrics import har_reference
from cryptoliq_assets.modeling.evaluation.metrics import score_rows


@pytest.fixture(scope="module")
def evaluation(rows):
    return evaluate_baseline("mean_7d", rows, make_folds(rows, count=2))


def test_every_coins_metrics_equal_those_of_its_rows_alone(evaluation, rows):
    table = measure_coins_of_views(evaluation, rows).set_index(["coin", "view"])
    tested = rows.coin_names[rows.coins[evaluation.rows]]
    assert set(table.index) == {(coin, view) for coin in set(tested) for view in evaluation.forecasts}
    for (coin, view), row in table.iterrows():
        of_coin = tested == coin
        stored = {
            "persistence": evaluation.references["persistence"],
            "har": evaluation.references[har_reference(view)],
        }
        references = {name: values[of_coin] for name, values in stored.items()}
        scores = score_rows(
            rows.y[evaluation.rows][of_coin], evaluation.forecasts[view][of_coin], references=references
        )
        assert row["mean_absolute_prediction"] == pytest.approx(np.abs(evaluation.forecasts[view][of_coin]).mean())
        for name, value in scores.items():
            assert row[name] == pytest.approx(np.nan if value is None else value, rel=1e-9, nan_ok=True), (coin, name)


def test_metrics_of_two_coins_equal_manual_results(evaluation, rows):
    # Two rows each: errors 1 and -3, where those of persistence are 2 and 4 and of HAR 1 and 1; and no errors.
    names = rows.coin_names[[0, 1]]
    first_rows, second_rows = (np.flatnonzero(rows.coins == code)[:2] for code in (0, 1))
    chosen = np.concatenate([first_rows, second_rows])
    two_coins = rows.take(chosen)
    two_coins.y[:] = [10.0, 14.0, 5.0, 5.0]
    evaluated = replace(
        evaluation,
        rows=np.arange(4),
        fold=np.ones(4),
        forecasts={"with_history": np.array([11.0, 11.0, 5.0, 5.0])},
        references={
            "persistence": np.array([8.0, 18.0, 5.0, 5.0]),
            "har": np.array([9.0, 15.0, 6.0, 6.0]),
        },
    )
    table = measure_coins(evaluated, two_coins)
    assert table["coin"].tolist() == list(names)
    first, second = table.iloc[0], table.iloc[1]
    assert first["mae"] == 2.0
    assert first["mean_absolute_prediction"] == 11.0
    assert first["rmse"] == pytest.approx(np.sqrt(5.0))
    assert first["skill"] == pytest.approx(1 - 5 / 10)
    # Realised 10 and 14: variance 4.
    assert first["r2"] == pytest.approx(1 - 5 / 4)
    assert first["mae_vs_persistence"] == pytest.approx(2 / 3)
    assert first["mae_vs_har"] == pytest.approx(2.0)
    assert first["bias"] == pytest.approx(-1.0)
    assert (second["mae"], second["mae_vs_har"]) == (0.0, 0.0)
    # With a reference without error, or constant values, these metrics are undefined.
    assert np.isnan(second[["skill", "r2", "mae_vs_persistence"]].astype(float)).all()


def test_equal_values_have_no_explained_variance(evaluation, rows):
    chosen = np.flatnonzero(rows.coins == 0)[:3]
    same = rows.take(chosen)
    same.y[:] = 0.1
    assert np.var(same.y) > 0
    values = np.array([0.1, 0.2, 0.3])
    evaluated = replace(
        evaluation,
        rows=np.arange(3),
        forecasts={"with_history": values},
        references={"persistence": values, "har": values},
    )
    assert np.isnan(measure_coins(evaluated, same)["r2"]).all()
    assert score_rows(same.y, values, references={"persistence": values})["r2"] is None


def test_the_worst_coin_is_first_with_its_last_bucket(evaluation, rows):
    rows = rows.take(np.arange(len(rows)))
    table = measure_coins(evaluation, rows)
    assert table["mae"].is_monotonic_decreasing
    assert table["rows"].sum() == len(evaluation.rows)
    coin = table["coin"].iloc[0]
    of_coin = evaluation.rows[rows.coin_names[rows.coins[evaluation.rows]] == coin]
    rows.bucket[of_coin[np.argmax(rows.date[of_coin])]] = 3
    assert measure_coins(evaluation, rows)["bucket"].iloc[0] == "501-1000"


def test_a_coin_of_four_rows_is_neither_the_best_nor_the_worst():
    table = pd.DataFrame(
        {
            "coin": ["few", "good", "fair", "bad", "bad"],
            "model": ["m", "m", "m", "m", "other"],
            "view": "with_history",
            "rows": [4, 5, 5, 5, 5],
            "mae": [0.0, 0.1, 0.2, 0.3, 9.0],
        }
    )
    best, worst = best_and_worst_coins(pd.concat([table, table.assign(view="young", mae=7.0)]), "m", count=2)
    assert best["coin"].tolist() == ["good", "fair"]
    assert worst["coin"].tolist() == ["bad", "fair"]
    assert list(best) == ["coin", "rows", "mae"]
