"""From leaderboard to champion: both decisions in the audit log, the refresh, and a store without a loadable model."""

import copy
import dataclasses
import datetime as dt
import json
import logging
import re
import shutil

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from pydantic import SecretStr

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.forecasting.pending import is_training_due
from cryptoliq_assets.modeling.estimators import CANDIDATES, CHAMPION_SPEC, spec_from_dict
from cryptoliq_assets.modeling.registry.candidates import Candidate, load_candidate
from cryptoliq_assets.modeling.registry.model_registry import open_model_store
from cryptoliq_assets.modeling.training import choose_champion, load_champion_status, rank_candidates
from cryptoliq_assets.orchestration.runner import RunFailedError, Runner
from cryptoliq_assets.simulation.market import write_snapshots
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.settings import make_settings

NOW = dt.datetime(2025, 8, 1, tzinfo=dt.UTC)


@pytest.fixture
def candidates(home) -> list[Candidate]:
    return [load_candidate(home.models_dir / "candidates", name) for name in CANDIDATES]


def board_of(home: Settings) -> dict:
    return json.loads((home.reports_dir / "metrics.json").read_text(encoding="utf-8"))


def best_but_hardly(board: dict, name: str, own: str) -> dict:
    """Return the leaderboard of these two specs alone in which `name` is the best, with 0.005 more skill than `own`."""
    changed = copy.deepcopy(board)
    changed["candidates"] = [entry for entry in changed["candidates"] if entry["name"] in (name, own)]
    entries = {entry["name"]: entry for entry in changed["candidates"]}
    entries[name]["skill"] = entries[own]["skill"] + 0.005
    entries[name]["metrics"] = copy.deepcopy(entries[own]["metrics"])
    return changed | {"best": name}


def choose(board: dict, candidates: list[Candidate], home: Settings, *, warnings: list[str] | None = None):
    result = [] if warnings is None else warnings
    return choose_champion(
        board, candidates, settings=home, tables=TableStore(home), progress=lambda line: None, warn=result.append
    )


def test_a_refresh_and_a_rejection_are_both_recorded(home, candidates):
    store, board = open_model_store(home), board_of(home)
    before = store.current()
    own = before["recipe"]["name"]
    rival = next(name for name in CANDIDATES if name != own)
    outcome = choose(best_but_hardly(board, rival, own), candidates, home)
    assert outcome.promoted
    rejection, promoted = store.ledger.entries()[-2:]
    assert (rejection["event"], rejection["candidate"]) == ("refusal", rival)
    assert "is not better by 0.01" in rejection["reason"]
    assert (promoted["event"], promoted["version"]) == ("promotion", store.current_version())
    assert f"{own} refreshed: skill" in promoted["reason"]
    assert outcome.metadata["version"] == store.current_version() != before["version"]
    assert outcome.metadata["recipe"] == before["recipe"]
    assert outcome.metadata["schema"]["table"] == "engineered_features"


def test_after_a_worse_refresh_the_champion_stays(home, candidates):
    store, board = open_model_store(home), board_of(home)
    loaded = store.load()
    better = loaded.metadata | {
        "metrics": loaded.metadata["metrics"] | {"skill": loaded.metadata["metrics"]["skill"] + 0.1}
    }
    store.promote(loaded.model, better, reason="test", at=NOW)
    own, current = loaded.metadata["recipe"]["name"], store.current_version()
    rival = next(name for name in CANDIDATES if name != own)
    outcome = choose(best_but_hardly(board, rival, own), candidates, home)
    assert not outcome.promoted
    assert [(entry["event"], entry["candidate"]) for entry in store.ledger.entries()[-2:]] == [
        ("refusal", rival),
        ("refusal", own),
    ]
    assert store.current_version() == current == outcome.metadata["version"]


def test_a_champion_with_a_retired_specification_is_refreshed(home, candidates):
    store, tables = open_model_store(home), TableStore(home)
    linear = next(candidate for candidate in candidates if candidate.spec.name == "linear_regression")
    retired = dataclasses.replace(linear.spec, params={"alpha": 11.0})
    stored = store.current() | {"recipe": retired.to_dict(), "features": list(retired.features)}
    store.promote(linear.forecaster, stored | {"metrics": stored["metrics"] | {"skill": 0.0}}, reason="test", at=NOW)
    board = rank_candidates(candidates, home, store=tables, progress=lambda line: None)
    champion_entry = next(entry for entry in board["candidates"] if entry["name"] == CHAMPION_SPEC)
    board = best_but_hardly(board, board["best"], CHAMPION_SPEC)
    outcome = choose(board, candidates, home)
    assert outcome.promoted
    assert spec_from_dict(outcome.metadata["recipe"]).params == {"alpha": 11.0}
    assert outcome.metadata["metrics"]["skill"] == champion_entry["skill"]
    assert store.load().model.params == {"alpha": 11.0}
    assert store.ledger.entries()[-2]["candidate"] == board["best"]


def _damage(home: Settings) -> Settings:
    for path in home.models_dir.glob("*_v*.pkl"):
        path.write_bytes(path.read_bytes()[:-1])
    return home


def test_training_replaces_models_that_do_not_load(home, candidates):
    _damage(home)
    tables, warnings, store = TableStore(home), [], open_model_store(home)
    broken = store.current_version()
    assert is_training_due(home, tables, provisional_too=False)
    standing = load_champion_status(home)
    assert standing.metadata is None
    assert broken in standing.rejection
    board = rank_candidates(candidates, home, store=tables, progress=lambda line: None)
    assert choose(board, candidates, home, warnings=warnings).promoted
    assert store.load().version == store.current_version() != broken
    line = store.ledger.entries()[-1]
    assert "the first champion; not compared, because no stored model loads: " in line["reason"]
    for result in (line["reason"], *warnings):
        assert f"{broken}: sha256 of the artifact {broken}.pkl is" in result
    assert len(warnings) == 1
    assert not is_training_due(home, tables, provisional_too=False)


