"""`cryptoliq models …`, the rollback job, and forecasts when the current model is broken."""

import datetime as dt
import json
import threading
import time
from pathlib import Path

import dagster as dg
import pytest

from cryptoliq_assets.cli.commands.status import read_status
from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.core.home import prepare_home
from cryptoliq_assets.forecasting.pending import is_training_due, month_to_forecast
from cryptoliq_assets.modeling.inference import load_champion
from cryptoliq_assets.modeling.registry.model_registry import open_model_store
from cryptoliq_assets.modeling.registry.serialization import ModelRejectedError
from cryptoliq_assets.modeling.training import load_champion_status
from cryptoliq_assets.monitoring.alerting.dispatch import read_state, update_incidents
from cryptoliq_assets.orchestration.definitions import build_definitions
from cryptoliq_assets.orchestration.jobs import FORECAST_JOB
from cryptoliq_assets.orchestration.resources.run_lock import hold_run_lock
from cryptoliq_assets.orchestration.rollback_job import ROLLBACK_OP
from cryptoliq_assets.orchestration.run_findings import RunFindings, read_run_findings
from cryptoliq_assets.orchestration.runner import RunFailedError, Runner
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.command_line import run_in_process
from cryptoliq_assets_tests.support.settings import make_settings


@pytest.fixture
def home(trained_home, tmp_path) -> Settings:
    """Return settings of a data directory with two models, the second of which is current."""
    settings = make_settings(home_dir=trained_home.copy_to(tmp_path / "home"), cv__n_splits=2)
    store = open_model_store(settings)
    loaded = store.load()
    store.promote(loaded.model, loaded.metadata, reason="again", at=dt.datetime.now(dt.UTC))
    return settings


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, home: Settings):
    def run(*words: str) -> tuple[int, str]:
        result = run_in_process(capsys, monkeypatch, home.home_dir, "models", *words)
        return result.code, result.text

    return run


def versions(settings: Settings) -> tuple[str, str]:
    """Return the current version and the previous one."""
    newest, before = open_model_store(settings).versions()
    return newest, before


def test_list_shows_versions_and_the_audit_log(run, home):
    newest, before = versions(home)
    code, output = run("list")
    assert code == 0
    assert f"│ {newest} │ {open_model_store(home).model_version(newest)} │ yes │" in output
    assert f"│ {before} │ {open_model_store(home).model_version(before)} │ │" in output
    assert "Audit log, last 2 event(s)" in output
    assert f"promotion │ {newest} │ again" in output


def test_rollback_is_in_the_audit_log_and_in_the_ui(run, home):
    newest, before = versions(home)
    code, output = run("rollback")
    assert (code, open_model_store(home).current_version()) == (0, before)
    assert f"{newest} → {before}: recorded in" in output
    line = open_model_store(home).ledger.entries()[-1]
    assert (line["event"], line["version"], line["before"]) == ("rollback", before, newest)
    assert json.loads((home.models_dir / "metadata.json").read_text())["version"] == before
    assert "rollback" in run("list")[1]
    instance = Runner(home).instance
    (record,) = instance.get_run_records(dg.RunsFilter(job_name="rollback"))
    assert record.dagster_run.status == dg.DagsterRunStatus.SUCCESS
    shown = instance.get_latest_materialization_event(dg.AssetKey("champion")).asset_materialization
    assert shown.metadata["version"].value == before


def test_rollback_can_go_to_a_newer_version(run, home):
    newest, before = versions(home)
    assert run("rollback", "--to", before)[0] == 0
    assert run("rollback", "--to", newest)[0] == 0
    assert open_model_store(home).current_version() == newest


def test_rollback_reason_is_in_the_audit_log(run, home):
    _, before = versions(home)
    assert run("rollback", "--reason", "forecasts drift")[0] == 0
    assert open_model_store(home).ledger.entries()[-1]["reason"] == "forecasts drift"
    assert f"rollback │ {before} │ forecasts drift" in run("list")[1]
    assert run("rollback", "--to", versions(home)[0], "--reason", "a slip")[0] == 0
    assert open_model_store(home).ledger.entries()[-1]["reason"] == "a slip"


@pytest.mark.parametrize("to", ["XGBoost_2020-01-01_v9", "../../etc/passwd"])
def test_rollback_to_an_unknown_version_changes_nothing(run, home, to):
    newest, _ = versions(home)
    code, output = run("rollback", "--to", to)
    assert code == 1
    assert f"{newest} stays" in output
    assert to in output
    assert "Traceback" not in output
    assert open_model_store(home).current_version() == newest
    # An invalid request starts no run, so none fails.
    with dg.DagsterInstance.from_config(str(home.dagster_home)) as instance:
        assert instance.get_run_records(dg.RunsFilter(job_name="rollback")) == []


def test_invalid_rollback_in_the_ui_opens_no_incident(home):
    job = build_definitions(home).resolve_job_def("rollback")
    instance = Runner(home).instance

    def rolled_back(to: str) -> RunFindings:
        config = {"ops": {ROLLBACK_OP: {"config": {"to": to}}}}
        result = job.execute_in_process(instance=instance, run_config=config, raise_on_error=False)
        assert result.success == (to in versions(home))
        result = read_run_findings(instance, jobs=["rollback"], checks=[], state=read_state(home))
        update_incidents(home, [], dt.datetime.now(dt.UTC), run_findings=result.findings)
        return result

    assert rolled_back("nope").findings == []
    assert read_state(home).open == []
    # A rejected run does not hide the state before it: the last executed run counts.
    (succeeded,) = rolled_back(versions(home)[1]).findings
    assert succeeded.level == "ok"
    assert rolled_back("nope").findings == []
    assert read_state(home).run_findings[succeeded.key] == succeeded


