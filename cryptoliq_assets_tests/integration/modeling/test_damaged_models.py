"""Damage below models/: each changed byte is found before a model is used, irregular files are not read, nothing hangs."""

import datetime as dt
import json
import os
import random
from pathlib import Path

import pytest
from click.testing import CliRunner

from cryptoliq_assets.cli.main import cli
from cryptoliq_assets.core.home import prepare_home
from cryptoliq_assets.modeling.datasets.splits import make_folds
from cryptoliq_assets.modeling.estimators import CANDIDATES, fit_spec
from cryptoliq_assets.modeling.evaluation.cross_validation import evaluate_baseline
from cryptoliq_assets.modeling.inference import load_champion
from cryptoliq_assets.modeling.registry import serialization
from cryptoliq_assets.modeling.registry.audit_log import Ledger
from cryptoliq_assets.modeling.registry.candidates import Candidate, load_candidate, save_candidate
from cryptoliq_assets.modeling.registry.model_registry import ModelStore
from cryptoliq_assets.modeling.registry.serialization import ModelRejectedError, NoLoadableModelError
from cryptoliq_assets.modeling.standalone import read_model, write_model
from cryptoliq_assets.monitoring.data.stored_bytes import verify_home
from cryptoliq_assets.serving.predictor import Predictor
from cryptoliq_assets_tests.support.frames import model_described
from cryptoliq_assets_tests.support.settings import make_settings

NOW = dt.datetime(2024, 3, 30, 12, tzinfo=dt.UTC)
OTHER_LINES = ["[1, 2]", '"promotion"', "17", "null", '{"event": "promotion"}', '{"at": 1, "event": ["promotion"]}']
OTHER_LINES += ['{"at": "2024-03-30", "event": "promotion", "version": ["x"], "sha256": {}}', "[" * 100_000]


@pytest.fixture
def store(tmp_path: Path, rows) -> ModelStore:
    prepare_home(make_settings(home_dir=tmp_path))
    store = ModelStore(tmp_path / "models")
    model = fit_spec(CANDIDATES["linear_regression"], rows)
    for _ in range(2):
        store.promote(model, model_described(features=list(model.features)), reason="a test", at=NOW)
    return store


def flips(path: Path, count: int):
    """Yield the file with one flipped bit, `count` times; restore it at the end."""
    content, chance = path.read_bytes(), random.Random(11)
    try:
        for place in chance.sample(range(len(content)), count):
            path.write_bytes(
                content[:place] + bytes([content[place] ^ (1 << chance.randrange(8))]) + content[place + 1 :]
            )
            yield place
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize("kind", ["pkl", "json"])
def test_any_flipped_bit_is_found_before_the_model_is_used(store: ModelStore, kind: str) -> None:
    version = store.current_version()
    metadata = store.metadata(version)
    for place in flips(store.folder / f"{version}.{kind}", 60):
        try:
            store.load(version)
        except ModelRejectedError:
            continue
        # Whitespace between values does not change the content.
        assert kind == "json", place
        assert store.metadata(version) == metadata, place
    assert store.load(version).version == version


