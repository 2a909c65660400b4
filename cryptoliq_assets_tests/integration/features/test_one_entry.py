"""One entry adds any window of a base series, and a home of an earlier version stays readable with it."""

import tarfile
from pathlib import Path

from cryptoliq_assets.schemas import FEATURES, Feature, ewm_feature, lag_feature, std_feature
from cryptoliq_assets.schemas.feature_registry import ADDED_FEATURES
from cryptoliq_assets.schemas.first_version import FIRST_VERSION_FEATURES
from cryptoliq_assets_tests.support.package_copy import PackageCopy

ARCHIVE = Path(__file__).parents[2] / "support" / "data" / "home_9f75d7d.tar.gz"
REGISTRY, COMPUTATIONS = "cryptoliq_assets/schemas/feature_registry.py", "cryptoliq_assets/features/computations.py"
ENTRIES = """
std_feature("turnover_log", 14),
std_feature("turnover_log", 90),
lag_feature("turnover_log", 14),
ewm_feature("turnover_log", 10),
Feature("price_cbrt", "Cube root of the price.", "∛USD", ("price",)),
"""
PROGRAM = """
import sys
import numpy as np, pandas as pd
from cryptoliq_assets.core import Settings
from cryptoliq_assets.features import engineer_features, features_without_history
from cryptoliq_assets.schemas import MODEL_FEATURES, STD_WINDOWS, TABLES
from cryptoliq_assets.storage import TableStore

NEW = ["turnover_log_std_14d", "turnover_log_std_90d", "turnover_log_lag_14d", "turnover_log_ewm_10d", "price_cbrt"]
n = np.arange(120.0)
rows = pd.DataFrame({"coin": pd.Categorical(["A"] * 120), "symbol": pd.Categorical(["A"] * 120),
    "date": pd.date_range("2025-03-01", periods=120), "price": 1.0 + n, "1h": 0.1, "24h": 1.0, "7d": 2.0,
    "24h_volume": np.exp(np.sin(n)), "mkt_cap": 1.0, "filled_forward": False, "filled_backward": False, "outlier": False})
features = engineer_features(rows)
series = features["turnover_log"]
for days in (7, 14, 30, 90):
    np.testing.assert_allclose(features[f"turnover_log_std_{days}d"], series.rolling(days, min_periods=2).std(), rtol=1e-9)
np.testing.assert_allclose(features["turnover_log_lag_14d"], series.shift(14))
weights = 0.5 ** (np.arange(90)[::-1] / 10)
np.testing.assert_allclose(features["turnover_log_ewm_10d"].iloc[-1], series.tail(90) @ weights / weights.sum())
np.testing.assert_allclose(features["price_cbrt"], np.cbrt(rows["price"]))
alone = features_without_history(features, np.array([119]))
assert np.isnan(alone["turnover_log_std_14d"]).all() and np.isnan(alone["turnover_log_lag_14d"]).all()
assert set(NEW) <= set(MODEL_FEATURES)
assert "volume_log_std_14d" not in features
for name in NEW:
    assert name in TABLES["engineered_features"].nullable_since_v1, name
stored = TableStore(Settings(home_dir=sys.argv[1])).read("engineered_features")
assert len(stored) and stored[NEW].isna().all().all()
assert stored["turnover_log_std_7d"].notna().any()
"""


def test_entries_are_computed_and_an_earlier_home_is_read(tmp_path: Path):
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    package = PackageCopy(tmp_path / "copy")
    package.append_to_registry(REGISTRY, "FEATURES: tuple", ENTRIES)
    computation = '"price_cbrt": lambda inputs: np.cbrt(inputs.today.price),'
    package.append_to_registry(COMPUTATIONS, "COMPUTATIONS: dict", computation)
    package.check(PROGRAM, str(tmp_path / "home"))


def test_every_new_feature_is_an_added_one():
    assert Feature("price_cbrt", "Cube root of the price.", "∛USD", ("price",)).added
    assert all(
        f.added for f in (std_feature("turnover_log", 14), lag_feature("volume_log", 9), ewm_feature("volume_log", 9))
    )
    assert {feature.name for feature in FEATURES} - FIRST_VERSION_FEATURES == set(ADDED_FEATURES)
    assert len(FIRST_VERSION_FEATURES) == 77, "never add a name: new features are added ones"