def test_rollback_to_the_current_version_is_rejected(run, home):
    newest, _ = versions(home)
    assert run("rollback", "--to", newest)[1].count("is the current model already") == 1


def test_version_without_a_card_shows_no_other_card(run, home):
    assert (home.reports_dir / "model_card.html").exists()
    newest, before = versions(home)
    run("rollback")
    assert before in (home.reports_dir / "model_card.html").read_text(encoding="utf-8")
    # `newest` was promoted without a training run: it has no card.
    run("rollback", "--to", newest)
    assert not (home.reports_dir / "model_card.html").exists()


def test_rollback_waits_for_the_run_lock(home):
    released = []

    def hold() -> None:
        with hold_run_lock(home.lock_path, wait_seconds=0):
            locked.set()
            time.sleep(1.0)
            released.append(time.monotonic())

    locked = threading.Event()
    other = threading.Thread(target=hold)
    other.start()
    locked.wait()
    Runner(home).rollback(None)
    assert released
    assert time.monotonic() >= released[0]
    other.join()


def test_verify_names_the_reason_for_a_tampered_model(run, home):
    newest, before = versions(home)
    assert run("verify") == (0, f"loads {newest} (current) loads {before}")
    path = home.models_dir / f"{before}.pkl"
    path.write_bytes(path.read_bytes()[:-100])
    code, output = run("verify")
    assert code == 1
    assert f"loads {newest} (current) rejected {before}" in output
    assert "truncated, swapped or tampered with" in output


def test_lost_pointer_is_reported_and_repaired_by_a_rollback(run, home):
    newest, before = versions(home)
    (home.models_dir / "current.pkl").unlink()
    lost = f"current.pkl is missing: in the audit log {newest} is current"
    code, output = run("verify")
    assert code == 1
    assert lost in output
    assert f"`cryptoliq models rollback --to {newest}` rewrites the pointer" in output
    assert f"loads {newest} (current) loads {before}" in output
    assert lost in run("list")[1]
    state = read_status(home)
    assert state["champion"]["version"] == newest
    (step,) = [line for line in state["to_do"] if "current.pkl" in line]
    assert step.startswith(f"the pointer to the champion: {lost}")
    assert run("rollback", "--to", newest)[0] == 0
    assert run("verify") == (0, f"loads {newest} (current) loads {before}")
    assert open_model_store(home).ledger.entries()[-1]["reason"].startswith("the pointer is rewritten")


def test_lost_pointer_keeps_the_same_champion(home):
    newest, _ = versions(home)
    (home.models_dir / "current.pkl").unlink()
    champion = load_champion(home)
    (reason,) = champion.passed_over
    assert champion.version == newest
    assert reason.startswith("current.pkl is missing")
    assert not is_training_due(home, TableStore(home), provisional_too=True)


def test_missing_model_names_the_next_step(capsys, monkeypatch, tmp_path):
    prepare_home(make_settings(home_dir=tmp_path))
    for words in (["list"], ["verify"]):
        result = run_in_process(capsys, monkeypatch, tmp_path, "models", *words)
        assert result.code == 0
        assert "run `cryptoliq train`" in result.text


# A current model that does not load.


def break_current(settings: Settings, part: str) -> None:
    path = settings.models_dir / f"{open_model_store(settings).current_version()}.{part}"
    if part == "pkl":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.unlink()


@pytest.mark.parametrize("part", ["pkl", "json"])
def test_broken_model_is_replaced_by_the_previous_one(home, part):
    newest, before = versions(home)
    break_current(home, part)
    messages: list[str] = []
    runner = Runner(home, on_message=lambda message, level: messages.append(f"{level} {message}"))
    # The replacing model has already forecast that day, so nothing is due.
    assert month_to_forecast(home, TableStore(home)) is None
    runner.refresh([("2025-07", "2025-07")], job=FORECAST_JOB)
    (warning,) = [line for line in messages if line.startswith("30 ")]
    assert newest in warning
    assert f"{before} is used instead" in warning
    report = json.loads((home.reports_dir / "forecasts.json").read_text())
    assert report["model_version"] == open_model_store(home).model_version(before)
    event = runner.instance.get_latest_materialization_event(dg.AssetKey("forecasts"))
    (reason,) = event.asset_materialization.metadata["models_rejected"].value
    assert reason.startswith(newest)
    assert load_champion_status(home).metadata["version"] == before


def test_champion_without_metadata_makes_training_due(home):
    store = TableStore(home)
    assert not is_training_due(home, store, provisional_too=True)
    break_current(home, "json")
    assert is_training_due(home, store, provisional_too=False)


def test_forecast_without_a_valid_model_names_all_reasons(home):
    for path in home.models_dir.glob("*_v*.pkl"):
        path.write_bytes(b"")
    with pytest.raises(ModelRejectedError) as error:
        load_champion(home)
    assert error.value.reason.count("truncated, swapped or tampered with") == 2
    with pytest.raises(RunFailedError, match="truncated, swapped or tampered with"):
        Runner(home).forecast()


def test_valid_current_model_is_loaded_without_reasons(home):
    champion = load_champion(home)
    assert (champion.version, champion.passed_over) == (versions(home)[0], ())
    assert load_champion(make_settings(home_dir=Path("/nonexistent-home"))) is None
