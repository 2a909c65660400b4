"""Metadata schema: metadata of a stored model are unchanged since its promotion, complete and valid."""

import json
from typing import get_args

import pytest

from cryptoliq_assets.modeling.datasets import splits
from cryptoliq_assets.modeling.evaluation import conformal
from cryptoliq_assets.modeling.registry import metadata_schema
from cryptoliq_assets.modeling.registry.metadata_schema import check_fields
from cryptoliq_assets.modeling.registry.model_registry import ModelStore
from cryptoliq_assets.modeling.registry.serialization import ModelRejectedError
from cryptoliq_assets_tests.support.frames import model_described
from cryptoliq_assets_tests.support.model_promotion import NOW, promote_model


def test_metadata_constants_equal_those_of_the_writers():
    assert conformal.POOLED == metadata_schema.POOLED
    assert set(get_args(metadata_schema.Evaluation)) == {splits.OVER_TIME, splits.BY_COIN}


def edit_metadata(store: ModelStore, version: str, fields: dict) -> None:
    """Edit the metadata file directly; a field given as `...` is removed."""
    path = store.folder / f"{version}.json"
    changed = json.loads(path.read_text()) | fields
    path.write_text(json.dumps({name: value for name, value in changed.items() if value is not ...}))


WIDTHS = {"level": 0.9, "counts": {"pooled": 9, "a": 9}}
INVALID = [
    {"libraries": None},
    {"libraries": ["numpy"]},
    {"features": None},
    {"intervals": None},
    {"intervals": []},
    {"intervals": WIDTHS | {"half_widths": {}}},
    {"intervals": WIDTHS | {"half_widths": {"a": 0.1}}},
    {"intervals": WIDTHS | {"half_widths": {"pooled": -0.1}}},
    {"intervals": WIDTHS | {"half_widths": {"pooled": float("inf")}}},
    {"intervals": WIDTHS | {"half_widths": {"pooled": "0.1"}}},
    {"intervals": {"level": 0.9, "half_widths": {"pooled": 0.1}, "counts": {}}},
    {"intervals": {"level": 1.5, "half_widths": {"pooled": 0.1}, "counts": {"pooled": 9}}},
    {"intervals": {"half_widths": {"pooled": 0.1}, "counts": {"pooled": 9}}},
    {"horizon_days": "1"},
    {"horizon_days": 0},
    {"formula": "guessed"},
    {"formula": ["amihud"]},
    {"known_until": "soon"},
    {"evaluation": "by_hand"},
    {"evaluation": []},
    {"metrics": {"folds": []}},
    {"metrics": {"skill": float("nan"), "folds": []}},
    {"input_ranges": {"price": [1.0]}},
    *({field: ...} for field in model_described() if field != "trained_on"),
]


@pytest.mark.parametrize("fields", INVALID, ids=str)
def test_with_invalid_metadata_the_version_before_serves(store, model, fields):
    first, second = promote_model(store, model), promote_model(store, model)
    edit_metadata(store, second, fields)
    with pytest.raises(ModelRejectedError, match=second):
        store.load()
    assert store.load_latest_valid()[0].version == first
    assert store.latest_valid_version()[0] == first


@pytest.mark.parametrize("fields", [fields for fields in INVALID if "libraries" not in fields], ids=str)
def test_invalid_metadata_are_rejected_and_never_promoted(store, model, fields):
    (field,) = fields
    metadata = {**model_described(features=list(model.features)), "version": "X", **fields}
    with pytest.raises(ModelRejectedError, match=f"missing or invalid in its metadata: {field};"):
        check_fields({name: value for name, value in metadata.items() if value is not ...})
    if fields[field] is not ... and field not in ("features", "promoted_at"):
        with pytest.raises((ModelRejectedError, ValueError)):
            promote_model(store, model, **fields)
        assert store.versions() == store.ledger.entries() == []


EDITS = [
    {"intervals": {"level": 0.9, "half_widths": {"pooled": 0.001}, "counts": {"pooled": 200}}},
    {"horizon_days": 7},
    {"formula": "amihud"},
    {"note": "harmless"},
    {"trained_on": ...},
]


@pytest.mark.parametrize("key", [None, "secret"])
@pytest.mark.parametrize("fields", EDITS, ids=str)
def test_edited_metadata_are_rejected_also_without_a_key(tmp_path, model, fields, key):
    store = ModelStore(tmp_path, signing_key=key)
    first, second = promote_model(store, model), promote_model(store, model)
    edit_metadata(store, second, fields)
    loaded, (reason,) = store.load_latest_valid()
    assert (loaded.version, store.latest_valid_version()) == (first, (first, [reason]))
    message = "changed since the promotion" if key is None else "or its metadata were changed"
    assert reason.startswith(second)
    assert message in reason
    store.rollback(first, at=NOW)
    with pytest.raises(ModelRejectedError, match="metadata"):
        store.rollback(second, at=NOW)


@pytest.mark.parametrize("key", [None, "secret"])
def test_an_infinite_number_in_the_metadata_is_rejected(tmp_path, model, key):
    store = ModelStore(tmp_path, signing_key=key)
    first, second = promote_model(store, model), promote_model(store, model)
    edit_metadata(store, second, {"note": float("inf")})
    assert store.load_latest_valid()[0].version == first


def test_a_promotion_without_a_metadata_digest_is_rejected(store, model):
    version = promote_model(store, model)
    (line,) = store.ledger.entries()
    del line["metadata_sha256"]
    store.ledger.path.unlink()
    store.ledger.append(line)
    with pytest.raises(
        ModelRejectedError, match=f"{version}: its promotion in the audit log has no sha256 of its metadata"
    ):
        store.load()


def test_a_folder_in_place_of_the_metadata_is_rejected(store, model):
    first, second = promote_model(store, model), promote_model(store, model)
    (store.folder / f"{second}.json").unlink()
    (store.folder / f"{second}.json").mkdir()
    assert store.load_latest_valid()[0].version == first
