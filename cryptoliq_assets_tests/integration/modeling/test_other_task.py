"""Another formula or horizon is another task: the old champion forecasts nothing until a new one is trained."""

import datetime as dt
import logging

import pytest

from cryptoliq_assets.cli.commands.status import read_status
from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.modeling.inference import load_champion
from cryptoliq_assets.modeling.registry.candidates import load_candidate
from cryptoliq_assets.modeling.registry.model_registry import open_model_store
from cryptoliq_assets.modeling.training import load_champion_status, rank_candidates
from cryptoliq_assets.modeling.training_data import training_rows
from cryptoliq_assets.orchestration.jobs import FORECAST_JOB
from cryptoliq_assets.orchestration.runner import RunFailedError, Runner
from cryptoliq_assets.storage.parquet_store import TableStore

NOW = dt.datetime(2025, 8, 1, tzinfo=dt.UTC)


def runner_of(settings: Settings) -> tuple[Runner, list[str]]:
    """Return a runner and the list of its warnings."""
    warnings: list[str] = []
    runner = Runner(
        settings, on_message=lambda message, level: warnings.append(message) if level >= logging.WARNING else None
    )
    return runner, warnings


def check_nothing_is_forecast(home: Settings, changed: Settings, required: str) -> tuple[Runner, list[str], str]:
    """Check refresh, forecast, status and service after a change of the task; return runner, warnings and the difference."""
    old = open_model_store(home).current_version()
    result = f"{old} forecasts kyle_obizhaeva 1 day(s) ahead, the settings require {required}"
    before = TableStore(home).read("forecasts")
    runner, warnings = runner_of(changed)
    runner.refresh(runner.plan().ranges)
    assert f"nothing is forecast: {result}" in " ".join(warnings)
    assert TableStore(home).read("forecasts").equals(before)
    with pytest.raises(RunFailedError, match=r"nothing is forecast: .* the settings require"):
        runner.require_champion()
    assert not runner.forecast()
    assert read_status(changed)["to_do"] == [
        f"the champion has another task: {result}",
        "there is no champion of this task: `cryptoliq train`",
    ]
    assert load_champion_status(changed).task_mismatch == result
    assert load_champion_status(home).task_mismatch is None
    # The service continues with the formula of its champion.
    assert load_champion(changed).metadata["formula"] == "kyle_obizhaeva"
    return runner, warnings, result


@pytest.mark.parametrize(
    ("other", "required"),
    [({"formula": "amihud"}, "amihud 1 day(s) ahead"), ({"horizon_days": 2}, "kyle_obizhaeva 2 day(s) ahead")],
)
def test_one_changed_setting_is_another_task(home, other, required):
    check_nothing_is_forecast(home, home.model_copy(update=other), required)


def test_after_a_task_change_nothing_is_forecast_until_training(home):
    changed = home.model_copy(update={"formula": "amihud", "horizon_days": 2})
    runner, warnings, result = check_nothing_is_forecast(home, changed, "amihud 2 day(s) ahead")
    runner.train()
    assert any(result in warning for warning in warnings if "a first champion for another task" in warning)
    line = open_model_store(changed).ledger.entries()[-1]
    assert line["event"] == "promotion"
    assert f"the first champion; not compared, because the task differs: {result}" in line["reason"]
    assert runner.forecast()
    assert load_champion(changed).horizon_days == changed.horizon_days
    assert read_status(changed)["to_do"] == []


def test_a_champion_is_never_fed_features_of_another_formula(home):
    changed = home.model_copy(update={"formula": "amihud"})
    runner, _ = runner_of(changed)
    runner.refresh(runner.plan().ranges)
    before = TableStore(home).read("forecasts")
    # The settings are unchanged, but the tables are not.
    back, warnings = runner_of(home)
    back.refresh([("2025-07", "2025-07")], job=FORECAST_JOB)
    (warning,) = warnings
    assert "nothing is forecast: engineered_features of 2025-07 are of another formula" in warning
    assert TableStore(home).read("forecasts").equals(before)
    with pytest.raises(RunFailedError, match="of another formula"):
        back.require_champion()


def test_labels_of_another_horizon_are_not_trained_on(home):
    changed = home.model_copy(update={"horizon_days": 3})
    with pytest.raises(ValueError, match=r"labels are 1 day\(s\) ahead, CRYPTOLIQ_HORIZON_DAYS is 3: `cryptoliq mat"):
        training_rows(changed, TableStore(changed))


def test_a_retired_spec_of_another_task_is_not_refitted(home):
    store = open_model_store(home)
    loaded = store.load()
    retired = loaded.metadata["recipe"] | {"half_life_days": 3.0}
    store.promote(loaded.model, {**loaded.metadata, "recipe": retired, "horizon_days": 2}, reason="test", at=NOW)
    candidates = [load_candidate(home.models_dir / "candidates", "linear_regression")]
    board = rank_candidates(candidates, home, store=TableStore(home), progress=lambda line: None)
    assert [entry["name"] for entry in board["candidates"]] == ["linear_regression"]
    assert set(board["coins"]) == {"all", "known_cap"}
    assert len(board["coins"]["all"]) == len(board["folds"]) == 2
    assert all(0 < known <= every <= 30 for every, known in zip(*board["coins"].values(), strict=True))
