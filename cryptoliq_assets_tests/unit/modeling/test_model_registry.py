"""Model registry: the current version, its history, and models that are never loaded."""

import json

import joblib
import numpy as np
import pytest

from cryptoliq_assets.modeling.registry.audit_log import sha256_of
from cryptoliq_assets.modeling.registry.model_registry import ModelStore
from cryptoliq_assets.modeling.registry.serialization import ModelRejectedError, to_bytes
from cryptoliq_assets_tests.support.model_promotion import NOW, promote_model


def test_a_promotion_writes_all_files_and_a_ledger_line(store, model, rows):
    version = promote_model(store, model)

    assert version == "Linear_Regression_v1"
    assert (store.folder / "current.pkl").is_symlink()
    assert str((store.folder / "current.pkl").readlink()) == f"{version}.pkl"
    described = json.loads((store.folder / "metadata.json").read_text())
    assert described == json.loads((store.folder / f"{version}.json").read_text())
    assert {"model_name", "version", "trained_on", "features", "metrics", "sha256", "libraries"} <= set(described)
    scaler = json.loads((store.folder / "scaler.json").read_text())
    assert (scaler["formula"], scaler["lo"], scaler["hi"]) == ("kyle_obizhaeva", 0.0, 12.5)
    (line,) = store.ledger.entries()
    assert (line["event"], line["version"], line["sha256"]) == ("promotion", version, described["sha256"])
    columns = [rows.features.index(name) for name in model.features]
    X = rows.X[:50][:, columns]
    np.testing.assert_array_equal(store.load().model.predict(X), model.predict(X))
    np.testing.assert_array_equal(joblib.load(store.folder / "current.pkl").predict(X), model.predict(X))


def test_three_artifacts_per_name_stay_and_numbers_are_unique(store, model, forest):
    promote_model(store, forest)
    versions = [promote_model(store, model) for _ in range(5)]
    assert [version[-2:] for version in versions] == ["v1", "v2", "v3", "v4", "v5"]
    assert store.versions() == [*reversed(versions[2:]), "Random_Forest_v1"]
    assert len(store.ledger.entries()) == 6
    assert [entry["current"] for entry in store.entries()] == [True, False, False, False]


def test_a_rejection_is_recorded_and_changes_nothing(store, model, forest):
    version = promote_model(store, model)
    store.record_rejection("random_forest", reason="skill below 0", at=NOW, model=forest)
    line = store.ledger.entries()[-1]
    assert (line["event"], line["candidate"], line["reason"]) == ("refusal", "random_forest", "skill below 0")
    assert line["sha256"] == sha256_of(to_bytes(forest))
    assert store.current_version() == version


def test_rolling_back_twice_goes_back_two_and_is_recorded(store, model):
    first, second, third = (promote_model(store, model) for _ in range(3))
    assert store.rollback(at=NOW)["version"] == second
    assert store.rollback(at=NOW)["version"] == first
    assert store.current()["version"] == first
    assert [entry["event"] for entry in store.ledger.entries()][-2:] == ["rollback", "rollback"]
    with pytest.raises(ModelRejectedError, match="no earlier model"):
        store.rollback(at=NOW)
    assert store.rollback(third, at=NOW)["version"] == third


def test_a_rollback_to_a_damaged_version_changes_nothing(store, model):
    first, second = promote_model(store, model), promote_model(store, model)
    (store.folder / f"{first}.pkl").write_bytes(b"")
    with pytest.raises(ModelRejectedError, match="truncated, swapped or tampered"):
        store.rollback(first, at=NOW)
    with pytest.raises(ModelRejectedError, match="not a version"):
        store.rollback("../../etc/passwd", at=NOW)
    assert store.current_version() == second


def _truncate(folder, version, other):
    path = folder / f"{version}.pkl"
    path.write_bytes(path.read_bytes()[:-100])


def _tamper(folder, version, other):
    path = folder / f"{version}.pkl"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def _swap(folder, version, other):
    (folder / f"{version}.pkl").write_bytes((folder / f"{other}.pkl").read_bytes())


def _remove(folder, version, other):
    (folder / f"{version}.pkl").unlink()


def _exchange_with_metadata(folder, version, other):
    # Artifact and metadata are exchanged together: only the audit log reveals it.
    content = (folder / f"{other}.pkl").read_bytes()
    described = json.loads((folder / f"{other}.json").read_text()) | {"version": version}
    (folder / f"{version}.pkl").write_bytes(content)
    (folder / f"{version}.json").write_text(json.dumps(described))


@pytest.mark.parametrize("damage", [_truncate, _tamper, _swap, _remove, _exchange_with_metadata])
def test_with_a_damaged_artifact_the_previous_one_serves(store, model, forest, damage):
    first = promote_model(store, model)
    second = promote_model(store, forest)
    damage(store.folder, second, first)
    with pytest.raises(ModelRejectedError, match=r"is missing|truncated, swapped or tampered"):
        store.load()
    loaded, reasons = store.load_latest_valid()
    assert loaded.version == first
    assert len(reasons) == 1
    results = {result.version: result for result in store.verify()}
    assert results[first].problem is None
    assert results[second].current
    assert results[second].problem == reasons[0]


def test_where_no_model_loads_every_reason_is_reported(store, model):
    first, second = promote_model(store, model), promote_model(store, model)
    for version in (first, second):
        _truncate(store.folder, version, None)
    with pytest.raises(ModelRejectedError, match=f"{second}.*{first}"):
        store.load_latest_valid()


