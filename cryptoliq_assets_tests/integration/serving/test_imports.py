"""What an installation that only serves must have: the service at work, on each kind of champion, imports no more."""

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

import pytest

from cryptoliq_assets.modeling.registry.candidates import load_candidate
from cryptoliq_assets.modeling.registry.model_registry import store_of
from cryptoliq_assets_tests.support.services import BODY, environment
from cryptoliq_assets_tests.support.settings import make_settings

# Answers a request as `cryptoliq serve` would, where the named modules are not installed; then says what it imported.
_SERVE = """
import json, os, sys
absent = set(os.environ["ABSENT"].split(","))

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from cryptoliq_assets.commands import serve
from cryptoliq_assets.serving import api, batch, views, wire, workers
from cryptoliq_assets.serving.request_models import parse_request
from cryptoliq_assets.serving.predictor import Predictor
from cryptoliq_assets.core.config import Settings

app = api.create_app(Settings())
made = app.state.service.predictor
assert made.refresh(), made.problem
answers = [made.answers([parse_request(json.loads(os.environ["BODY"]))])[0] for _ in range(2)]
assert made.snapshot.champion.metadata["model_name"] == os.environ["KIND"]
outcome, chunks = batch.predict_content(
    b"coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date\\n" + b"Bitcoin,BTC,100,0.1,-1.5,3.0,2e9,1e11,2025-08-01\\n" * 300,
    champion=made.snapshot.champion, settings=Settings(), today=made.snapshot.newest, history=made.snapshot.history_from,
)
b"".join(chunks)
views.load_latest_forecasts(Settings(), made.store)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
sys.stdout.flush()
os._exit(0)
"""
NEVER = "dagster,dagster_pandas,dagster_webserver,joblib,psutil,streamlit,plotly,httpx,matplotlib"


@pytest.mark.parametrize(
    ("kind", "recipe", "absent"),
    [
        ("Linear_Regression", "linear_regression", f"{NEVER},xgboost,sklearn"),
        ("XGBoost", "xgboost", f"{NEVER},sklearn"),
        ("Random_Forest", "random_forest", f"{NEVER.replace('joblib,', '').replace('psutil,', '')},xgboost"),
    ],
)
def test_the_service_imports_neither_dagster_nor_a_library_that_its_champion_does_not_need(
    trained_home, tmp_path, kind, recipe, absent
):
    home = trained_home.copy_to(tmp_path / "home")
    version = promoted(home, recipe)
    assert version.startswith(kind)
    done = subprocess.run(
        [sys.executable, "-c", _SERVE],
        env=environment(home) | {"ABSENT": absent, "KIND": kind, "BODY": json.dumps(BODY)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    imported = set(json.loads(done.stdout.splitlines()[-1]))
    assert imported.isdisjoint(absent.split(","))
    assert {"fastapi", "uvicorn", "numba"} <= imported


def promoted(home: Path, recipe: str) -> str:
    """Make the stored candidate of a recipe the champion."""
    settings = make_settings(home_dir=home)
    store = store_of(settings)
    learner = load_candidate(settings.models_dir / "candidates", recipe).learner
    metadata = store.current() | {"features": list(learner.features)}
    return store.promote(learner, metadata, reason="test", at=dt.datetime.now(dt.UTC))["version"]
