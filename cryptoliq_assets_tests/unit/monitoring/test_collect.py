"""Collection of findings: from reports, received files and recorded runs, without writing anything."""

import datetime as dt
from pathlib import Path

import pytest

from cryptoliq_assets.core.atomic_write import write_json
from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.ingestion.landing.catalog import DiscoveredFile
from cryptoliq_assets.monitoring.alerting.dispatch import update_incidents
from cryptoliq_assets.monitoring.collect import REPORTS, collect_findings
from cryptoliq_assets.monitoring.data.files import find_rejected_files, find_rejected_rows
from cryptoliq_assets.monitoring.findings import FAIL, OK, WARN, Finding
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.frames import raw_rows, received as received_rows
from cryptoliq_assets_tests.support.markets import Home, file_name, snapshot
from cryptoliq_assets_tests.support.settings import make_settings

NOON = dt.datetime(2025, 8, 1, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(home_dir=tmp_path / "home")


def by_key(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.key: finding for finding in findings}


# Reports


@pytest.mark.parametrize("name", REPORTS)
def test_the_findings_of_each_report_are_collected(settings, name):
    expected = [Finding("feature_drift", level, where, "PSI") for level, where in ((OK, "a"), (WARN, "b"))]
    write_json(settings.reports_dir / name, {"conditions": [finding.to_dict() for finding in expected]})
    collected = by_key(collect_findings(settings, NOON))
    assert [collected[finding.key] for finding in expected] == expected
    assert collected[f"report_broken/reports/{name}"].level == OK


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[1]",
        "{}",
        '{"conditions": 3}',
        '{"conditions": [{}]}',
        '{"conditions": [{"kind": "none such"}]}',
        '{"conditions": [{"kind": "market_move", "level": "ok", "where": 1, "what": "", "since": null, "figures": {}}]}',
        '{"conditions": [{"kind": "market_move", "level": "ok", "where": "", "what": "", "since": null, "figures": []}]}',
        "\xff",
    ],
)
def test_an_unreadable_report_is_a_failure_and_hides_no_other(settings, content):
    drift = Finding("skill_lost", FAIL, "champion", "skill -0.1")
    write_json(settings.reports_dir / "forecast_accuracy.json", {"conditions": [drift.to_dict()]})
    (settings.reports_dir / "drift_report.json").write_bytes(content.encode("latin-1"))
    collected = by_key(collect_findings(settings, NOON))
    assert collected["report_broken/reports/drift_report.json"].level == FAIL
    assert collected["skill_lost/champion"] == drift


def test_a_current_evaluation_replaces_that_of_an_older_report(settings):
    yesterday = Finding("data_stale", FAIL, "raw_snapshots", "9.5 days old")
    write_json(settings.reports_dir / "prediction_metrics.json", {"conditions": [yesterday.to_dict()]})
    collected = [finding for finding in collect_findings(settings, NOON) if finding.key == yesterday.key]
    assert [finding.level for finding in collected] == [OK]


def test_an_empty_data_directory_has_no_problem_and_stays_empty(settings):
    assert {finding.level for finding in collect_findings(settings, NOON)} <= {OK}
    assert not settings.home_dir.exists()


def test_recorded_run_and_check_findings_are_collected(settings):
    failed = Finding("run_failed", FAIL, "train", "run 1 failed")
    update_incidents(settings, [], NOON, run_findings=[failed])
    assert failed in collect_findings(settings, NOON + DAY)


def test_a_damaged_catalog_hides_no_missing_day(settings):
    store = TableStore(settings)
    rows = received_rows(raw_rows([{"coin": "A", "day": day} for day in (1, 2, 3, 7, 8)]))
    store.write("raw_snapshots", rows, ["2025-03"])
    settings.catalog_path.write_bytes(b"no database" * 1000)
    failed = {finding.key for finding in collect_findings(settings, NOON, store=store) if finding.level == FAIL}
    assert failed == {"data_damaged/stored bytes", "data_stale/raw_snapshots", "days_missing/raw_snapshots"}


