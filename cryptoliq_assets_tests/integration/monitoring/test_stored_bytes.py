"""`cryptoliq verify`: every damaged item is reported with its remedy, stored in a report, shown by status, and alerted."""

import datetime as dt
import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cryptoliq_assets.cli.commands.status import read_status
from cryptoliq_assets.cli.main import cli
from cryptoliq_assets.ingestion.landing.catalog import Catalog
from cryptoliq_assets.modeling.registry.model_registry import open_model_store
from cryptoliq_assets.monitoring.collect import collect_findings
from cryptoliq_assets.monitoring.data.stored_bytes import read_last_verification, verify_home
from cryptoliq_assets.monitoring.findings import FAIL, OK
from cryptoliq_assets_tests.support.markets import Home
from cryptoliq_assets_tests.support.settings import make_settings


@pytest.fixture
def home(trained_home, tmp_path: Path) -> Path:
    return trained_home.copy_to(tmp_path / "home")


def run(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["--home", str(home), *arguments])


def change(path: Path, place: int = 100) -> Path:
    content = path.read_bytes()
    path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
    return path


def damaged_item(home: Path, what: str) -> Path:
    settings = make_settings(home_dir=home)
    version = open_model_store(settings).current_version()
    paths = {
        "archive": settings.archive_dir / "coingecko_20250715.csv",
        "raw month": settings.data_dir / "ingested" / "2025-06.parquet",
        "cleaned month": settings.data_dir / "cleaned" / "2025-06.parquet",
        "forecasts": next(iter((settings.data_dir / "forecasts").glob("*.parquet"))),
        "artifact": settings.models_dir / f"{version}.pkl",
        "metadata": settings.models_dir / f"{version}.json",
        "ledger": settings.models_dir / "ledger.jsonl",
        "candidate": settings.models_dir / "candidates" / "xgboost.npz",
        "report": settings.reports_dir / "metrics.json",
        "backtest": settings.reports_dir / "backtest.parquet",
        "validation report": settings.validation_dir / "coingecko_20250715.csv.json",
    }
    path = paths[what]
    if path.suffix == ".json":
        path.write_text('{"a":' * 50_000)
        return path
    return change(path)


WHATS = ["archive", "raw month", "cleaned month", "forecasts", "artifact", "metadata", "ledger", "candidate"]
WHATS += ["report", "backtest", "validation report"]


def test_an_undamaged_home_passes_and_status_shows_the_time(home: Path) -> None:
    assert read_status(make_settings(home_dir=home))["verified"] == "never: `cryptoliq verify`"
    output = run(home, "verify", "--deep")
    assert output.exit_code == 0, output.output
    assert "0 damaged" in output.output
    report = json.loads((home / "reports" / "verify.json").read_text())
    assert {"catalogue", "archive", "table", "ledger", "pointer", "model", "candidate", "report"} == set(
        report["checked"]
    )
    assert report["checked"]["archive"] == 90
    assert "deeply, all valid" in read_status(make_settings(home_dir=home))["verified"]


def test_every_kind_of_damage_is_reported_with_its_remedy(home: Path) -> None:
    paths = [damaged_item(home, what) for what in WHATS]
    output = run(home, "verify")
    assert output.exit_code == 1, output.output
    assert "Traceback" not in output.output
    report = json.loads((home / "reports" / "verify.json").read_text())
    named = {each["path"]: each for each in report["damaged"]}
    for path in paths:
        own = path.with_suffix(".json") if path.suffix == ".npz" else path
        own = own.with_suffix(".pkl") if own.parent.name == "models" and own.suffix == ".json" else own
        assert str(own) in named, path
        assert named[str(own)]["remedy"], path
        assert str(own) in output.output, path
    settings = make_settings(home_dir=home)
    [finding] = [each for each in collect_findings(settings, dt.datetime.now(dt.UTC)) if each.kind == "data_damaged"]
    assert finding.level == FAIL
    assert "damaged: " in read_status(settings)["verified"]


def test_repair_recomputes_all_derived_files(home: Path) -> None:
    settings = make_settings(home_dir=home)
    tables = verify_home(settings).checked["table"]
    for what in ("archive", "raw month", "cleaned month"):
        damaged_item(home, what)
    settings.catalog_path.write_bytes(settings.catalog_path.read_bytes()[:3000])
    output = run(home, "verify", "--repair")
    assert output.exit_code == 0, output.output
    assert output.output.count("repaired ") == 4
    assert len(Catalog(settings.catalog_path).files(states=["accepted"])) == 90
    assert not (settings.data_dir / "cleaned" / "2025-06.parquet").exists()
    Home(settings, today=dt.date(2025, 7, 31)).bring_up_to_date()
    result = verify_home(settings)
    assert (result.damaged, result.checked["table"]) == ([], tables)
    [finding] = [each for each in collect_findings(settings, dt.datetime.now(dt.UTC)) if each.kind == "data_damaged"]
    assert finding.level == OK


