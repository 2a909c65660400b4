"""Declarations and computations of features are compared at import."""

import subprocess
import sys
from pathlib import Path
from shutil import copytree

import pytest

import cryptoliq_assets
from cryptoliq_assets.features import COMPUTATIONS, check_computations
from cryptoliq_assets.schemas import FEATURE_NAMES, FEATURES, Feature, Window, mean_feature, windows_of
from cryptoliq_assets.schemas.feature_registry import check_features


def declare(name: str = "spread_log", **fields: object) -> Feature:
    return Feature(name, "Meaning.", "ratio", ("price",), **fields)


def test_every_feature_has_a_window_or_a_computation():
    with_window = {feature.name for feature in FEATURES if feature.window}
    assert with_window | set(COMPUTATIONS) == set(FEATURE_NAMES)
    assert not with_window & set(COMPUTATIONS)


def test_a_feature_without_a_computation_names_the_line_to_add():
    with pytest.raises(
        ValueError, match=r'add the line `"spread_log": lambda inputs: …,` to COMPUTATIONS in .*computations.py'
    ):
        check_computations([*FEATURES, declare()], COMPUTATIONS)


def test_a_computation_without_a_feature_names_the_line_to_add():
    with pytest.raises(
        ValueError, match=r'add the line `Feature\("spread_log", .*` to FEATURES in .*feature_registry.py'
    ):
        check_computations(FEATURES, [*COMPUTATIONS, "spread_log"])


def test_a_misnamed_window_feature_is_rejected():
    feature = declare(window=Window("mean", "turnover_log", 14), looks_back=13)
    with pytest.raises(ValueError, match="has the window turnover_log_mean_14d: name it so"):
        check_computations([*FEATURES, feature], COMPUTATIONS)


def test_two_features_of_one_name_are_rejected():
    with pytest.raises(ValueError, match="two features are named 'price_log'"):
        check_features([*FEATURES, declare("price_log")])


def test_a_feature_cannot_look_back_beyond_the_history():
    with pytest.raises(ValueError, match="looks back 90 days, but only 89 days before a row are read"):
        declare(looks_back=90, no_history_value=0.0)


def test_a_feature_that_looks_back_needs_a_no_history_value():
    with pytest.raises(ValueError, match=r"add no_history_value=… to its entry in .*feature_registry.py"):
        declare(looks_back=5)


@pytest.mark.parametrize(
    ("window", "message"),
    [
        (("mean", "price_log", 7), "unknown base series 'price_log'"),
        (("std", "turnover_log", 1), "a std over 1 days does not exist; use at least 2"),
        (("mean", "turnover_log", 0), "a mean over 0 days does not exist; use at least 1"),
        (("lag", "turnover_log", 1, True), "a lag relative to the market is not computed"),
    ],
)
def test_a_window_that_no_kernel_computes_is_rejected(window: tuple, message: str):
    with pytest.raises(ValueError, match=message):
        Window(*window)


def test_windows_read_their_days_from_the_registry():
    assert windows_of("turnover_log", "mean") == (3, 7, 30, 90)
    assert windows_of("turnover_log", "lag") == ()
    assert windows_of("turnover_log", "mean", relative=True) == (7,)
    feature = mean_feature("turnover_log", 14)
    assert (feature.name, feature.looks_back, feature.added) == ("turnover_log_mean_14d", 13, True)


def test_one_line_in_one_file_adds_a_14_day_mean(tmp_path: Path):
    package = tmp_path / "cryptoliq_assets"
    copytree(Path(cryptoliq_assets.__file__).parent, package)
    registry = package / "schemas" / "feature_registry.py"
    text = registry.read_text(encoding="utf-8")
    line = '    Feature("weekday", '
    assert line in text
    registry.write_text(text.replace(line, f'    mean_feature("turnover_log", 14),\n{line}'), encoding="utf-8")
    code = """
import numpy as np, pandas as pd
from cryptoliq_assets.features import engineer_features, features_without_history
from cryptoliq_assets.schemas import EngineeredFeatures, TABLES, MODEL_FEATURES
days = pd.date_range("2025-03-01", periods=20)
n = np.arange(20.0)
rows = pd.DataFrame({"coin": pd.Categorical(["A"] * 20), "symbol": pd.Categorical(["A"] * 20), "date": days, "price": 1.0 + n,
    "1h": 0.1, "24h": 1.0, "7d": 2.0, "24h_volume": np.exp(n), "mkt_cap": 1.0, "filled_forward": False,
    "filled_backward": False, "outlier": False})
features = engineer_features(rows)
name = "turnover_log_mean_14d"
assert np.allclose(features[name].tail(3), [10.5, 11.5, 12.5]), features[name].tolist()
assert features_without_history(features, np.array([19]))[name] == features["turnover_log"].iloc[19]
assert name in MODEL_FEATURES and name in TABLES["engineered_features"].nullable_since_v1
assert TABLES["engineered_features"].schema.columns[name].metadata["unit"] == "ln of a ratio"
"""
    code = code.replace("EngineeredFeatures, ", "")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
