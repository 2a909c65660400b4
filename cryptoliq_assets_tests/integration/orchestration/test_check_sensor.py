"""Sensor of failed checks on a real instance: incidents, their resolution, and checks that restate an alert."""

import dagster as dg

from cryptoliq_assets.monitoring.findings import ALERT_KINDS
from cryptoliq_assets.orchestration.checks import RESTATES
from cryptoliq_assets.orchestration.definitions import build_definitions
from cryptoliq_assets.orchestration.run_findings import watched_checks
from cryptoliq_assets_tests.support.monitored_home import MonitoredHome, make_evaluation


def test_a_run_stopped_by_a_check_is_reported_as_that_check(monitored):
    @dg.asset
    def labels():
        return 1

    @dg.asset_check(asset=labels, blocking=True, name="schema")
    def schema():
        return dg.AssetCheckResult(passed=False, description="price: 3 rows below 0")

    definitions = dg.Definitions(
        assets=[labels], asset_checks=[schema], jobs=[dg.define_asset_job("refresh")], executor=dg.in_process_executor
    )
    monitored.tick("run_failures")
    result = definitions.resolve_job_def("refresh").execute_in_process(
        instance=monitored.instance, raise_on_error=False
    )
    assert not result.success
    for sensor in ("run_failures", "failed_checks", "watch"):
        monitored.tick(sensor)
    assert monitored.open_incidents() == ["validation_failed/labels.schema"]
    assert monitored.incident("validation_failed/labels.schema").what == "labels.schema failed: price: 3 rows below 0"


def test_a_failed_check_is_one_incident_with_its_reason(monitored):
    monitored.run(
        "refresh", evaluations=[make_evaluation("labels", "schema", passed=False)], months=("2025-07", "2025-07")
    )
    monitored.tick("failed_checks")
    assert monitored.open_incidents() == ["validation_failed/labels.schema"]
    incident = monitored.incident("validation_failed/labels.schema")
    assert incident.level == "fail"
    assert "labels.schema failed for 2025-07 to 2025-07" in incident.what
    assert "price: 3 rows below 0" in incident.what
    assert monitored.tick("failed_checks").skip_message == "no check was evaluated since the last tick"


def test_a_check_of_warning_severity_is_a_warning(monitored):
    found = make_evaluation("forecasts", "newest_snapshot_forecast", passed=False, severity=dg.AssetCheckSeverity.WARN)
    monitored.run("forecast", evaluations=[found])
    monitored.tick("failed_checks")
    assert monitored.incident("validation_failed/forecasts.newest_snapshot_forecast").level == "warn"


def test_only_a_pass_of_the_same_months_resolves_a_check(monitored):
    failed, passed = (make_evaluation("labels", "schema", passed=outcome) for outcome in (False, True))
    monitored.run("refresh", evaluations=[failed], months=("2023-01", "2024-06"))
    monitored.run("refresh", evaluations=[passed], months=("2024-07", "2025-07"))
    monitored.tick("failed_checks")
    assert monitored.open_incidents() == ["validation_failed/labels.schema"]
    for months in (("2023-01", "2023-12"), ("2024-01", "2024-12")):
        monitored.run("refresh", evaluations=[passed], months=months)
        monitored.tick("failed_checks")
        ok_count = monitored.incident("validation_failed/labels.schema").ok_looks
        assert ok_count == (1 if months[1] == "2024-12" else 0)


def test_any_pass_resolves_a_check_of_the_newest_snapshot(monitored):
    failed, passed = (
        make_evaluation("forecasts", "newest_snapshot_forecast", passed=outcome) for outcome in (False, True)
    )
    monitored.run("refresh", evaluations=[failed], months=("2025-01", "2025-07"))
    monitored.tick("failed_checks")
    monitored.run("forecast", evaluations=[passed], months=("2025-07", "2025-07"))
    monitored.tick("failed_checks")
    assert monitored.incident("validation_failed/forecasts.newest_snapshot_forecast").ok_looks == 1


def test_a_check_that_was_never_evaluated_hides_no_other(monitored):
    @dg.asset
    def labels(context):
        if context.run.tags.get("breaks"):
            raise ValueError("disk full")

    @dg.asset_check(asset=labels, name="schema")
    def schema():
        return dg.AssetCheckResult(passed=False, description="price: 3 rows below 0")

    definitions = dg.Definitions(
        assets=[labels], asset_checks=[schema], jobs=[dg.define_asset_job("refresh")], executor=dg.in_process_executor
    )
    job = definitions.resolve_job_def("refresh")
    job.execute_in_process(instance=monitored.instance, raise_on_error=False, tags={"breaks": "yes"})
    monitored.tick("failed_checks")
    assert monitored.open_incidents() == []
    job.execute_in_process(instance=monitored.instance)
    monitored.tick("failed_checks")
    assert monitored.open_incidents() == ["validation_failed/labels.schema"]
    job.execute_in_process(instance=monitored.instance, raise_on_error=False, tags={"breaks": "yes"})
    monitored.tick("failed_checks")
    assert monitored.incident("validation_failed/labels.schema").ok_looks == 0


def test_all_failures_between_two_ticks_are_read(monitored):
    for passed in (False, True):
        for check in ("schema", "target_date_exact"):
            monitored.run("refresh", evaluations=[make_evaluation("labels", check, passed=passed)])
    monitored.run("refresh", evaluations=[make_evaluation("labels", "schema", passed=False)])
    monitored.tick("failed_checks")
    assert monitored.open_incidents() == ["validation_failed/labels.schema"]


def test_checks_that_restate_an_alert_raise_none(monitored, tmp_path):
    restated = [
        make_evaluation("raw_snapshots", name, passed=False) for name in ("rows_against_median", "against_previous")
    ]
    monitored.run("refresh", evaluations=restated)
    monitored.tick("failed_checks")
    assert monitored.open_incidents() == []


def test_watched_checks_restate_no_alert(monitored):
    names = {f"{key.asset_key.to_user_string()}.{key.name}" for key in watched_keys(monitored)}
    assert {"labels.schema", "raw_snapshots.no_duplicates", "leaderboard.no_look_ahead"} <= names
    restating = {
        spec.name: spec.metadata[RESTATES]
        for checks in build_definitions(monitored.settings).asset_checks
        for spec in checks.check_specs
        if spec.metadata.get(RESTATES)
    }
    assert {"against_previous", "rows_against_median", "unit_consistent", "unit_found", "data_age"} <= set(restating)
    assert {kind for kinds in restating.values() for kind in kinds} <= set(ALERT_KINDS)
    assert not {name.split(".")[1] for name in names} & set(restating)


def watched_keys(monitored: MonitoredHome) -> list[dg.AssetCheckKey]:
    definitions = build_definitions(monitored.settings)
    return watched_checks(definitions.assets, definitions.asset_checks)
