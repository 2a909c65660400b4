"""The store: what is current, how it came to be, and what is never loaded."""

import datetime as dt
import json
import pickle

import joblib
import numpy as np
import pytest

from cryptoliq_assets.modeling.estimators import CANDIDATES, fit_spec
from cryptoliq_assets.modeling.registry import serialization
from cryptoliq_assets.modeling.registry.audit_log import sha256_of
from cryptoliq_assets.modeling.registry.model_registry import ModelStore
from cryptoliq_assets.modeling.registry.serialization import ModelRejectedError, load_model, to_bytes
from cryptoliq_assets.schemas.feature_registry import MODEL_FEATURES
from cryptoliq_assets_tests.support.frames import model_described

NOW = dt.datetime(2024, 3, 30, 12, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def model(rows):
    return fit_spec(CANDIDATES["linear_regression"], rows)


@pytest.fixture(scope="module")
def forest(rows):
    recipe = CANDIDATES["random_forest"]
    return fit_spec(type(recipe)(recipe.name, recipe.model_name, {"n_estimators": 3}), rows, threads=1)


@pytest.fixture
def store(tmp_path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def metadata_of(model) -> dict:
    metrics = {"skill": np.float64(0.3), "folds": []}
    return model_described(trained_on="2024-03-29", features=list(model.features), metrics=metrics)


def promoted(store: ModelStore, model, **fields) -> str:
    return store.promote(model, metadata_of(model) | fields, reason="test", at=NOW)["version"]


def test_a_promotion_writes_all_files_and_a_ledger_line(store, model, rows):
    version = promoted(store, model)

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
    promoted(store, forest)
    versions = [promoted(store, model) for _ in range(5)]
    assert [version[-2:] for version in versions] == ["v1", "v2", "v3", "v4", "v5"]
    assert store.versions() == [*reversed(versions[2:]), "Random_Forest_v1"]
    assert len(store.ledger.entries()) == 6
    assert [entry["current"] for entry in store.entries()] == [True, False, False, False]


def test_a_rejection_is_recorded_and_changes_nothing(store, model, forest):
    version = promoted(store, model)
    store.record_rejection("random_forest", reason="skill below 0", at=NOW, model=forest)
    line = store.ledger.entries()[-1]
    assert (line["event"], line["candidate"], line["reason"]) == ("refusal", "random_forest", "skill below 0")
    assert line["sha256"] == sha256_of(to_bytes(forest))
    assert store.current_version() == version


def test_rolling_back_twice_goes_back_two_and_is_recorded(store, model):
    first, second, third = (promoted(store, model) for _ in range(3))
    assert store.rollback(at=NOW)["version"] == second
    assert store.rollback(at=NOW)["version"] == first
    assert store.current()["version"] == first
    assert [entry["event"] for entry in store.ledger.entries()][-2:] == ["rollback", "rollback"]
    with pytest.raises(ModelRejectedError, match="no earlier model"):
        store.rollback(at=NOW)
    assert store.rollback(third, at=NOW)["version"] == third


def test_a_rollback_to_a_damaged_version_changes_nothing(store, model):
    first, second = promoted(store, model), promoted(store, model)
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


def _retell(folder, version, other):
    # Artifact and metadata exchanged together: the ledger still knows.
    content = (folder / f"{other}.pkl").read_bytes()
    described = json.loads((folder / f"{other}.json").read_text()) | {"version": version}
    (folder / f"{version}.pkl").write_bytes(content)
    (folder / f"{version}.json").write_text(json.dumps(described))


@pytest.mark.parametrize("harm", [_truncate, _tamper, _swap, _remove, _retell])
def test_with_a_damaged_artifact_the_previous_one_serves(store, model, forest, harm):
    first = promoted(store, model)
    second = promoted(store, forest)
    harm(store.folder, second, first)
    with pytest.raises(ModelRejectedError, match=r"is missing|truncated, swapped or tampered"):
        store.load()
    loaded, passed_over = store.load_latest_valid()
    assert loaded.version == first
    assert len(passed_over) == 1
    verdicts = {verdict.version: verdict for verdict in store.verify()}
    assert verdicts[first].problem is None
    assert verdicts[second].current
    assert verdicts[second].problem == passed_over[0]


def test_where_no_model_loads_every_reason_is_reported(store, model):
    first, second = promoted(store, model), promoted(store, model)
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
    unsigned = promoted(open_store, model)
    with pytest.raises(ModelRejectedError, match="not signed"):
        signed.load(unsigned)
    version = promoted(signed, model)
    assert signed.load().version == version
    assert open_store.load().version == version
    with pytest.raises(ModelRejectedError, match="not signed"):
        ModelStore(tmp_path, signing_key="another").load()
    path = tmp_path / f"{version}.json"
    path.write_text(path.read_text().replace("2024-03-29", "2024-03-28"))
    with pytest.raises(ModelRejectedError, match="not signed"):
        signed.load()


def described(model, **fields) -> tuple[bytes, dict]:
    content = to_bytes(model)
    libraries = serialization.library_versions()
    name = model.NAME
    metadata = {"version": "X", "model_name": name, "libraries": libraries, "sha256": sha256_of(content)}
    return content, {**metadata_of(model), **metadata, **fields}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"libraries": {"numpy": "1.26.4", "scikit-learn": "1.5", "xgboost": "3.0"}}, "written with numpy 1.26.4"),
        ({"libraries": {}}, "written with numpy unknown"),
        ({"features": []}, "it names none"),
        ({"features": ["liquidity_score", "tomorrow"]}, "does not compute: tomorrow"),
        ({"features": ["volume_log", "liquidity_score"]}, "in another order"),
        ({"features": ["liquidity_score", "volume_log"]}, "fitted on other features"),
        ({"model_name": "Oracle"}, "'Oracle' is not one of"),
        ({"model_name": "XGBoost"}, "contains a Linear_Regression"),
    ],
)
def test_each_mismatch_is_rejected_with_its_reason(model, fields, reason):
    content, metadata = described(model, **fields)
    with pytest.raises(ModelRejectedError, match=reason):
        load_model(content, metadata, expected_sha256=metadata["sha256"])


