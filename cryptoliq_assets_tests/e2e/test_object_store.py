"""Models and tables in an object store: read like a folder, reloaded when they change, never written."""

import datetime as dt
import json
import shutil
import uuid
from pathlib import Path

import fsspec
import httpx
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.core.locations import resolve_location
from cryptoliq_assets.modeling.registry import serialization
from cryptoliq_assets.modeling.registry.current_pointer import CurrentVersion
from cryptoliq_assets.modeling.registry.model_registry import open_model_store
from cryptoliq_assets.modeling.registry.serialization import ModelRejectedError
from cryptoliq_assets.serving.predictor import Predictor
from cryptoliq_assets.serving.request_models import parse_request
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.services import BODY, Served, promote_again
from cryptoliq_assets_tests.support.settings import make_settings


class CachedListingFileSystem(MemoryFileSystem):
    """An object store whose client caches listings, like those of s3:// and gs://."""

    protocol = "listsonce"

    def ls(self, path, detail=True, **options):
        path = self._strip_protocol(path)
        if path not in self.dircache:
            self.dircache[path] = super().ls(path, detail=True, **options)
            if path not in self.dircache:
                return super().ls(path, detail=detail, **options)
        entries = self.dircache[path]
        return entries if detail else [entry["name"] for entry in entries]


fsspec.register_implementation("listsonce", CachedListingFileSystem, clobber=True)


def publish(home: Path, url: str) -> None:
    """Publish a home as the commands of docs/operations.md do: artifacts without candidates and symlink, then the pointer."""
    models = home / "models"
    for folder, to in ((models, "models"), (home / "data", "data")):
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            if path.is_file() and not path.is_symlink() and inside.parts[0] not in ("candidates", "raw", "archive"):
                place = resolve_location(f"{url}/{to}") / inside.as_posix()
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(path.read_bytes())
    version = (models / "current.pkl").readlink().stem
    (resolve_location(f"{url}/models") / "current.txt").write_text(f"{version}\n")


@pytest.fixture
def home(trained_home, tmp_path) -> Settings:
    return make_settings(home_dir=trained_home.copy_to(tmp_path / "home"))


@pytest.fixture(params=["memory", "listsonce", "file"])
def url(request, tmp_path) -> str:
    """Return the URL of an empty bucket."""
    return f"file://{tmp_path / 'bucket'}" if request.param == "file" else f"{request.param}://{uuid.uuid4().hex}"


@pytest.fixture
def elsewhere(home, url, tmp_path) -> Settings:
    """An empty home with models and tables in the bucket."""
    publish(home.home_dir, url)
    return make_settings(
        home_dir=tmp_path / "elsewhere", storage__url=f"{url}/data", storage__models_url=f"{url}/models"
    )


def predict(settings: Settings) -> dict:
    predictor = Predictor(settings)
    assert predictor.refresh(), predictor.problem
    assert predictor.problem == ""
    response = predictor.predict([parse_request(BODY)])[0]
    return {name: value for name, value in response.items() if name != "timestamp"}


def test_a_bucket_gives_equal_predictions_and_is_not_written(home, elsewhere):
    assert predict(elsewhere) == predict(home)
    assert predict(elsewhere)["basis"] == "snapshot" or predict(home)["basis"] == "history"
    assert not elsewhere.home_dir.exists()


def test_a_later_publication_is_loaded_by_the_next_refresh(home, elsewhere, url):
    served = Predictor(elsewhere)
    assert served.refresh()
    assert not served.refresh()
    tables = TableStore(elsewhere).months("cleaned_snapshots")
    _, newer = promote_again(home.home_dir)
    month = home.data_dir / "cleaned" / f"{tables[-1]}.parquet"
    shutil.copy(month, month.with_name("2030-01.parquet"))
    publish(home.home_dir, url)
    assert TableStore(elsewhere).months("cleaned_snapshots") == [*tables, "2030-01"]
    assert open_model_store(elsewhere).versions()[0] == newer
    (resolve_location(f"{url}/data") / "cleaned" / "2030-01.parquet").unlink()
    assert served.refresh()
    assert served.snapshot.champion.version == newer