def test_a_missing_home_is_wrong_usage_and_is_not_created(tmp_path: Path) -> None:
    output = run(tmp_path / "nowhere", "verify")
    assert output.exit_code == 2
    assert not (tmp_path / "nowhere").exists()


def test_pipes_instead_of_stored_files_are_reported(home: Path) -> None:
    settings = make_settings(home_dir=home)
    paths = [
        settings.archive_dir / "coingecko_20250715.csv",
        settings.data_dir / "cleaned" / "2025-06.parquet",
        settings.reports_dir / "metrics.json",
        settings.models_dir / f"{open_model_store(settings).current_version()}.pkl",
    ]
    for path in paths:
        path.unlink()
        os.mkfifo(path)
    output = run(home, "verify", "--deep")
    assert output.exit_code == 1
    for path in paths:
        assert str(path) in output.output
    assert run(home, "status").exit_code == 1


@pytest.mark.parametrize("what", ["pipe", "gone"])
def test_an_unreadable_ledger_is_one_item_among_the_others(home: Path, what: str) -> None:
    settings = make_settings(home_dir=home)
    path = settings.models_dir / "ledger.jsonl"
    path.unlink()
    if what == "pipe":
        os.mkfifo(path)
    archived = damaged_item(home, "archive")
    output = run(home, "verify")
    assert output.exit_code == 1, output.output
    assert f"damaged ledger {path}: {'a named pipe' if what == 'pipe' else 'it does not exist'}" in output.output
    assert f"damaged archive {archived}: " in output.output


def test_a_lost_pointer_is_reported_and_its_remedy_works(home: Path) -> None:
    pointer = make_settings(home_dir=home).models_dir / "current.pkl"
    pointer.unlink()
    [item] = verify_home(make_settings(home_dir=home)).damaged
    assert (item.kind, item.path) == ("pointer", str(pointer))
    command = item.remedy.split("`")[1].split()
    assert command[0] == "cryptoliq"
    open_model_store(make_settings(home_dir=home)).rollback(command[-1], at=dt.datetime.now(dt.UTC))
    assert verify_home(make_settings(home_dir=home)).damaged == []


@pytest.mark.parametrize("table", ["forecasts", "processed/labels.parquet"])
def test_a_damaged_month_fails_status_and_hides_nothing_else(home: Path, table: str) -> None:
    path = max((home / "data" / table).glob("*.parquet"))
    change(path, 200)
    (home / "reports" / "drift_report.json").write_text("[")
    output = run(home, "status")
    assert output.exit_code == 1, output.output
    assert f"{path} is damaged: sha256 of its data is " in output.output
    assert "champion" in output.output
    assert "drift_report.json cannot be read" in output.output


def test_a_damaged_verification_report_is_rewritten(home: Path) -> None:
    settings = make_settings(home_dir=home)
    for content in ("[", "[]", '{"made_at": 3}', '{"a":' * 50_000):
        (settings.reports_dir / "verify.json").write_text(content)
        assert "verify.json" in read_status(settings)["verified"]
    verify_home(settings)
    assert read_last_verification(settings)["damaged"] == []


def test_a_model_of_an_interrupted_promotion_is_not_damage(home: Path) -> None:
    models = make_settings(home_dir=home).models_dir
    version = open_model_store(make_settings(home_dir=home)).current_version()
    name, _, number = version.rpartition("_v")
    unfinished = f"{name}_v{int(number) + 1}"
    for suffix in ("pkl", "json"):
        content = (models / f"{version}.{suffix}").read_bytes()
        (models / f"{unfinished}.{suffix}").write_bytes(content.replace(version.encode(), unfinished.encode()))
    artifact = models / f"{unfinished}.pkl"
    artifact.write_bytes((models / f"{version}.pkl").read_bytes())
    assert verify_home(make_settings(home_dir=home)).damaged == []
    change(artifact)
    assert [item.path for item in verify_home(make_settings(home_dir=home)).damaged] == [str(artifact)]


@pytest.mark.parametrize("written", ["pkl", "json"])
def test_half_of_an_interrupted_promotion_is_not_damage(home: Path, written: str) -> None:
    settings = make_settings(home_dir=home)
    store = open_model_store(settings)
    name, _, number = store.current_version().rpartition("_v")
    current = settings.models_dir / f"{store.current_version()}.{written}"
    (settings.models_dir / f"{name}_v{int(number) + 1}.{written}").write_bytes(current.read_bytes())
    assert verify_home(settings).damaged == []
    assert [result.problem for result in store.verify()] == [None] * len(store.verify())
    # A damaged audit log may have recorded the promotion.
    with settings.models_dir.joinpath("ledger.jsonl").open("a") as ledger:
        ledger.write("{damaged\n")
    assert len(verify_home(settings).damaged) > 1
