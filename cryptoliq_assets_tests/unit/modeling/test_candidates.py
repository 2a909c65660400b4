"""Stored candidates between the steps of a training: loaded unchanged, or rejected with a remedy."""

import io
import json
import pickle
import shutil

import numpy as np
import pytest

from cryptoliq_assets.modeling.datasets.splits import make_folds
from cryptoliq_assets.modeling.estimators import CANDIDATES, ModelSpec, fit_spec
from cryptoliq_assets.modeling.evaluation.cross_validation import evaluate
from cryptoliq_assets.modeling.registry.audit_log import canonical_json, sha256_of
from cryptoliq_assets.modeling.registry.candidates import (
    Candidate,
    load_candidate,
    load_value,
    save_candidate,
    save_value,
)
from cryptoliq_assets.modeling.registry.serialization import ModelRejectedError

KEY = b"secret"


@pytest.fixture(scope="module")
def candidate(rows) -> Candidate:
    spec = CANDIDATES["linear_regression"]
    return Candidate(spec, fit_spec(spec, rows), evaluate(spec, rows, make_folds(rows, count=2)))


@pytest.fixture
def folder(tmp_path, candidate):
    """Store one candidate under two names."""
    for name in ("linear_regression", "xgboost"):
        save_candidate(tmp_path, name, candidate)
    return tmp_path


def test_a_stored_candidate_is_loaded_unchanged(folder, candidate, rows):
    loaded = load_candidate(folder, "linear_regression")
    assert loaded.spec == candidate.spec
    X = rows.X[:, [rows.features.index(name) for name in candidate.spec.features]]
    np.testing.assert_array_equal(loaded.forecaster.predict(X), candidate.forecaster.predict(X))
    for field in ("name", "evaluation", "folds", "seconds", "metrics"):
        assert getattr(loaded.evaluation, field) == getattr(candidate.evaluation, field)
    for field in ("rows", "fold"):
        actual, expected = getattr(loaded.evaluation, field), getattr(candidate.evaluation, field)
        assert actual.dtype == expected.dtype
        np.testing.assert_array_equal(actual, expected)
    for field in ("forecasts", "references"):
        actual, expected = getattr(loaded.evaluation, field), getattr(candidate.evaluation, field)
        assert list(actual) == list(expected)
        for name, values in expected.items():
            np.testing.assert_array_equal(actual[name], values)


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-20])


def _flip(path):
    content = bytearray(path.read_bytes())
    # Not in the last digits of a number, where another digit may mean the same number.
    content[10] ^= 1
    path.write_bytes(bytes(content))


def _empty(path):
    path.write_bytes(b"")


def _remove(path):
    path.unlink()


def _replace_by_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [_truncate, _flip, _empty, _remove, _replace_by_folder])
@pytest.mark.parametrize("suffix", ["pkl", "npz", "json"])
def test_a_damaged_candidate_is_rejected_with_a_remedy(folder, suffix, damage):
    damage(folder / f"xgboost.{suffix}")
    with pytest.raises(ModelRejectedError, match=r"candidate xgboost is rejected: .*; run `cryptoliq train` again"):
        load_candidate(folder, "xgboost")
    assert load_candidate(folder, "linear_regression")


def test_files_of_another_candidate_are_rejected(folder, candidate, rows):
    other = fit_spec(ModelSpec("xgboost", "Linear_Regression", {"alpha": 1.0}), rows)
    save_candidate(folder, "xgboost", Candidate(candidate.spec, other, candidate.evaluation))
    for suffixes, reason in (
        (["pkl"], "swapped or tampered"),
        (["pkl", "npz", "json"], "describes 'linear_regression'"),
    ):
        for suffix in suffixes:
            shutil.copy(folder / f"linear_regression.{suffix}", folder / f"xgboost.{suffix}")
        with pytest.raises(ModelRejectedError, match=reason):
            load_candidate(folder, "xgboost")


class _Malicious:
    def __reduce__(self):
        return print, ("this must never run",)


def _register(folder, **contents: bytes) -> None:
    """Replace files and register their checksums in the JSON, as a writer without a signing key can."""
    path = folder / "xgboost.json"
    described = json.loads(path.read_text())
    for suffix, content in contents.items():
        (folder / f"xgboost.{suffix}").write_bytes(content)
        described["sha256" if suffix == "pkl" else "arrays_sha256"] = sha256_of(content)
    unsigned = {key: value for key, value in described.items() if key not in ("checksum", "signature")}
    path.write_text(json.dumps(described | {"checksum": sha256_of(canonical_json(unsigned))}))


def test_code_in_a_registered_file_does_not_run(folder, capsys):
    valid = (folder / "xgboost.pkl").read_bytes()
    _register(folder, pkl=pickle.dumps(_Malicious()))
    with pytest.raises(ModelRejectedError, match=r"builtins\.print.*train` again"):
        load_candidate(folder, "xgboost")
    archive = io.BytesIO()
    np.savez(archive, rows=np.array([_Malicious()], dtype=object), fold=np.zeros(1))
    _register(folder, pkl=valid, npz=archive.getvalue())
    with pytest.raises(ModelRejectedError, match=r"allow_pickle=False.*train` again"):
        load_candidate(folder, "xgboost")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no archive", b"\x93NUMPY"])
def test_a_file_that_is_not_an_array_archive_is_rejected(folder, content):
    _register(folder, npz=content)
    with pytest.raises(ModelRejectedError, match=r"its files are inconsistent: .*train` again"):
        load_candidate(folder, "xgboost")


def test_with_a_key_only_what_was_signed_with_it_is_read(folder, candidate):
    with pytest.raises(ModelRejectedError, match="not signed with CRYPTOLIQ_SIGNING_KEY"):
        load_candidate(folder, "xgboost", signing_key=KEY)
    save_candidate(folder, "xgboost", candidate, signing_key=KEY)
    assert load_candidate(folder, "xgboost", signing_key=KEY).spec == candidate.spec
    with pytest.raises(ModelRejectedError, match="not signed"):
        load_candidate(folder, "xgboost", signing_key=b"another")
    _register(folder, pkl=(folder / "xgboost.pkl").read_bytes() + b"\n")
    with pytest.raises(ModelRejectedError, match="not signed"):
        load_candidate(folder, "xgboost", signing_key=KEY)


def test_a_leaderboard_whose_figures_were_changed_is_rejected(tmp_path):
    board = {"best": "xgboost", "candidates": [{"name": "xgboost", "skill": 0.1 + 0.2, "worst_skill": None}]}
    path = save_value(tmp_path, "leaderboard", board, signing_key=KEY)
    assert load_value(tmp_path, "leaderboard", signing_key=KEY) == board
    path.write_text(path.read_text().replace("0.30000000000000004", "0.6"))
    with pytest.raises(ModelRejectedError, match=r"leaderboard is rejected: .*checksum.*run `cryptoliq train` again"):
        load_value(tmp_path, "leaderboard")