def test_a_changed_byte_never_reaches_the_unpickler_by_any_path(
    store: ModelStore, rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A booster with modified trees can make its library loop: it only receives bytes with the expected digest."""
    settings = make_settings(home_dir=store.folder.parent)
    evaluation = evaluate_baseline("har", rows, make_folds(rows, count=2))
    spec = CANDIDATES["linear_regression"]
    candidates, outside = settings.models_dir / "candidates", settings.home_dir / "outside.pkl"
    save_candidate(candidates, spec.name, Candidate(spec, store.load().model, evaluation))
    write_model(outside, store.load().model, store.metadata(store.current_version()))
    paths = [
        *(store.folder / f"{version}.pkl" for version in store.versions()),
        candidates / f"{spec.name}.pkl",
        outside,
    ]
    given: list[bytes] = []
    monkeypatch.setattr(serialization, "unpickle", lambda content, listed: given.append(content))
    chance = random.Random(3)
    for path in paths:
        content = path.read_bytes()
        place = chance.randrange(len(content))
        path.write_bytes(content[:place] + bytes([content[place] ^ (1 << chance.randrange(8))]) + content[place + 1 :])
    for load in (
        lambda: store.load(),
        lambda: store.load_latest_valid(),
        lambda: store.rollback(at=NOW),
        lambda: store.rollback(store.versions()[-1], at=NOW),
        lambda: load_champion(settings),
        lambda: load_candidate(candidates, spec.name),
        lambda: read_model(outside),
    ):
        with pytest.raises(ModelRejectedError, match="sha256 of"):
            load()
    assert all(verdict.problem for verdict in store.verify())
    assert not Predictor(settings).refresh()
    assert {item.kind for item in verify_home(settings, deep=True).damaged} == {"model", "candidate"}
    assert given == []


def test_a_bit_flipped_anywhere_in_the_ledger_changes_no_entry(store: ModelStore) -> None:
    path, before = store.ledger.path, store.ledger.entries()
    for place in flips(path, 200):
        entries = store.ledger.entries()
        assert all(entry in before for entry in entries), place
        assert entries == before or store.ledger.problem() or path.read_bytes()[-1:] != b"\n", place


@pytest.mark.parametrize("line", OTHER_LINES)
def test_an_invalid_ledger_line_is_reported_with_a_remedy(store: ModelStore, line: str) -> None:
    before = store.ledger.entries()
    with store.ledger.path.open("a") as file:
        file.write(line + "\n")
    assert store.ledger.entries() == before
    problem = store.ledger.problem()
    assert problem.startswith(f"{store.ledger.path} is damaged: line 3 ")
    assert "restore the file from a backup" in problem
    assert store.load_latest_valid()[0].version == store.current_version()


def test_the_commands_name_a_damaged_ledger_without_a_traceback(store: ModelStore) -> None:
    store.ledger.path.write_text("[]\n" + store.ledger.path.read_text())
    for command, code in (("list", 0), ("verify", 1)):
        result = CliRunner().invoke(cli, ["--home", str(store.folder.parent), "models", command])
        assert result.exit_code == code, result.output
        assert "ledger.jsonl is damaged: line 1 is a JSON array, expected an object" in result.output


def test_a_model_with_a_damaged_promotion_is_rejected(store: ModelStore) -> None:
    lines = store.ledger.path.read_text().splitlines()
    store.ledger.path.write_text("\n".join([lines[0], lines[1].replace('"promotion"', '"promotiom"'), ""]))
    with pytest.raises(ModelRejectedError, match=r"ledger.jsonl is damaged: line 2 has the checksum"):
        store.load(json.loads(lines[1])["version"])


def test_lines_without_checksum_count_only_before_the_first(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    old = '{"at": "2024-01-01", "event": "promotion", "version": "A_2024-01-01_v1", "sha256": "0"}\n'
    ledger.path.write_text(old)
    ledger.append({"at": "2024-01-02", "event": "refusal", "reason": "a test"})
    assert [entry["event"] for entry in ledger.entries()] == ["promotion", "refusal"]
    assert ledger.problem() is None
    with ledger.path.open("a") as file:
        file.write(old)
    assert [entry["event"] for entry in ledger.entries()] == ["promotion", "refusal"]
    assert "line 3" in ledger.problem()


@pytest.mark.parametrize("name", ["pkl", "json", "ledger.jsonl", "current.pkl"])
@pytest.mark.parametrize("what", ["pipe", "folder", "device", "nested"])
def test_a_non_document_is_an_error_and_hangs_nothing(store: ModelStore, what: str, name: str) -> None:
    version = store.current_version()
    path = store.folder / (name if "." in name else f"{version}.{name}")
    path.unlink()
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "device":
        path.symlink_to("/dev/zero")
    else:
        path.write_text('{"a":' * 100_000)
    result = CliRunner().invoke(cli, ["--home", str(store.folder.parent), "models", "verify"])
    shown = result.output + str(result.exception)
    assert result.exit_code == 1, shown
    assert path.name in shown
    assert not isinstance(result.exception, (RecursionError, KeyError, TypeError, AttributeError))


def test_a_models_folder_that_is_a_link_serves_as_before(store: ModelStore, tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    store.folder.rename(volume)
    store.folder.symlink_to(volume)
    assert ModelStore(store.folder).load().version == store.current_version()


def test_none_loads_where_the_only_artifacts_are_pipes(store: ModelStore) -> None:
    for version in store.versions():
        path = store.folder / f"{version}.pkl"
        path.unlink()
        os.mkfifo(path)
    with pytest.raises(NoLoadableModelError, match="a named pipe, not a regular file"):
        store.load_latest_valid()
    assert store.latest_valid_version()[0] is None
