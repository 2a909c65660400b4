"""Names and versions of stored models, of this release and of earlier ones."""

import datetime as dt
import json
import re

import pandas as pd
import pytest
from hypothesis import given, strategies as st

from cryptoliq_assets.core.atomic_write import write_file, write_json
from cryptoliq_assets.forecasting.pending import month_to_forecast
from cryptoliq_assets.forecasting.snapshot_forecast import append_forecasts
from cryptoliq_assets.modeling.estimators import (
    CANDIDATES,
    MODEL_NAMES,
    MODEL_VERSION,
    VERSION,
    ModelSpec,
    current_model_name,
    evaluated_specs,
    fit_spec,
    is_same_spec,
    model_name_of_key,
    model_version_of,
    next_version_key,
    parse_version_number,
    spec_from_dict,
)
from cryptoliq_assets.modeling.registry.audit_log import PROMOTION, Ledger, sha256_of
from cryptoliq_assets.modeling.registry.current_pointer import write_pointer
from cryptoliq_assets.modeling.registry.metadata_schema import digests
from cryptoliq_assets.modeling.registry.model_registry import ModelStore, open_model_store
from cryptoliq_assets.modeling.registry.serialization import ModelRejectedError, library_versions, to_bytes
from cryptoliq_assets.serving.views import build_model_view
from cryptoliq_assets_tests.support.frames import fill_home, model_described, store_forecast
from cryptoliq_assets_tests.support.settings import make_settings

NOW = dt.datetime(2025, 11, 14, 15, 38, 10, tzinfo=dt.UTC)
OLD = "LinearRegression_2025-07-31_v{}"


@pytest.fixture(scope="module")
def forecasters(rows) -> dict:
    small = {"n_estimators": 2, "rounds": 2}
    return {
        name: fit_spec(
            ModelSpec(name, spec.model_name, spec.params | {key: small[key] for key in spec.params if key in small}),
            rows,
            threads=1,
        )
        for name, spec in CANDIDATES.items()
    }


def promote_at(store: ModelStore, forecaster, *, at: dt.datetime = NOW) -> dict:
    return store.promote(forecaster, model_described(features=list(forecaster.features)), reason="test", at=at)


def store_earlier(folder, forecaster, number: int) -> str:
    """Store a champion as earlier releases did: with their file name, metadata and ledger line."""
    version, artifact = OLD.format(number), to_bytes(forecaster)
    described = model_described(
        version=version,
        model_name="LinearRegression",
        features=list(forecaster.features),
        sha256=sha256_of(artifact),
        libraries=library_versions(),
        recipe=CANDIDATES["linear_regression"].to_dict() | {"learner": "LinearRegression"},
    )
    write_file(folder / f"{version}.pkl", artifact)
    write_json(folder / f"{version}.json", described)
    at = f"2025-07-31T12:00:0{number}+00:00"
    Ledger(folder / "ledger.jsonl").append({"at": at, "event": PROMOTION, "version": version, **digests(described)})
    write_pointer(folder, version)
    write_json(folder / "metadata.json", described)
    return version


def test_files_and_metadata_have_the_contracts_model_names(tmp_path, forecasters):
    store = ModelStore(tmp_path)
    for forecaster in forecasters.values():
        promote_at(store, forecaster)
    assert sorted(path.name for path in tmp_path.glob("*_v*.pkl")) == [
        "Linear_Regression_v1.pkl",
        "Random_Forest_v1.pkl",
        "XGBoost_v1.pkl",
    ]
    described = json.loads((tmp_path / "metadata.json").read_text())
    assert described["model_name"] == "XGBoost"
    assert described["version"] == "XGBoost_v1"
    # A model version is unique over all models: stored forecasts are distinguished by it.
    assert [entry["model_version"] for entry in reversed(store.entries())] == [f"2025-11-14_v{n}" for n in (1, 2, 3)]


def test_the_last_three_models_of_each_name_stay_stored(tmp_path, forecasters):
    linear, forest = forecasters["linear_regression"], forecasters["random_forest"]
    store_earlier(tmp_path, linear, 1)
    store_earlier(tmp_path, linear, 2)
    store = ModelStore(tmp_path)
    promote_at(store, forest)
    versions = [promote_at(store, linear)["version"] for _ in range(2)]
    assert versions == ["Linear_Regression_v3", "Linear_Regression_v4"]
    assert store.versions() == ["Linear_Regression_v4", "Linear_Regression_v3", "Random_Forest_v1", OLD.format(2)]


def test_a_version_of_an_earlier_release_loads_and_rolls_back(tmp_path, forecasters):
    first, second = (store_earlier(tmp_path, forecasters["linear_regression"], number) for number in (1, 2))
    store = ModelStore(tmp_path)
    loaded = store.load()
    assert (loaded.version, loaded.model_name, loaded.model_version) == (second, "Linear_Regression", "2025-07-31_v2")
    assert [result.problem for result in store.verify()] == [None, None]
    promote_at(store, forecasters["xgboost"])
    assert [entry["version"] for entry in store.entries()] == ["XGBoost_v1", second, first]
    assert store.rollback(at=NOW)["version"] == second
    assert store.load_latest_valid()[0].version == second


