"""Declaration of a feature: one line in one file adds it everywhere, as a new process shows."""

import subprocess
import sys
from pathlib import Path
from shutil import copytree

import cryptoliq_assets


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
