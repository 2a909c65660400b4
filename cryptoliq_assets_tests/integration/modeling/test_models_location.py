"""Models at a location: promoted, rolled back, verified and pruned there, as in a data directory."""

import datetime as dt
import uuid
from pathlib import Path

import pytest

from cryptoliq_assets.core import Location, Settings, file_exists, list_names, read_stored, write_file
from cryptoliq_assets.core.database import LockLostError
from cryptoliq_assets.dashboard.data_sources.local import HomeViews
from cryptoliq_assets.modeling import load_champion
from cryptoliq_assets.modeling.model_card import card_path, publish_card, save_card
from cryptoliq_assets.modeling.registry import ModelRejectedError, ModelStore, model_registry, open_model_store
from cryptoliq_assets.monitoring.data import read_last_verification, verify_home
from cryptoliq_assets.monitoring.model_health import find_model_problems
from cryptoliq_assets_tests.support.settings import make_settings

AT = dt.datetime(2025, 8, 1, tzinfo=dt.UTC)


def copy_models(folder: Path, target: Location) -> None:
    """Copy models as docs/operations.md describes: without candidates and link, the pointer last."""
    for path in folder.iterdir():
        if path.is_file() and not path.is_symlink():
            write_file(target / path.name, path.read_bytes())
    write_file(target / "current.txt", f"{(folder / 'current.pkl').readlink().stem}\n")


@pytest.fixture
def settings(trained_home, tmp_path: Path) -> Settings:
    settings = make_settings(home_dir=tmp_path / "home", storage__files_url=f"memory://{uuid.uuid4().hex}")
    copy_models(trained_home.path / "models", settings.models_dir)
    return settings


def promote(store: ModelStore) -> str:
    loaded = store.load()
    return store.promote(loaded.model, loaded.metadata, reason="again", at=AT)["version"]


def test_models_are_promoted_pruned_and_rolled_back(settings: Settings) -> None:
    store = open_model_store(settings)
    first = store.current_version()
    versions = [first, *(promote(store) for _ in range(4))]
    other = open_model_store(settings)
    assert (other.current_version(), other.pointer().problem) == (versions[-1], None)
    assert other.versions()[:3] == versions[:1:-1]
    assert {f"{version}.pkl" for version in versions[2:]} <= set(list_names(settings.models_dir))
    assert not file_exists(settings.models_dir / f"{versions[0]}.pkl")
    assert store.rollback(at=AT)["version"] == versions[-2]
    assert open_model_store(settings).current_version() == versions[-2]
    assert load_champion(settings).version == versions[-2]
    assert [result.problem for result in other.verify()] == [None] * 3
    assert [entry["event"] for entry in other.ledger.entries()][-5:] == [*["promotion"] * 4, "rollback"]
    assert not (settings.home_dir / "models").exists()


def test_a_lost_pointer_is_restored_from_the_audit_log(settings: Settings) -> None:
    store = open_model_store(settings)
    version = promote(store)
    write_file(settings.models_dir / "current.txt", "nonsense\n")
    assert store.current_version() == version
    assert "is not in the audit log" in store.pointer().problem
    store.rollback(to=version, at=AT)
    assert (store.current_version(), store.pointer().problem) == (version, None)


def test_damaged_and_missing_models_are_found(settings: Settings) -> None:
    store = open_model_store(settings)
    first, version = store.current_version(), promote(store)
    artifact = settings.models_dir / f"{version}.pkl"
    content = read_stored(artifact)
    write_file(artifact, content[:-1])
    missing, broken = find_model_problems(settings)
    assert (missing.level, broken.level) == ("ok", "fail")
    assert f"{first} serves instead" in broken.what
    with pytest.raises(ModelRejectedError):
        store.load(version)
    write_file(artifact, content)
    assert store.load().version == version


def test_an_incomplete_last_line_of_the_log_is_ended(settings: Settings) -> None:
    path = settings.models_dir / "ledger.jsonl"
    write_file(path, read_stored(path) + b'{"at": "20')
    store = open_model_store(settings)
    entries = len(store.ledger.entries())
    store.record_rejection("xgboost", reason="too bad", at=AT)
    assert len(open_model_store(settings).ledger.entries()) == entries + 1


def test_a_run_without_its_lock_changes_no_model(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_model_store(settings)
    before = {name: read_stored(settings.models_dir / name) for name in list_names(settings.models_dir)}

    def refuse() -> None:
        raise LockLostError("this run lost the lock of the market")

    monkeypatch.setattr(model_registry, "prove_lock", refuse)
    for change in (lambda: promote(store), lambda: store.record_rejection("xgboost", reason="no", at=AT)):
        with pytest.raises(LockLostError):
            change()
    assert {name: read_stored(settings.models_dir / name) for name in list_names(settings.models_dir)} == before


def test_the_card_of_the_current_model_is_shown(settings: Settings) -> None:
    reports = settings.reports_dir
    for version in ("XGBoost_v1", "XGBoost_v2", "XGBoost_v3"):
        save_card(reports, version, f"card of {version}", stored=["XGBoost_v2"])
    assert set(list_names(reports / "model_cards")) == {"XGBoost_v2.html", "XGBoost_v3.html"}
    publish_card(reports, "XGBoost_v2")
    assert read_stored(card_path(reports)) == b"card of XGBoost_v2"
    publish_card(reports, "XGBoost_v1")
    assert not file_exists(card_path(reports))


def test_verification_and_dashboard_read_the_location(settings: Settings) -> None:
    views = HomeViews(settings)
    key, version = views.cache_key(), promote(open_model_store(settings))
    assert views.cache_key() != key
    key = views.cache_key()
    save_card(settings.reports_dir, version, "the card", stored=[])
    assert (views.cache_key(), views.read_model_card()) != (key, None)
    shown = views.load_models()
    assert [entry["version"] for entry in shown["versions"] if entry["current"]] == [version]
    assert shown["problems"] == []
    result = verify_home(settings, deep=True)
    assert (result.damaged, result.checked["model"], result.checked["pointer"]) == ([], 2, 1)
    assert read_last_verification(settings)["damaged"] == []
    write_file(settings.models_dir / f"{version}.json", "{}")
    assert [item.path for item in verify_home(settings).damaged] == [str(settings.models_dir / f"{version}.pkl")]