def test_a_rejection_while_no_model_loads_has_both_reasons(home, candidates):
    _damage(home)
    board = board_of(home)
    for entry in board["candidates"]:
        entry["metrics"]["with_history"]["all"]["folds"][0]["skill"] = -0.1
    outcome = choose(board, candidates, home)
    assert (outcome.promoted, outcome.metadata) == (False, None)
    lines = open_model_store(home).ledger.entries()[-3:]
    assert [line["candidate"] for line in lines] == [entry["name"] for entry in board["candidates"]]
    for line in lines:
        assert "skill -0.100 in fold 1" in line["reason"]
        assert "not compared, because no stored model loads" in line["reason"]


def test_the_next_candidate_is_promoted_if_the_best_is_rejected(home, candidates):
    _damage(home)
    board = board_of(home)
    best, second, _ = board["candidates"]
    best["metrics"]["with_history"]["all"]["folds"][0]["skill"] = -0.1
    outcome = choose(board, candidates, home)
    assert outcome.metadata["recipe"]["name"] == second["name"]
    rejection, promoted = open_model_store(home).ledger.entries()[-2:]
    assert (rejection["event"], rejection["candidate"]) == ("refusal", best["name"])
    assert (promoted["event"], promoted["version"]) == ("promotion", open_model_store(home).current_version())


def unforecastable(days: int, *, calm: int, coins: int = 12) -> pd.DataFrame:
    """Return a market whose volumes revert to their mean for `calm` days and then diverge: a model of one part fails on the other.

    Prices rise by 2% per day, so that the score depends on the volume alone.
    """
    rng = np.random.default_rng(7)
    logs = 14.0 + rng.normal(size=(days, coins))
    steps = rng.normal(size=(days - calm, coins))
    for day in range(1, len(steps)):
        steps[day] += 0.8 * steps[day - 1]
    logs[calm:] = logs[calm - 1] + np.cumsum(0.3 * steps, axis=0)
    day, coin = (index.ravel() for index in np.indices(logs.shape))
    return pd.DataFrame(
        {
            "coin": [f"Coin {number}" for number in coin],
            "symbol": [f"C{number}" for number in coin],
            "price": 10.0 * 1.02**day,
            "1h": 0.1,
            "24h": 2.0,
            "7d": 100.0 * (1.02**7 - 1.0),
            "24h_volume": np.exp(logs.ravel()),
            "mkt_cap": 1e9 * 1.02**day * (coin + 1),
            "date": pd.Timestamp("2025-06-01") + pd.to_timedelta(day, unit="D"),
        }
    )


def test_on_a_random_market_every_candidate_is_rejected(trained_home, tmp_path):
    settings = make_settings(home_dir=tmp_path / "home", cv__n_splits=2)
    shutil.copytree(trained_home.path / "models", settings.models_dir, symlinks=True)
    write_snapshots(unforecastable(60, calm=40), settings.raw_dir)
    runner, store = Runner(settings), open_model_store(settings)
    before, lines = store.current_version(), len(store.ledger.entries())
    runner.register_files()
    runner.refresh(runner.plan().ranges)
    runner.train()
    refusals = store.ledger.entries()[lines:]
    assert {(line["event"], line["candidate"]) for line in refusals} == {("refusal", name) for name in CANDIDATES}
    for line in refusals:
        assert re.match(rf"{line['candidate']}: skill -\d+\.\d+ in fold 2 \(all rows\), not above 0", line["reason"])
        assert line["current"] == before
    assert store.load().version == before
    (run,) = runner.instance.get_runs(dg.RunsFilter(job_name="train"))
    events = [entry.get_dagster_event() for entry in runner.instance.all_logs(run.run_id) if entry.is_dagster_event]
    checks = [
        event.asset_check_evaluation_data for event in events if event.event_type_value == "ASSET_CHECK_EVALUATION"
    ]
    (found,) = [check for check in checks if check.check_name == "skill_above_zero"]
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.ERROR)


def test_a_new_signing_key_replaces_unsigned_models(home):
    signed = home.model_copy(update={"signing_key": SecretStr("new")})
    old = open_model_store(signed).current_version()
    assert is_training_due(signed, TableStore(signed), provisional_too=False)
    messages: list[tuple[int, str]] = []
    runner = Runner(signed, on_message=lambda message, level: messages.append((level, message)))
    # Unsigned candidates are not considered for promotion.
    with pytest.raises(RunFailedError, match=r"not signed with CRYPTOLIQ_SIGNING_KEY.*run `cryptoliq train` again"):
        runner.run("train", assets=[dg.AssetKey("champion")])
    runner.train()
    (warning,) = [
        message for level, message in messages if level >= logging.WARNING and "no stored model loads" in message
    ]
    assert f"{old}: not signed with CRYPTOLIQ_SIGNING_KEY" in warning
    loaded, reasons = open_model_store(signed).load_latest_valid()
    assert (loaded.version != old, reasons) == (True, [])


def test_a_tampered_candidate_fails_the_run(home):
    before = open_model_store(home).current_version()
    path = home.models_dir / "candidates" / "random_forest.npz"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RunFailedError, match=r"candidate random_forest is rejected: .*run `cryptoliq train` again"):
        Runner(home).run("train", assets=[dg.AssetKey("champion")])
    assert open_model_store(home).current_version() == before
