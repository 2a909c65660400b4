"""Audit log, incidents and prediction statistics in Postgres: shared by the machines of a market, and kept when one is lost."""

import datetime as dt
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from cryptoliq_assets.core import Settings
from cryptoliq_assets.core.database import Database, find_market, schema
from cryptoliq_assets.ingestion.landing import open_catalog
from cryptoliq_assets.modeling.registry import open_model_store
from cryptoliq_assets.modeling.registry.audit_log import Ledger
from cryptoliq_assets.monitoring.alerting.alert_state import delivery_turn, read_state
from cryptoliq_assets.monitoring.alerting.dispatch import update_incidents
from cryptoliq_assets.monitoring.alerting.incident_actions import UnknownIncidentError, close_incident
from cryptoliq_assets.monitoring.findings import FAIL, Finding
from cryptoliq_assets.monitoring.service.app_log import PREDICTION_REPORT
from cryptoliq_assets.monitoring.service.prediction_report import measure_predictions
from cryptoliq_assets_tests.support.markets import Home
from cryptoliq_assets_tests.support.postgres import Postgres
from cryptoliq_assets_tests.support.prediction_logs import TODAY, clear_caches, log_predictions, prediction_line
from cryptoliq_assets_tests.support.settings import make_settings

NOON = dt.datetime(2025, 8, 1, 12, tzinfo=dt.UTC)
STALE = Finding("data_stale", FAIL, "raw_snapshots", "the newest snapshot is 4.5 days old", "2025-07-28")


@pytest.fixture
def homes(join: Callable[[str], Home]) -> tuple[Settings, Settings]:
    """Two data directories of one market, with one folder of models."""
    a, b = join("a").settings, join("b").settings
    for settings in (a, b):
        open_catalog(settings)
    models = a.home_dir.parent / "models"
    models.mkdir()
    for settings in (a, b):
        settings.models_dir.symlink_to(models)
    return a, b


def change(settings: Settings, statement: str, **values: str) -> None:
    with Database(settings.postgres_url.get_secret_value()).transaction() as session:
        session.execute(statement, [values])


def entry(number: int) -> dict:
    return {"at": NOON.isoformat(), "event": "refusal", "reason": f"\u2028 {number}"}


def reasons(ledger: Ledger) -> list[int]:
    return [int(found["reason"].split()[-1]) for found in ledger.entries()]


def test_the_audit_log_of_a_file_is_continued_by_both(homes: tuple[Settings, Settings]) -> None:
    a, b = homes
    path = a.models_dir / "ledger.jsonl"
    Ledger(path).append(entry(0))
    assert reasons(open_model_store(a).ledger) == [0]
    for number, settings in enumerate((a, b, a), 1):
        open_model_store(settings).ledger.append(entry(number))
    assert reasons(open_model_store(b).ledger) == reasons(Ledger(path)) == [0, 1, 2, 3]
    # What is edited in the copy proves nothing.
    path.write_text(path.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    ledger = open_model_store(a).ledger
    assert (reasons(ledger), ledger.problem()) == ([0, 1, 2, 3], None)
    change(
        a, "UPDATE cryptoliq_ledger SET line = replace(line, ' 2', ' 7') WHERE number = 3 AND models <> :none", none=""
    )
    ledger = open_model_store(a).ledger
    assert reasons(ledger) == [0, 1, 3]
    assert "cryptoliq_ledger in the database of CRYPTOLIQ_POSTGRES_URL is damaged: line 3" in ledger.problem()


def test_homes_with_models_of_their_own_have_own_logs(join: Callable[[str], Home]) -> None:
    a, b = join("a").settings, join("b").settings
    for settings in (a, b):
        open_catalog(settings)
        open_model_store(settings).ledger.append(entry(1))
    assert reasons(open_model_store(a).ledger) == reasons(open_model_store(b).ledger) == [1]


def test_entries_of_two_machines_at_once_are_all_kept(homes: tuple[Settings, Settings]) -> None:
    start = threading.Barrier(2)

    def append(settings: Settings, first: int) -> None:
        start.wait()
        for number in range(first, first + 5):
            open_model_store(settings).ledger.append(entry(number))

    threads = [threading.Thread(target=append, args=each) for each in zip(homes, (0, 5), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(reasons(open_model_store(homes[0]).ledger)) == list(range(10))


def test_an_incident_is_open_on_all_machines_and_closed_once(homes: tuple[Settings, Settings]) -> None:
    a, b = homes
    update_incidents(a, [STALE], NOON)
    [incident] = read_state(b).open
    # The file is a copy, which the metrics of the service read.
    assert json.loads(a.incidents_path.read_text(encoding="utf-8"))["incidents"].keys() == {incident.key}
    close_incident(b, incident.id, NOON, by="someone")
    assert read_state(a).open == []
    with pytest.raises(UnknownIncidentError):
        close_incident(a, incident.id, NOON, by="another")
    with delivery_turn(a) as first, delivery_turn(b) as second:
        assert (first, second) == (True, False)
    with delivery_turn(b) as later:
        assert later


def test_incidents_of_before_and_damaged_ones(homes: tuple[Settings, Settings]) -> None:
    a, _ = homes
    update_incidents(make_settings(home_dir=a.home_dir), [STALE], NOON)
    assert [incident.key for incident in read_state(a).open] == [STALE.key]
    update_incidents(a, [STALE], NOON)
    a.incidents_path.unlink()
    assert [incident.key for incident in read_state(a).open] == [STALE.key]
    change(a, "UPDATE cryptoliq_documents SET content = :content", content="[")
    assert "the next evaluation starts a new one" in read_state(a).read_error


def test_statistics_outlive_their_files(homes: tuple[Settings, Settings]) -> None:
    a, b = homes
    log_predictions(a, prediction_line(TODAY), prediction_line(TODAY))
    clear_caches()
    measure_predictions(a, now=TODAY)
    log_predictions(a, prediction_line(TODAY))
    for path in (a.reports_dir / PREDICTION_REPORT, *Path(b.predictions_dir).glob("*")):
        path.unlink()
    clear_caches()
    # Only the new line is read.
    assert measure_predictions(a, now=TODAY).days["single"].tolist() == [3]
    for path in a.predictions_dir.iterdir():
        path.unlink()
    (a.reports_dir / PREDICTION_REPORT).unlink()
    clear_caches()
    assert measure_predictions(a, now=TODAY).days["single"].tolist() == [3]
    # Every machine has its own.
    assert measure_predictions(b, now=TODAY).days.empty
    clear_caches()


def test_a_database_of_the_first_schema_is_migrated(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings(home_dir=Path("/nowhere"), postgres_url=postgres.database())
    database = Database(settings.postgres_url.get_secret_value())
    with monkeypatch.context() as patch:
        patch.setattr(schema, "REVISIONS", schema.REVISIONS[:1])
        with database.transaction() as session:
            assert session.fetch("SELECT to_regclass('cryptoliq_ledger')") == [(None,)]
    monkeypatch.setattr(schema, "_current", set())
    assert find_market(settings) is None
    with database.transaction() as session:
        assert session.fetch("SELECT count(*) FROM cryptoliq_ledger") == [(0,)]
        assert session.fetch("SELECT version_num FROM cryptoliq_schema") == [(schema.REVISIONS[-1],)]
