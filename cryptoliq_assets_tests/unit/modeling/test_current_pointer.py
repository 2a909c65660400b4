"""Current pointer: valid, copied, missing or wrong, and how it is rewritten."""

import contextlib
import shutil

import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from cryptoliq_assets.modeling.estimators import CANDIDATES, fit_spec
from cryptoliq_assets.modeling.registry import serialization
from cryptoliq_assets.modeling.registry.current_pointer import CurrentVersion
from cryptoliq_assets.modeling.registry.model_registry import ModelStore
from cryptoliq_assets.modeling.registry.serialization import ModelRejectedError, NoLoadableModelError
from cryptoliq_assets_tests.support.model_promotion import NOW, promote_model


@pytest.fixture(scope="module")
def models(rows):
    """Fit two different models."""
    spec = CANDIDATES["linear_regression"]
    return [fit_spec(type(spec)(spec.name, spec.model_name, {"alpha": alpha}), rows) for alpha in (1.0, 2.0)]


@pytest.fixture
def store(tmp_path, models) -> ModelStore:
    """Make a store of v1 and v2, with v2 current."""
    store = ModelStore(tmp_path / "models")
    for model in models:
        promote_model(store, model)
    return store


V1, V2, V3 = (f"Linear_Regression_v{number}" for number in (1, 2, 3))


def link_to(store: ModelStore, target: str) -> None:
    (store.folder / "current.pkl").unlink()
    (store.folder / "current.pkl").symlink_to(target)


def _lose(store):
    (store.folder / "current.pkl").unlink()


def _dangle(store):
    link_to(store, "XGBoost_2020-01-01_v7.pkl")


def _point_elsewhere(store):
    link_to(store, "/etc/hostname")


def _fill_with_other_content(store):
    _lose(store)
    (store.folder / "current.pkl").write_bytes(b"PK")


def _write_invalid_text(store):
    _lose(store)
    (store.folder / "current.txt").write_bytes(b"\xff\x00 nothing")


def _replace_by_folder(store):
    _lose(store)
    (store.folder / "current.pkl").mkdir()


