"""The metadata beside a stored model: those of its promotion, whole, and of a shape that nobody stumbles over."""

import datetime as dt
import json
from typing import get_args

import pytest

from cryptoliq_assets.modeling.datasets import splits
from cryptoliq_assets.modeling.estimators import CANDIDATES, fit_spec
from cryptoliq_assets.modeling.evaluation import conformal
from cryptoliq_assets.modeling.registry import metadata_schema
from cryptoliq_assets.modeling.registry.metadata_schema import check_fields
from cryptoliq_assets.modeling.registry.model_registry import ModelStore
from cryptoliq_assets.modeling.registry.serialization import ModelRejectedError
from cryptoliq_assets_tests.support.frames import model_described

NOW = dt.datetime(2024, 3, 30, 12, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def model(rows):
    return fit_spec(CANDIDATES["linear_regression"], rows)


@pytest.fixture
def store(tmp_path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def promoted(store: ModelStore, model, **fields) -> str:
    metadata_schema = model_described(features=list(model.features)) | fields
    return store.promote(model, metadata_schema, reason="test", at=NOW)["version"]


def test_metadata_constants_equal_those_of_the_writers():
    assert conformal.POOLED == metadata_schema.POOLED
    assert set(get_args(metadata_schema.Evaluation)) == {splits.OVER_TIME, splits.BY_COIN}


def spoil(store: ModelStore, version: str, spoilt: dict) -> None:
    """Change metadata behind the store's back; what is given as `...` is taken away."""
    path = store.folder / f"{version}.json"
    changed = json.loads(path.read_text()) | spoilt
    path.write_text(json.dumps({name: value for name, value in changed.items() if value is not ...}))


WIDTHS = {"level": 0.9, "counts": {"pooled": 9, "a": 9}}
NONSENSE = [
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


@pytest.mark.parametrize("spoilt", NONSENSE, ids=str)
def test_with_invalid_metadata_the_version_before_serves(store, model, spoilt):
    first, second = promoted(store, model), promoted(store, model)
    spoil(store, second, spoilt)
    with pytest.raises(ModelRejectedError, match=second):
        store.load()
    assert store.load_latest_valid()[0].version == first
    assert store.latest_valid_version()[0] == first


@pytest.mark.parametrize("spoilt", [spoilt for spoilt in NONSENSE if "libraries" not in spoilt], ids=str)
def test_invalid_metadata_are_rejected_and_never_promoted(store, model, spoilt):
    (field,) = spoilt
    said = {**model_described(features=list(model.features)), "version": "X", **spoilt}
    with pytest.raises(ModelRejectedError, match=f"missing or invalid in its metadata: {field};"):
        check_fields({name: value for name, value in said.items() if value is not ...})
    if spoilt[field] is not ... and field not in ("features", "promoted_at"):
        with pytest.raises((ModelRejectedError, ValueError)):
            promoted(store, model, **spoilt)
        assert store.versions() == store.ledger.entries() == []


EDITS = [
    {"intervals": {"level": 0.9, "half_widths": {"pooled": 0.001}, "counts": {"pooled": 200}}},
    {"horizon_days": 7},
    {"formula": "amihud"},
    {"note": "harmless"},
    {"trained_on": ...},
]


@pytest.mark.parametrize("key", [None, "secret"])
@pytest.mark.parametrize("spoilt", EDITS, ids=str)
def test_edited_metadata_are_rejected_also_without_a_key(tmp_path, model, spoilt, key):
    store = ModelStore(tmp_path, signing_key=key)
    first, second = promoted(store, model), promoted(store, model)
    spoil(store, second, spoilt)
    loaded, (reason,) = store.load_latest_valid()
    assert (loaded.version, store.latest_valid_version()) == (first, (first, [reason]))
    result = "changed since the promotion" if key is None else "or its metadata were changed"
    assert reason.startswith(second)
    assert result in reason
    store.rollback(first, at=NOW)
    with pytest.raises(ModelRejectedError, match="metadata"):
        store.rollback(second, at=NOW)


@pytest.mark.parametrize("key", [None, "secret"])
def test_an_infinite_number_in_the_metadata_is_rejected(tmp_path, model, key):
    store = ModelStore(tmp_path, signing_key=key)
    first, second = promoted(store, model), promoted(store, model)
    spoil(store, second, {"note": float("inf")})
    assert store.load_latest_valid()[0].version == first


def test_a_promotion_without_a_metadata_digest_is_rejected(store, model):
    version = promoted(store, model)
    (line,) = store.ledger.entries()
    del line["metadata_sha256"]
    store.ledger.path.unlink()
    store.ledger.append(line)
    with pytest.raises(
        ModelRejectedError, match=f"{version}: its promotion in the ledger has no sha256 of its metadata"
    ):
        store.load()


def test_a_folder_in_place_of_the_metadata_is_rejected(store, model):
    first, second = promoted(store, model), promoted(store, model)
    (store.folder / f"{second}.json").unlink()
    (store.folder / f"{second}.json").mkdir()
    assert store.load_latest_valid()[0].version == first
