"""A home stored by an earlier version still loads, gives equal predictions and rolls back.

The archive was created by tools/make_previous_home.py with that version.
"""

import datetime as dt
import json
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryptoliq_assets.core import Settings
from cryptoliq_assets.modeling import load_champion
from cryptoliq_assets.modeling.estimators import MODEL_NAMES, evaluated_specs
from cryptoliq_assets.modeling.inference import Champion
from cryptoliq_assets.modeling.registry import open_model_store
from cryptoliq_assets.storage import TableStore
from cryptoliq_assets_tests.support.settings import make_settings

ARCHIVE = Path(__file__).parents[2] / "support" / "data" / "home_9f75d7d.tar.gz"
NOW = dt.datetime(2025, 3, 26, tzinfo=dt.UTC)


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    return make_settings(home_dir=tmp_path / "home")


def stored_forecasts(home: Settings) -> dict[str, dict]:
    return json.loads((home.home_dir / "forecasts.json").read_text())


def newest_features(home: Settings, forecast: dict) -> pd.DataFrame:
    features = TableStore(home).read("engineered_features")
    newest = features[features["date"] == forecast["date"]].reset_index(drop=True)
    assert newest["coin"].astype(str).tolist() == forecast["coins"]
    return newest


def test_the_archive_is_small_and_has_a_model_of_each_kind(home):
    assert ARCHIVE.stat().st_size < 300_000
    kinds = {forecast["model_name"] for forecast in stored_forecasts(home).values()}
    assert kinds == {"Linear_Regression", "Random_Forest", "XGBoost"} <= set(MODEL_NAMES.values())


def test_each_earlier_model_predicts_what_it_predicted(home):
    store = open_model_store(home)
    assert [result.problem for result in store.verify()] == [None, None, None]
    for version, forecast in stored_forecasts(home).items():
        champion = Champion(store.load(version))
        assert champion.model_version == forecast["model_version"]
        predicted = champion.predict(newest_features(home, forecast))
        for name in ("predicted", "lower", "upper"):
            np.testing.assert_allclose(predicted[name], forecast[name], rtol=1e-12, err_msg=f"{version} {name}")


def test_the_earlier_champion_serves_and_rolls_back(home):
    newest, before, _ = reversed(stored_forecasts(home))
    champion = load_champion(home)
    assert champion is not None
    assert (champion.version, champion.passed_over) == (newest, ())
    store = open_model_store(home)
    assert store.rollback(at=NOW)["version"] == before
    assert store.rollback(newest, at=NOW)["version"] == newest


def test_specifications_of_earlier_models_are_the_candidates(home):
    metadata = open_model_store(home).current()
    assert metadata is not None
    assert [spec.name for spec in evaluated_specs(metadata)] == list(MODEL_NAMES)
