"""The recipes of CONTRIBUTING.md: applied to a copy of the package, each of them takes effect."""

import json
from pathlib import Path

import pytest

from cryptoliq_assets_tests.support.code_blocks import blocks_of
from cryptoliq_assets_tests.support.package_copy import PackageCopy
from cryptoliq_assets_tests.support.paths import ROOT

RECIPES = {
    section: [block.text for block in blocks_of(ROOT / "CONTRIBUTING.md") if block.section == section]
    for section in ("Add a feature", "Add a formula", "Add a check", "Add a model", "Add an alert kind", "Add a page")
}
# What each recipe must have done, run in one process on the copy that has them all.
PROBES = {
    "Add a feature": """
from cryptoliq_assets.features import engineer_features, features_without_history
from cryptoliq_assets.schemas import MODEL_FEATURES, TABLES
n = np.arange(20.0)
rows = pd.DataFrame({"coin": pd.Categorical(["A"] * 20), "symbol": pd.Categorical(["A"] * 20), "price": 1.0 + n,
    "date": pd.date_range("2025-03-01", periods=20), "1h": 0.1, "24h": 1.0, "7d": 2.0, "24h_volume": np.exp(n), "mkt_cap": 1.0,
    "filled_forward": False, "filled_backward": False, "outlier": False})
features = engineer_features(rows)
name = "turnover_log_mean_14d"
np.testing.assert_allclose(features[name].tail(3), [10.5, 11.5, 12.5])
np.testing.assert_allclose(features["price_cbrt"], np.cbrt(rows["price"]))
assert features_without_history(features, np.array([19]))[name] == features["turnover_log"].iloc[19]
assert {name, "price_cbrt"} <= set(MODEL_FEATURES)
assert {name, "price_cbrt"} <= set(TABLES["engineered_features"].nullable_since_v1)
assert TABLES["engineered_features"].schema.columns[name].metadata["unit"] == "ln of a ratio"
""",
    "Add a formula": """
from cryptoliq_assets.labels import score_liquidity
given = {"price": 100.0, "high_24h": 104.0, "low_24h": 98.0, "24h": 1.0, "7d": 2.0, "24h_volume": 1e6}
score = score_liquidity({name: np.array([value, np.nan]) for name, value in given.items()}, formula="abdi_ranaldo").score
np.testing.assert_allclose(score, [-np.log(2 * abs(np.log(100) - (np.log(104) + np.log(98)) / 2)) / 9.2, np.nan])
assert Settings(formula="abdi_ranaldo", home_dir="unused").formula == "abdi_ranaldo"
""",
    "Add a check": """
class Store:
    def read(self, table, months, columns):
        assert months == ["2025-03"]
        score = [0.5, 0.5] if table == "forecasts" else [0.6, 0.9]
        return pd.DataFrame({"coin": ["A", "B"], "date": pd.Timestamp("2025-03-01"), "liquidity_score": score})[columns]

from cryptoliq_assets.orchestration.checks.registry import load_checks
(check,) = [check for check in load_checks() if check.name == "near_current_score"]
outcome = check.evaluate(Settings(home_dir="unused"), Store(), ["2025-03"])
assert (outcome.passed, outcome.metadata) == (False, {"rows": 2, "far": 1})
assert ("forecasts", "near_current_score") in {
    (key.asset_key.to_user_string(), key.name) for key in definitions().resolve_asset_graph().asset_check_keys}
""",
    "Add a model": """
from cryptoliq_assets.modeling.estimators import CANDIDATES, build_forecaster
from cryptoliq_assets.modeling.registry import library_versions, load_model, sha256_of, to_bytes
from cryptoliq_assets.orchestration.step_labels import STEP_LABELS
from sklearn.ensemble import HistGradientBoostingRegressor
spec = CANDIDATES["hist_gradient_boosting"]
draw = np.random.default_rng(7)
X = draw.normal(size=(600, len(spec.features))).astype(np.float32)
X[draw.random(X.shape) < 0.05] = np.nan
model = build_forecaster(spec, threads=1).fit(X, np.nan_to_num(X[:, 0]) + 0.1 * draw.normal(size=len(X)))
content = to_bytes(model)
metadata = {"version": "Hist_Gradient_Boosting_v1", "model_name": spec.model_name, "sha256": sha256_of(content),
    "features": list(spec.features), "libraries": library_versions()}
loaded = load_model(content, metadata, expected_sha256=sha256_of(content))
predicted = model.predict(X)
assert predicted.std() > 0.05
np.testing.assert_array_equal(loaded.predict(X[:1]), predicted[:1])
np.testing.assert_array_equal(loaded.predict(np.vstack([X] * 100)), np.tile(predicted, 100))
(part,) = loaded.parts.values()
own, change = X[:, part.columns], draw.normal(size=len(X)).astype(np.float32)
library = HistGradientBoostingRegressor(**part.params, random_state=part.seed).fit(own, change)
again = type(part)(part.columns, params=part.params, seed=part.seed)
again.fit(own, change, None)
np.testing.assert_array_equal(again.predict(own), library.predict(own))
assert STEP_LABELS["hist_gradient_boosting"] == "training Hist_Gradient_Boosting"
assert "hist_gradient_boosting" in {key.to_user_string() for key in definitions().resolve_asset_graph().get_all_asset_keys()}
""",
    "Add an alert kind": """
from cryptoliq_assets.monitoring import ALERT_KINDS, Finding, WARN
finding = Finding("coins_halted", WARN, where="market", what="3 coins have not traded for a day")
assert finding.title == ALERT_KINDS["coins_halted"].title == "Coins are not traded"
""",
    "Add a page": """
from streamlit.testing.v1 import AppTest
from cryptoliq_assets.dashboard import load_pages
assert list(load_pages())[-1] == "summary"
script = Path("cryptoliq_assets/dashboard/main.py")
page = AppTest.from_file(str(script.absolute()), default_timeout=120).run().switch_page("pages/summary.py").run()
assert not page.exception and [title.value for title in page.title] == ["Summary"]
assert [metric.label for metric in page.metric] == ["Coins with a forecast"] or page.error
""",
}
PROGRAM = """
import json, sys, traceback
from functools import cache
from pathlib import Path
import numpy as np, pandas as pd
from cryptoliq_assets.core import Settings

@cache
def definitions():
    from cryptoliq_assets.orchestration.definitions import build_definitions
    return build_definitions(Settings(home_dir="home"))

results = {}
for name, probe in json.loads(sys.argv[1]).items():
    try:
        exec(probe, dict(globals()))
        results[name] = "ok"
    except Exception:
        results[name] = traceback.format_exc()
Path("results.json").write_text(json.dumps(results))
"""


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The files that each recipe touched, in a copy that has all of them, and what its probe found."""
    package = PackageCopy(tmp_path_factory.mktemp("recipes"))
    files = {recipe: sorted({package.apply(block) for block in blocks}) for recipe, blocks in RECIPES.items()}
    package.check(PROGRAM, json.dumps(PROBES))
    results = json.loads(Path(package.path("results.json")).read_text(encoding="utf-8"))
    return {recipe: (files[recipe], results[recipe]) for recipe in RECIPES}


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_takes_effect(recipe, applied):
    files, result = applied[recipe]
    assert result == "ok", result
    # An own computation of a feature is the only one that needs a second file.
    assert len(files) == (2 if recipe == "Add a feature" else 1), files


def test_every_block_of_a_recipe_is_applied():
    blocks = blocks_of(ROOT / "CONTRIBUTING.md")
    sections = {block.section for block in blocks if block.language == "python" or "# cryptoliq" in block.text}
    assert sections == set(RECIPES) == set(PROBES)
    assert all(RECIPES.values())
