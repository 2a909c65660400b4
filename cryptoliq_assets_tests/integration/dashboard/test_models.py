"""Page Models: champion, folds, coverage, leaderboard, versions, audit log, model card."""

import datetime as dt
import json

import numpy as np
import pytest

from cryptoliq_assets.core.atomic_write import write_json
from cryptoliq_assets.dashboard.components import escape_markdown
from cryptoliq_assets.modeling.estimators.names import model_title
from cryptoliq_assets.modeling.registry.model_registry import open_model_store
from cryptoliq_assets_tests.support.dashboard import check_page, metrics, open_page, page_text, table_with_column


def test_new_champion_is_used_without_a_restart(copied):
    store = open_model_store(copied)
    first = store.current_version()
    assert escape_markdown(model_title(store.metadata(first))) in page_text(check_page(open_page("models")))
    loaded = store.load()
    second = store.promote(loaded.model, loaded.metadata, reason="again", at=dt.datetime.now(dt.UTC))["version"]
    title = escape_markdown(model_title(store.metadata(second)))
    assert title in page_text(check_page(open_page("models")))
    test = open_page("what_if")
    for field, value in {"price": 1.5, "24h_volume": 2e6}.items():
        test.number_input(key=f"{field} of None").set_value(value)
    test.button[0].click().run()
    assert f"Model: {title}." in page_text(check_page(test))


def test_models_show_folds_leaderboard_audit_log_and_card(app_environment, trained_home, settings):
    app_environment(home=trained_home.path)
    test = check_page(open_page("models"))
    champion = open_model_store(settings).current()
    assert metrics(test)["Skill"] == f"{champion['metrics']['skill']:.3f}"
    text = page_text(test)
    for title in ("Leaderboard", "Stored versions", "Audit log, newest first", "Model card"):
        assert title in text
    folds, coverage, board, coins, versions, audit_log = (frame.value for frame in test.dataframe)
    assert list(coins.columns) == ["Coin", "Days", "MAE", "Mean absolute prediction"]
    assert coins["MAE"].is_monotonic_decreasing
    assert (coins["Mean absolute prediction"] > 0).all()
    assert len(folds) == 2
    assert "1 day ahead" in text
    fold_coverage = champion["coverage"]["folds"][0]["groups"]["with_history"]["coverage"]
    assert coverage["Fold 2, %"].iloc[0] == pytest.approx(100 * fold_coverage)
    assert board["Model"].tolist()[-3:] == ["persistence", "har", "mean 7d"]
    assert versions[["Model", "Version"]].values.tolist() == [[champion["version"], champion["model_version"]]]
    assert audit_log["Event"].tolist() == ["promotion"]


def test_skill_that_rounds_to_zero_has_no_sign(copied):
    path = copied.reports_dir / "metrics.json"
    board = json.loads(path.read_text(encoding="utf-8"))
    board["baselines"][0]["skill"] = -4e-4
    write_json(path, board)
    skills = check_page(open_page("models")).dataframe[2].value.set_index("Model")["Skill"]
    assert not np.signbit(skills[board["baselines"][0]["name"].replace("_", " ")])
    assert skills["xgboost"] != 0


def test_coverage_is_sorted_from_large_to_small_coins(copied):
    loaded = open_model_store(copied).load()
    one = loaded.metadata["coverage"]["pooled"]["with_history"]
    sizes = ("1-50", "201-500", "501-1000", "51-200", "above_1000", "unknown")
    names = ("with_history", *sizes, "without_history", *(f"without_history:{size}" for size in sizes))
    coverage = {**loaded.metadata["coverage"], "pooled": dict.fromkeys(names, one)}
    metadata = {**loaded.metadata, "coverage": coverage}
    open_model_store(copied).promote(loaded.model, metadata, reason="again", at=dt.datetime.now(dt.UTC))
    groups = table_with_column(check_page(open_page("models")), "mean_width")["group"].tolist()
    expected = ["rank 1-50", "rank 51-200", "rank 201-500", "rank 501-1000", "rank above 1000", "rank unknown"]
    assert groups == [
        *("with history", "no history", *expected),
        *(f"no history, {size}" for size in expected),
    ]