def test_reordered_features_reject_an_older_model(model):
    content, metadata = described(model)
    declared = [MODEL_FEATURES[1], MODEL_FEATURES[0], *MODEL_FEATURES[2:]]
    with pytest.raises(ModelRejectedError, match="another order"):
        load_model(content, metadata, expected_sha256=metadata["sha256"], declared=declared)
    with pytest.raises(ModelRejectedError, match="does not compute: liquidity_score"):
        load_model(content, metadata, expected_sha256=metadata["sha256"], declared=MODEL_FEATURES[1:])


class _Harm:
    def __reduce__(self):
        return print, ("this must never run",)


def test_a_class_outside_the_allowlist_is_not_looked_up(model, capsys):
    content = pickle.dumps(_Harm())
    _, metadata = described(model)
    metadata["sha256"] = sha256_of(content)
    with pytest.raises(ModelRejectedError, match=r"builtins\.print"):
        load_model(content, metadata, expected_sha256=metadata["sha256"])
    assert capsys.readouterr().out == ""


def test_a_version_without_a_promotion_is_rejected(store, model):
    version = promoted(store, model)
    store.ledger.path.write_text("")
    with pytest.raises(ModelRejectedError, match="the ledger has no promotion of it"):
        store.load(version)


def test_an_incomplete_ledger_line_is_skipped(store, model):
    version = promoted(store, model)
    with store.ledger.path.open("a") as handle:
        handle.write('{"event": "promo')
    assert store.load().version == version
    store.record_rejection("xgboost", reason="no", at=NOW)
    assert [entry["event"] for entry in store.ledger.entries()] == ["promotion", "refusal"]


def test_without_symlinks_a_pointer_file_names_the_current(store, model, monkeypatch):
    def refuse(*_, **__):
        raise OSError("no symlinks here")

    monkeypatch.setattr("pathlib.Path.symlink_to", refuse)
    first = promoted(store, model)
    second = promoted(store, model)
    assert not (store.folder / "current.pkl").exists()
    assert (store.folder / "current.txt").read_text().strip() == second
    assert store.load().version == second
    store.rollback(at=NOW)
    assert store.current_version() == first


def test_a_full_disk_during_promotion_keeps_the_current_model(store, model, monkeypatch):
    first = promoted(store, model)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cryptoliq_assets.modeling.registry.model_registry.write_files", full)
    with pytest.raises(OSError, match="No space left"):
        promoted(store, model)
    assert store.load().version == first
    assert store.versions() == [first]


def test_the_rollback_target_is_never_pruned(store, model):
    first, second, third = (promoted(store, model) for _ in range(3))
    store.rollback(first, at=NOW)
    fourth = promoted(store, model)
    assert set(store.versions()) == {first, second, third, fourth}
    _truncate(store.folder, fourth, None)
    for found in (store.load_latest_valid()[0].version, store.latest_valid_version()[0]):
        assert found == first
    assert store.rollback(at=NOW)["version"] == first


def test_a_version_left_by_a_rollback_is_the_last_resort(store, model):
    first, second, third = (promoted(store, model) for _ in range(3))
    store.rollback(second, at=NOW)
    _truncate(store.folder, second, None)
    assert store.load_latest_valid()[0].version == first
    _truncate(store.folder, first, None)
    assert store.load_latest_valid()[0].version == third


def test_pruned_and_missing_versions_have_different_reasons(store, model):
    first, second, *_ = versions = [promoted(store, model) for _ in range(5)]
    for part in ("pkl", "json"):
        (store.folder / f"{versions[3]}.{part}").unlink()
    (store.folder / f"{versions[2]}.pkl").write_bytes(b"")
    with pytest.raises(ModelRejectedError) as refused:
        store.rollback(at=NOW)
    result = dict(
        reason.strip().split(": ", 1) for reason in refused.value.reason.split(": ", 1)[1].split("; Linear_R")
    )
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
    promoted(store, model), promoted(store, model)
    store.rollback(at=NOW, reason=reason)
    assert store.ledger.entries()[-1]["reason"] == result
    current = store.current_version()
    (store.folder / "current.pkl").unlink()
    store.rollback(current, at=NOW, reason=reason)
    line = store.ledger.entries()[-1]["reason"]
    assert line.startswith("the pointer is rewritten: current.pkl is missing")
    assert line.endswith("forecasts drift") is (reason is not None)


def test_a_folder_in_place_of_an_artifact_is_rejected(store, model):
    first, second = promoted(store, model), promoted(store, model)
    (store.folder / f"{second}.pkl").unlink()
    (store.folder / f"{second}.pkl").mkdir()
    assert store.load_latest_valid()[0].version == first


def test_a_ledger_line_ends_only_at_a_newline(store, model):
    version = promoted(store, model)
    store.record_rejection("xgboost", reason="a\u2028b\u0085c", at=NOW)
    assert [entry["event"] for entry in store.ledger.entries()] == ["promotion", "refusal"]
    assert store.ledger.entries()[-1]["reason"] == "a\u2028b\u0085c"
    assert store.load().version == version