@pytest.mark.parametrize("identifier", [OLD.format(1), f"{OLD.format(1)}.pkl", "2025-07-31_v1"])
def test_rollback_takes_either_form_of_an_earlier_version(tmp_path, forecasters, identifier):
    first, _ = (store_earlier(tmp_path, forecasters["linear_regression"], number) for number in (1, 2))
    assert ModelStore(tmp_path).rollback(identifier, at=NOW)["version"] == first


@pytest.mark.parametrize("identifier", ["Linear_Regression_v1", "Linear_Regression_v1.pkl", "2025-11-14_v1"])
def test_rollback_takes_key_file_and_model_version(tmp_path, forecasters, identifier):
    store = ModelStore(tmp_path)
    for name in ("linear_regression", "xgboost"):
        promote_at(store, forecasters[name])
    assert store.rollback(identifier, at=NOW)["version"] == "Linear_Regression_v1"


def test_an_unknown_name_is_rejected_and_nothing_changes(tmp_path, forecasters):
    store = ModelStore(tmp_path)
    promote_at(store, forecasters["xgboost"])
    for identifier in ("nope", "XGBoost_v9", "2025-11-15_v1", "../XGBoost_v1", "XGBoost_v1\n", ""):
        with pytest.raises(ModelRejectedError, match="models list"):
            store.rollback(identifier, at=NOW)
    assert store.current_version() == "XGBoost_v1"
    assert len(store.ledger.entries()) == 1


def test_an_ambiguous_model_version_requires_the_key(tmp_path, forecasters):
    store_earlier(tmp_path, forecasters["linear_regression"], 1)
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.append({"at": str(NOW), "event": PROMOTION, "version": "XGBoost_2025-07-31_v1", "sha256": "s"})
    with pytest.raises(ModelRejectedError, match=r"LinearRegression_2025-07-31_v1 and XGBoost_2025-07-31_v1"):
        ModelStore(tmp_path).find("2025-07-31_v1")


def test_an_earlier_specification_equals_todays_candidate():
    spec = CANDIDATES["random_forest"].to_dict() | {"learner": "RandomForest"}
    assert is_same_spec(spec, CANDIDATES["random_forest"].to_dict())
    assert evaluated_specs({"recipe": spec}) == list(CANDIDATES.values())
    assert spec_from_dict(spec) == CANDIDATES["random_forest"]


def test_forecasts_of_an_earlier_release_are_not_repeated(tmp_path, forecasters):
    settings = make_settings(home_dir=tmp_path)
    version = store_earlier(settings.models_dir, forecasters["linear_regression"], 1)
    tables = fill_home(settings, [30, 31])
    assert month_to_forecast(settings, tables) == "2025-03"
    store_forecast(settings, 31, version=version)
    assert month_to_forecast(settings, tables) is None
    stored = tables.read("forecasts")
    repeated = stored.assign(model_version=pd.Categorical(["2025-07-31_v1"]), made_at=pd.Timestamp("2025-08-02"))
    pd.testing.assert_frame_equal(append_forecasts(stored, repeated), append_forecasts(stored, stored.head(0)))
    assert len(append_forecasts(stored, repeated.assign(lower=0.0))) == 2


def test_a_model_of_an_earlier_release_has_todays_names(tmp_path, forecasters):
    settings = make_settings(home_dir=tmp_path)
    store_earlier(settings.models_dir, forecasters["linear_regression"], 3)
    view = build_model_view(settings)
    assert (view["model_name"], view["model_version"]) == ("Linear_Regression", "2025-07-31_v3")
    # The signed and registered metadata are unchanged.
    assert open_model_store(settings).metadata(OLD.format(3))["model_name"] == "LinearRegression"


KEYS = st.builds(
    lambda name, date, number: f"{name}_{date}_v{number}" if date else f"{current_model_name(name)}_v{number}",
    st.sampled_from(["LinearRegression", "RandomForest", "XGBoost"]),
    st.none() | st.sampled_from(["2025-11-13", "2025-11-14"]),
    st.integers(1, 99),
)


@given(st.lists(st.tuples(KEYS, st.integers(1, 99))), st.sampled_from(list(MODEL_NAMES.values())))
def test_the_next_key_and_model_version_were_never_used(existing, name):
    keys = [key for key, _ in existing]
    versions = [model_version_of({"version": key, "model_version": f"2025-11-14_v{n}"}) for key, n in existing]
    key, version = next_version_key(name, "2025-11-14", keys=keys, model_versions=versions)
    assert VERSION.match(key)
    assert re.match(MODEL_VERSION, version)
    assert version not in versions
    assert model_name_of_key(key) == name
    assert all(
        parse_version_number(key) > parse_version_number(before) for before in keys if model_name_of_key(before) == name
    )