def test_before_the_first_training_there_is_no_champion(store):
    assert store.current() is None
    assert store.entries() == []
    with pytest.raises(ModelRejectedError, match="no champion yet"):
        store.load()


def test_a_signed_store_rejects_unsigned_and_changed_models(tmp_path, model):
    open_store, signed = ModelStore(tmp_path), ModelStore(tmp_path, signing_key="secret")
    unsigned = promote_model(open_store, model)
    with pytest.raises(ModelRejectedError, match="not signed"):
        signed.load(unsigned)
    version = promote_model(signed, model)
    assert signed.load().version == version
    assert open_store.load().version == version
    with pytest.raises(ModelRejectedError, match="not signed"):
        ModelStore(tmp_path, signing_key="another").load()
    path = tmp_path / f"{version}.json"
    path.write_text(path.read_text().replace("2024-03-29", "2024-03-28"))
    with pytest.raises(ModelRejectedError, match="not signed"):
        signed.load()


def test_a_version_without_a_promotion_is_rejected(store, model):
    version = promote_model(store, model)
    store.ledger.path.write_text("")
    with pytest.raises(ModelRejectedError, match="the audit log has no promotion of it"):
        store.load(version)


def test_an_incomplete_ledger_line_is_skipped(store, model):
    version = promote_model(store, model)
    with store.ledger.path.open("a") as handle:
        handle.write('{"event": "promo')
    assert store.load().version == version
    store.record_rejection("xgboost", reason="no", at=NOW)
    assert [entry["event"] for entry in store.ledger.entries()] == ["promotion", "refusal"]


def test_without_symlinks_a_pointer_file_names_the_current(store, model, monkeypatch):
    def fail(*_, **__):
        raise OSError("no symlinks here")

    monkeypatch.setattr("pathlib.Path.symlink_to", fail)
    first = promote_model(store, model)
    second = promote_model(store, model)
    assert not (store.folder / "current.pkl").exists()
    assert (store.folder / "current.txt").read_text().strip() == second
    assert store.load().version == second
    store.rollback(at=NOW)
    assert store.current_version() == first


def test_a_full_disk_during_promotion_keeps_the_current_model(store, model, monkeypatch):
    first = promote_model(store, model)

    def fail_disk_full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cryptoliq_assets.modeling.registry.model_registry.write_files", fail_disk_full)
    with pytest.raises(OSError, match="No space left"):
        promote_model(store, model)
    assert store.load().version == first
    assert store.versions() == [first]


def test_the_rollback_target_is_never_pruned(store, model):
    first, second, third = (promote_model(store, model) for _ in range(3))
    store.rollback(first, at=NOW)
    fourth = promote_model(store, model)
    assert set(store.versions()) == {first, second, third, fourth}
    _truncate(store.folder, fourth, None)
    for version in (store.load_latest_valid()[0].version, store.latest_valid_version()[0]):
        assert version == first
    assert store.rollback(at=NOW)["version"] == first


def test_a_version_left_by_a_rollback_is_the_last_resort(store, model):
    first, second, third = (promote_model(store, model) for _ in range(3))
    store.rollback(second, at=NOW)
    _truncate(store.folder, second, None)
    assert store.load_latest_valid()[0].version == first
    _truncate(store.folder, first, None)
    assert store.load_latest_valid()[0].version == third


def test_pruned_and_missing_versions_have_different_reasons(store, model):
    first, second, *_ = versions = [promote_model(store, model) for _ in range(5)]
    for part in ("pkl", "json"):
        (store.folder / f"{versions[3]}.{part}").unlink()
    (store.folder / f"{versions[2]}.pkl").write_bytes(b"")
    with pytest.raises(ModelRejectedError) as raised:
        store.rollback(at=NOW)
    result = dict(reason.strip().split(": ", 1) for reason in raised.value.reason.split(": ", 1)[1].split("; Linear_R"))
    assert result[versions[3]].startswith(f"{versions[3]}.json is missing")
    for version in (first, second):
        assert (
            result[version.removeprefix("Linear_R")]
            == "no longer stored, because 3 newer models of its name were promoted since"
        )
    with pytest.raises(ModelRejectedError, match=f"{first}: no longer stored"):
        store.rollback(first, at=NOW)


@pytest.mark.parametrize(("reason", "result"), [(None, "requested"), ("forecasts drift", "forecasts drift")])
def test_a_rollback_records_its_reason(store, model, reason, result):
    promote_model(store, model), promote_model(store, model)
    store.rollback(at=NOW, reason=reason)
    assert store.ledger.entries()[-1]["reason"] == result
    current = store.current_version()
    (store.folder / "current.pkl").unlink()
    store.rollback(current, at=NOW, reason=reason)
    line = store.ledger.entries()[-1]["reason"]
    assert line.startswith("the pointer is rewritten: current.pkl is missing")
    assert line.endswith("forecasts drift") is (reason is not None)


def test_a_folder_in_place_of_an_artifact_is_rejected(store, model):
    first, second = promote_model(store, model), promote_model(store, model)
    (store.folder / f"{second}.pkl").unlink()
    (store.folder / f"{second}.pkl").mkdir()
    assert store.load_latest_valid()[0].version == first


def test_a_ledger_line_ends_only_at_a_newline(store, model):
    version = promote_model(store, model)
    store.record_rejection("xgboost", reason="a\u2028b\u0085c", at=NOW)
    assert [entry["event"] for entry in store.ledger.entries()] == ["promotion", "refusal"]
    assert store.ledger.entries()[-1]["reason"] == "a\u2028b\u0085c"
    assert store.load().version == version
