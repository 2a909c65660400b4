"""Loading of a stored model: each mismatch with its metadata is rejected."""

import pickle

import pytest

from cryptoliq_assets.modeling.registry import serialization
from cryptoliq_assets.modeling.registry.audit_log import sha256_of
from cryptoliq_assets.modeling.registry.serialization import ModelRejectedError, load_model, to_bytes
from cryptoliq_assets.schemas.feature_registry import MODEL_FEATURES
from cryptoliq_assets_tests.support.model_promotion import metadata_of


def serialize(model, **fields) -> tuple[bytes, dict]:
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
    content, metadata = serialize(model, **fields)
    with pytest.raises(ModelRejectedError, match=reason):
        load_model(content, metadata, expected_sha256=metadata["sha256"])


def test_reordered_features_reject_an_older_model(model):
    content, metadata = serialize(model)
    declared = [MODEL_FEATURES[1], MODEL_FEATURES[0], *MODEL_FEATURES[2:]]
    with pytest.raises(ModelRejectedError, match="another order"):
        load_model(content, metadata, expected_sha256=metadata["sha256"], declared=declared)
    with pytest.raises(ModelRejectedError, match="does not compute: liquidity_score"):
        load_model(content, metadata, expected_sha256=metadata["sha256"], declared=MODEL_FEATURES[1:])


class _Malicious:
    def __reduce__(self):
        return print, ("this must never run",)


def test_a_class_outside_the_allowlist_is_not_looked_up(model, capsys):
    content = pickle.dumps(_Malicious())
    _, metadata = serialize(model)
    metadata["sha256"] = sha256_of(content)
    with pytest.raises(ModelRejectedError, match=r"builtins\.print"):
        load_model(content, metadata, expected_sha256=metadata["sha256"])
    assert capsys.readouterr().out == ""