@pytest.mark.parametrize("action", ["promote", "refuse", "rollback"])
def test_models_of_a_url_cannot_be_changed(elsewhere, action):
    store = open_model_store(elsewhere)
    loaded, now = store.load(), dt.datetime.now(dt.UTC)
    before = store.ledger.entries()
    actions = {
        "promote": lambda: store.promote(loaded.model, loaded.metadata, reason="again", at=now),
        "refuse": lambda: store.record_rejection("xgboost", reason="no", at=now),
        "rollback": lambda: store.rollback(at=now),
    }
    with pytest.raises(ModelRejectedError, match="is read-only"):
        actions[action]()
    assert store.ledger.entries() == before


@pytest.mark.parametrize("url", ["memory", "listsonce"], indirect=True)
def test_without_the_pointer_file_a_bucket_serves_the_ledgers(elsewhere, url):
    valid = open_model_store(elsewhere).pointer()
    assert valid == CurrentVersion(valid.version)
    (resolve_location(f"{url}/models") / "current.txt").unlink()
    pointer = open_model_store(elsewhere).pointer()
    assert pointer.version == valid.version
    assert "current.txt is missing" in pointer.problem


@pytest.mark.parametrize("url", ["memory"], indirect=True)
def test_an_artifact_changed_in_the_bucket_is_rejected(elsewhere, url):
    version = open_model_store(elsewhere).current_version()
    (resolve_location(f"{url}/models") / f"{version}.pkl").write_bytes(b"something else")
    with pytest.raises(ModelRejectedError, match="tampered"):
        open_model_store(elsewhere).load()
    assert open_model_store(elsewhere).latest_valid_version()[0] != version


@pytest.mark.parametrize("url", ["memory"], indirect=True)
def test_an_unavailable_bucket_is_not_an_empty_one(elsewhere, monkeypatch):
    served = Predictor(elsewhere)
    assert served.refresh()
    before = served.snapshot

    def fail(*arguments, **options):
        raise TimeoutError("no answer")

    for name in ("ls", "_open", "cat_file", "info"):
        monkeypatch.setattr(MemoryFileSystem, name, fail)
    with pytest.raises(TimeoutError):
        served.refresh()
    assert served.snapshot is before


def test_a_service_of_a_bucket_writes_only_standard_output(home, tmp_path):
    publish(home.home_dir, f"file://{tmp_path / 'bucket'}")
    bucket = {
        "storage__url": f"file://{tmp_path}/bucket/data",
        "storage__models_url": f"file://{tmp_path}/bucket/models",
    }
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "bucket").rglob("*")}
    folder = tmp_path / "service"
    folder.mkdir()
    served = Served(folder, output=folder / "out", logs__destination="stdout", **bucket)
    try:
        served.wait_until_ready()
        response = httpx.post(f"{served.url}/predict", json=BODY).raise_for_status().json()
    finally:
        served.end()
    lines = [json.loads(line) for line in (folder / "out").read_text().splitlines() if line.startswith("{")]
    assert [line["event"] for line in lines] == ["model_loaded", "prediction", "stopped"]
    assert lines[1]["output"]["liquidity_score"] == response["liquidity_score"]
    assert sorted(path.name for path in folder.iterdir()) == ["out", "serve.err"]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "bucket").rglob("*")} == before


# Libraries required for serving.


@pytest.mark.parametrize(
    ("name", "absent", "loads"),
    [
        ("Linear_Regression", ("scikit-learn", "xgboost"), True),
        ("XGBoost", ("scikit-learn",), True),
        ("XGBoost", ("xgboost",), False),
        ("Random_Forest", ("xgboost",), True),
        ("Random_Forest", ("scikit-learn",), False),
        ("Unheard", ("xgboost",), False),
    ],
)
def test_serving_requires_only_the_champions_libraries(monkeypatch, name, absent, loads):
    installed = serialization.library_versions()
    assert set(installed) == set(serialization.LIBRARIES)
    features = list(serialization.MODEL_FEATURES)
    metadata = {"version": "V", "model_name": name, "libraries": installed, "features": features, "sha256": "s"}
    monkeypatch.setattr(
        serialization, "library_versions", lambda: {k: v for k, v in installed.items() if k not in absent}
    )
    if loads:
        serialization.check_artifact("s", metadata, expected_sha256="s")
    else:
        with pytest.raises(ModelRejectedError, match="installed is none"):
            serialization.check_artifact("s", metadata, expected_sha256="s")