DAMAGE = {
    _lose: "current.pkl is missing",
    _dangle: "current.pkl points to XGBoost_2020-01-01_v7.pkl, which is not in the audit log",
    _point_elsewhere: "current.pkl points to /etc/hostname, which is not in the audit log",
    _fill_with_other_content: "current.pkl is a file that is not in the audit log",
    _write_invalid_text: "current.txt contains",
    _replace_by_folder: "current.pkl is missing",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_with_a_damaged_pointer_the_ledgers_version_serves(store, damage):
    damage(store)
    pointer = store.pointer()
    assert pointer.version == store.current()["version"] == V2
    assert pointer.problem.startswith(DAMAGE[damage])
    assert f"`cryptoliq models rollback --to {V2}` rewrites the pointer" in pointer.problem
    loaded, reasons = store.load_latest_valid()
    assert (loaded.version, reasons) == (V2, [pointer.problem])
    assert store.latest_valid_version() == (V2, [pointer.problem])


@pytest.mark.parametrize("damage", [damage for damage in DAMAGE if damage is not _replace_by_folder])
@pytest.mark.parametrize("repair", ["promote", "rollback to it", "rollback"])
def test_a_promotion_and_a_rollback_write_a_valid_pointer_again(store, models, damage, repair):
    damage(store)
    if repair == "promote":
        version = promote_model(store, models[0])
    else:
        version = store.rollback(V2 if repair == "rollback to it" else None, at=NOW)["version"]
    assert version == {"promote": V3, "rollback to it": V2, "rollback": V1}[repair]
    assert str((store.folder / "current.pkl").readlink()) == f"{version}.pkl"
    assert not (store.folder / "current.txt").exists()
    assert store.pointer() == CurrentVersion(version)


def test_only_an_invalid_pointer_is_rewritten_and_recorded(store):
    _lose(store)
    store.rollback(V2, at=NOW)
    line = store.ledger.entries()[-1]
    assert (line["event"], line["version"], line["before"]) == ("rollback", V2, V2)
    assert line["reason"].startswith("the pointer is rewritten: current.pkl is missing")
    with pytest.raises(ModelRejectedError, match="is the current model already"):
        store.rollback(V2, at=NOW)
    assert store.rollback(at=NOW)["version"] == V1


@hypothesis_settings(max_examples=15)
@given(steps=st.lists(st.sampled_from(["promote 0", "promote 1", "rollback"]), min_size=1, max_size=6))
def test_a_lost_or_copied_pointer_keeps_the_current_version(models, tmp_path_factory, steps):
    store = ModelStore(tmp_path_factory.mktemp("store"))
    for step in ["promote 0", *steps]:
        with contextlib.suppress(ModelRejectedError):
            store.rollback(at=NOW) if step == "rollback" else promote_model(store, models[int(step[-1])])
    valid = store.pointer()
    content = (store.folder / "current.pkl").read_bytes()
    _lose(store)
    assert store.pointer().version == valid.version
    (store.folder / "current.pkl").write_bytes(content)
    assert store.pointer() == valid


def test_a_store_copied_through_its_symlink_keeps_its_version(store, models, tmp_path):
    store.rollback(V1, at=NOW)
    copy = tmp_path / "copy"
    shutil.copytree(store.folder, copy, symlinks=False)
    assert (copy / "current.pkl").is_file()
    assert not (copy / "current.pkl").is_symlink()
    restored = ModelStore(copy)
    assert restored.pointer() == CurrentVersion(V1)
    assert restored.load_latest_valid()[1] == []
    assert promote_model(restored, models[1]) == V3
    assert restored.pointer() == CurrentVersion(V3)
    assert (copy / "current.pkl").is_symlink()


def test_a_copy_of_equal_artifacts_is_the_last_current_one(store, models):
    # v3 has the content of v1.
    assert promote_model(store, models[0]) == V3
    content = (store.folder / f"{V3}.pkl").read_bytes()
    _lose(store)
    (store.folder / "current.pkl").write_bytes(content)
    assert store.pointer() == CurrentVersion(V3)
    store.rollback(V1, at=NOW)
    _lose(store)
    (store.folder / "current.pkl").write_bytes(content)
    assert store.pointer() == CurrentVersion(V1)


def test_without_symlinks_the_pointer_file_replaces_a_copy(store, models, monkeypatch):
    content = (store.folder / f"{V2}.pkl").read_bytes()
    _lose(store)
    (store.folder / "current.pkl").write_bytes(content)

    def fail(*_, **__):
        raise OSError("no symlinks here")

    monkeypatch.setattr("pathlib.Path.symlink_to", fail)
    promote_model(store, models[0])
    assert not (store.folder / "current.pkl").exists()
    assert (store.folder / "current.txt").read_text() == f"{V3}\n"
    assert store.pointer() == CurrentVersion(V3)
    (store.folder / "current.txt").write_text("gone\n")
    assert store.pointer().version == V3
    assert "current.txt contains 'gone'" in store.pointer().problem


def test_a_link_to_another_folder_still_names_its_version(store):
    link_to(store, f"/backup/models/{V1}.pkl")
    assert store.pointer() == CurrentVersion(V1)


def test_a_link_to_a_missing_artifact_is_rejected_as_missing(store):
    (store.folder / f"{V2}.pkl").unlink()
    assert store.pointer() == CurrentVersion(V2)
    loaded, (reason,) = store.load_latest_valid()
    assert (loaded.version, reason) == (V1, f"{V2}: {V2}.pkl is missing; restore it or roll back")


def test_before_the_first_promotion_there_is_no_problem(tmp_path):
    assert ModelStore(tmp_path).pointer() == CurrentVersion(None)


def _other_key(store, monkeypatch):
    return ModelStore(store.folder, signing_key="new")


def _other_major(store, monkeypatch):
    installed = serialization.library_versions()
    monkeypatch.setattr(serialization, "library_versions", lambda: installed | {"numpy": "99.0"})
    return store


def _all_damaged(store, monkeypatch):
    for path in store.folder.glob("*_v*.pkl"):
        path.write_bytes(path.read_bytes()[:-1])
    return store


@pytest.mark.parametrize(
    ("change", "reason"),
    [(_other_key, "not signed"), (_other_major, "installed is 99.0"), (_all_damaged, "truncated, swapped or tampered")],
)
def test_the_cheap_check_finds_the_same_reasons_as_loading(store, monkeypatch, change, reason):
    changed = change(store, monkeypatch)
    with pytest.raises(NoLoadableModelError) as raised:
        changed.load_latest_valid()
    assert changed.latest_valid_version() == (None, raised.value.reasons)
    assert [reason in message for message in raised.value.reasons] == [True, True]


def test_pruned_versions_raise_no_alert(store, models):
    for _ in range(5):
        promote_model(store, models[0])
    _all_damaged(store, None)
    assert store.latest_valid_version()[0] is None
    assert [reason[: len(V1)] for reason in store.latest_valid_version()[1]] == store.versions()
    assert len(store.versions()) == 3