# Files


class Received:
    """A catalog that a test fills directly."""

    def __init__(self, settings: Settings) -> None:
        self.home = Home.at(settings.home_dir)
        self.number = 0

    def file(self, name: str, *, at: dt.datetime, rejected: str | None = None) -> None:
        self.number += 1
        file = DiscoveredFile(name, f"{self.number:064d}", 10, self.number, frozenset([at.date()]))
        self.home.catalog.register([file], now=at)
        if rejected:
            self.home.catalog.set_status(rejected=[(self.number, rejected)])
        else:
            self.home.catalog.set_status(accepted=[(self.number, name, [at.date()])])


@pytest.fixture
def received(settings: Settings) -> Received:
    return Received(settings)


def rejected_files(settings: Settings, now: dt.datetime) -> dict[str, str]:
    return {finding.where: finding.level for finding in find_rejected_files(settings, now)}


def test_rejected_files_of_a_day_are_one_finding_with_reasons(settings, received):
    received.file("good.csv", at=NOON)
    for number in range(12):
        received.file(f"bad{number:02d}.csv", at=NOON, rejected="no column price")
    received.file("later.csv", at=NOON + DAY, rejected="empty")
    findings = {finding.where: finding for finding in find_rejected_files(settings, NOON + DAY)}
    assert findings["files of 2025-08-01"].level == WARN
    assert findings["files of 2025-08-01"].what.startswith(
        "12 file(s) were rejected: bad00.csv: no column price; bad01"
    )
    assert findings["files of 2025-08-01"].what.endswith("; and 2 more")
    # No file of that day was accepted.
    assert findings["files of 2025-08-02"].level == FAIL


def test_a_rejected_file_sent_again_and_accepted_is_ok(settings, received):
    received.file("a.csv", at=NOON, rejected="empty")
    received.file("b.csv", at=NOON, rejected="empty")
    received.file("a.csv", at=NOON + DAY)
    assert rejected_files(settings, NOON + DAY) == {"files of 2025-08-01": FAIL}
    received.file("b.csv", at=NOON + DAY)
    assert rejected_files(settings, NOON + DAY) == {"files of 2025-08-01": OK}


def test_an_earlier_accepted_file_does_not_resolve_a_rejection(settings, received):
    received.file("a.csv", at=NOON)
    received.file("a.csv", at=NOON + DAY, rejected="empty")
    assert rejected_files(settings, NOON + DAY) == {"files of 2025-08-02": FAIL}


def test_a_rejected_file_not_sent_again_expires_after_a_week(settings, received):
    received.file("a.csv", at=NOON, rejected="empty")
    assert rejected_files(settings, NOON + 7 * DAY) == {"files of 2025-08-01": FAIL}
    assert rejected_files(settings, NOON + 8 * DAY) == {"files of 2025-08-01": OK}


def test_rejected_rows_of_an_accepted_file_are_a_warning(settings):
    home = Home.at(settings.home_dir)
    day = dt.date(2022, 12, 30)
    lines = snapshot([day], missing=0, coins=[f"Coin {number}" for number in range(20)]).decode().splitlines()
    invalid = [
        line.replace(str(day), "yesterday") if number % 5 == 0 else line for number, line in enumerate(lines[1:])
    ]
    home.drop(file_name(day), "\n".join([lines[0], *invalid]).encode())
    home.look()
    home.intake.ingest(home.plan().months)
    (finding,) = find_rejected_rows(settings)
    rejected = sum("yesterday" in line for line in invalid)
    assert finding.level == WARN
    assert finding.what == f"rows were rejected: {file_name(day)}: {rejected} of {len(invalid)} rows"


def test_accepted_files_without_errors_are_reported_as_ok(settings):
    home = Home.at(settings.home_dir)
    home.drop(file_name(dt.date(2022, 12, 30)), snapshot([dt.date(2022, 12, 30)], missing=0))
    home.look()
    home.intake.ingest(home.plan().months)
    assert [finding.level for finding in find_rejected_rows(settings)] == [OK]
