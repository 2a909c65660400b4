"""Imports of a serving process, for each kind of champion: an installation that only serves needs no other libraries."""

import datetime as dt
import json
import subprocess
import sys
from pathlib import Path

import pytest

from cryptoliq_assets.modeling.registry.candidates import load_candidate
from cryptoliq_assets.modeling.registry.model_registry import open_model_store
from cryptoliq_assets_tests.support.services import BODY, environment
from cryptoliq_assets_tests.support.settings import make_settings

# Handles a request like `cryptoliq serve`, with some modules hidden; then prints the names of the imported packages.
_SERVE = """
import json, os, sys
absent = set(os.environ["ABSENT"].split(","))

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
from cryptoliq_assets.cli.commands import servers
from cryptoliq_assets.core import Settings
from cryptoliq_assets.serving import parse_request, views
from cryptoliq_assets.serving.api.app import create_app
from cryptoliq_assets.serving.csv import predict_content
from cryptoliq_assets.serving.server import run_server

predictor = create_app(Settings()).state.service.predictor
assert predictor.refresh(), predictor.problem
for _ in range(2):
    predictor.predict([parse_request(json.loads(os.environ["BODY"]))])
snapshot = predictor.snapshot
assert snapshot.champion.metadata["model_name"] == os.environ["KIND"]
summary, chunks = predict_content(
    b"coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date\\n" + b"Bitcoin,BTC,100,0.1,-1.5,3.0,2e9,1e11,2025-08-01\\n" * 300,
    champion=snapshot.champion, settings=Settings(), today=snapshot.newest, history=snapshot.history_from,
)
b"".join(chunks)
views.load_latest_forecasts(Settings(), predictor.store)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
sys.stdout.flush()
os._exit(0)
"""
NEVER = "dagster,dagster_pandas,dagster_webserver,joblib,psutil,streamlit,plotly,httpx,matplotlib"


@pytest.mark.parametrize(
    ("kind", "spec", "absent"),
    [
        ("Linear_Regression", "linear_regression", f"{NEVER},xgboost,sklearn"),
        ("XGBoost", "xgboost", f"{NEVER},sklearn"),
        ("Random_Forest", "random_forest", f"{NEVER.replace('joblib,', '').replace('psutil,', '')},xgboost"),
    ],
)
def test_the_service_imports_no_library_its_champion_lacks(trained_home, tmp_path, kind, spec, absent):
    home = trained_home.copy_to(tmp_path / "home")
    version = promote_candidate(home, spec)
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


def promote_candidate(home: Path, spec: str) -> str:
    """Make the stored candidate of a specification the champion."""
    settings = make_settings(home_dir=home)
    store = open_model_store(settings)
    learner = load_candidate(settings.models_dir / "candidates", spec).forecaster
    metadata = store.current() | {"features": list(learner.features)}
    return store.promote(learner, metadata, reason="test", at=dt.datetime.now(dt.UTC))["version"]
