"""Closed incidents and silenced kinds: later evaluations, and the log."""

import datetime as dt
import json
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.core.home import prepare_home
from cryptoliq_assets.ingestion.landing.catalog import Catalog, DiscoveredFile
from cryptoliq_assets.monitoring.alerting.dispatch import read_state, update_incidents
from cryptoliq_assets.monitoring.alerting.incident_actions import UnknownIncidentError, close_incident, silence_kind
from cryptoliq_assets.monitoring.alerting.incidents import Incident
from cryptoliq_assets.monitoring.alerting.transitions import advance_incidents, mark_closed
from cryptoliq_assets.monitoring.collect import collect_findings
from cryptoliq_assets.monitoring.findings import FAIL, OK, WARN, Finding
from cryptoliq_assets.serving.home_views import build_health_view
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.command_line import run_in_process
from cryptoliq_assets_tests.support.receivers import receiver
from cryptoliq_assets_tests.support.settings import make_settings

NOON = dt.datetime(2025, 8, 1, 12, tzinfo=dt.UTC)
MINUTE, HOUR, DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(hours=24)


def stale(level: str = FAIL, kind: str = "data_stale") -> Finding:
    return Finding(kind, level, "raw_snapshots", f"it is {level}")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return make_settings(home_dir=tmp_path / "home")


def evaluate(settings: Settings, minutes: float, *findings: Finding, **options) -> list[str]:
    """Evaluate the findings at a minute and return the events to be delivered."""
    notices = update_incidents(settings, findings, NOON + minutes * MINUTE, **options).notices
    return [notice.event for notice in notices if not notice.silenced]


def app_log(settings: Settings) -> list[dict]:
    return [json.loads(line) for line in (settings.logs_dir / "app.log").read_text(encoding="utf-8").splitlines()]


def test_a_closed_incident_that_still_fails_is_not_raised_again(settings):
    assert evaluate(settings, 0, stale()) == ["opened"]
    close_incident(settings, stale().id, NOON + MINUTE, by="anna", reason="the source is down until Monday")
    for minutes in (2, 10, 1441, 2900, 10_000):
        assert evaluate(settings, minutes, stale()) == []
    state = read_state(settings)
    assert state.open == []
    closed = state.closed["data_stale/raw_snapshots"]
    assert (closed.closed_by, closed.closed_reason, closed.level) == ("anna", "the source is down until Monday", FAIL)


def test_a_closed_incident_is_raised_only_if_it_grows_worse(settings):
    evaluate(settings, 0, stale(WARN))
    close_incident(settings, stale().key, NOON, by="anna")
    assert evaluate(settings, 10, stale(WARN)) == []
    assert evaluate(settings, 20, stale(FAIL)) == ["escalated"]
    assert [incident.id for incident in read_state(settings).open] == [stale().id]
    close_incident(settings, stale().id, NOON + HOUR, by="anna")
    assert evaluate(settings, 70, stale(WARN)) == evaluate(settings, 80, stale(FAIL)) == []


def test_a_closed_incident_that_recovered_is_raised_on_return(settings):
    evaluate(settings, 0, stale())
    close_incident(settings, stale().id, NOON, by="anna")
    assert evaluate(settings, 10, stale(OK)) == evaluate(settings, 20, stale(OK)) == []
    assert read_state(settings).closed == {}
    assert evaluate(settings, 30, stale()) == ["returned"]


def test_closing_a_failed_run_ends_it_and_the_next_is_raised(settings):
    failed = Finding("run_failed", FAIL, "train", "run 1 failed", figures={"run_id": "1"})
    evaluate(settings, 0, run_findings=[failed])
    close_incident(settings, failed.id, NOON, by="anna")
    state = read_state(settings)
    assert (state.open, state.closed, state.run_findings[failed.key].level) == ([], {}, OK)
    assert evaluate(settings, 10) == []
    next_failure = Finding("run_failed", FAIL, "train", "run 2 failed", figures={"run_id": "2"})
    assert evaluate(settings, 20, run_findings=[next_failure]) == ["returned"]


def test_closing_an_unknown_incident_lists_the_open_ones(settings):
    evaluate(settings, 0, stale())
    with pytest.raises(UnknownIncidentError, match=f"'abc'; open: {stale().id} \\(data_stale/raw_snapshots\\)"):
        close_incident(settings, "abc", NOON, by="anna")
    close_incident(settings, stale().id, NOON, by="anna")
    with pytest.raises(UnknownIncidentError, match="open: none"):
        close_incident(settings, stale().id, NOON, by="anna")


def test_each_action_is_logged_with_user_and_reason(settings):
    evaluate(settings, 0, stale())
    close_incident(settings, stale().id, NOON, by="anna", reason="known")
    silence_kind(settings, "days_missing", NOON, hours=2, by="ben", reason="holiday")
    closed, silenced = app_log(settings)
    assert {**closed, "at": None} == {
        "at": None,
        "event": "alert_closed",
        "id": stale().id,
        "incident": "data_stale/raw_snapshots",
        "by": "anna",
        "reason": "known",
    }
    assert (silenced["event"], silenced["kind"], silenced["by"]) == ("alerts_silenced", "days_missing", "ben")
    assert (silenced["until"], silenced["reason"]) == ("2025-08-01T14:00:00+00:00", "holiday")
    assert [notice["event"] for notice in read_state(settings).notices] == ["opened", "closed", "silenced"]


def test_a_silenced_kind_is_delivered_when_the_silence_ends(tmp_path):
    with receiver() as http:
        settings = make_settings(home_dir=tmp_path / "home", alerts__urls=http.url, alerts__send_timeout_seconds=5)
        silence_kind(settings, "data_stale", NOON, hours=2, by="anna")
        skill = Finding("skill_lost", FAIL, "champion", "skill -0.1")
        evaluate(settings, 10, stale(), skill)
        assert http.titles == ["cryptoliq: FAIL: The champion lost its skill: champion"]
        assert [incident.kind for incident in read_state(settings).open] == ["data_stale", "skill_lost"]
        assert [notice["kind"] for notice in read_state(settings).notices][1:] == ["data_stale", "skill_lost"]
        evaluate(settings, 119, stale(), skill)
        assert len(http.bodies) == 1
        evaluate(settings, 121, stale(), skill)
        assert http.titles[1:] == ["cryptoliq: FAIL: Data is stale: raw_snapshots"]
        evaluate(settings, 130, stale(), skill)
        assert len(http.bodies) == 2


def test_events_that_ended_within_a_silence_are_not_delivered(settings):
    evaluate(settings, 0, stale())
    for kind in ("data_stale", "days_missing"):
        silence_kind(settings, kind, NOON, hours=1, by="anna")
    missing = "days_missing"
    assert evaluate(settings, 10, stale(OK), stale(kind=missing)) == []
    assert evaluate(settings, 20, stale(OK), stale(OK, missing)) == []
    assert evaluate(settings, 30, stale(OK), stale(OK, missing)) == []
    assert read_state(settings).open == []
    assert evaluate(settings, 61, stale(OK), stale(OK, missing)) == ["recovered"]
    assert evaluate(settings, 70, stale(OK), stale(OK, missing)) == []


def test_a_silence_of_no_hours_ends_one(settings):
    silence_kind(settings, "data_stale", NOON, hours=5, by="anna")
    assert evaluate(settings, 1, stale()) == []
    silence_kind(settings, "data_stale", NOON + 2 * MINUTE, hours=0, by="anna")
    assert evaluate(settings, 3, stale()) == ["opened"]
    assert read_state(settings).silenced(NOON + 3 * MINUTE) == {}


LEVELS = st.sampled_from([OK, WARN, FAIL, None])


@given(
    before=st.lists(LEVELS, max_size=6), after=st.lists(st.sampled_from([WARN, FAIL, None]), min_size=1, max_size=12)
)
def test_no_sequence_raises_a_closed_incident_without_a_cause(before, after):
    incidents, now = {}, NOON
    for level in [*before, FAIL]:
        incidents, _ = advance_incidents(incidents, [stale(level)] if level else [], now, repeat=DAY)
        now += HOUR
    incidents = {key: mark_closed(incident, now, by="anna", reason=None) for key, incident in incidents.items()}
    for level in after:
        incidents = {
            key: Incident.from_dict(json.loads(json.dumps(incident.to_dict()))) for key, incident in incidents.items()
        }
        incidents, notices = advance_incidents(incidents, [stale(level)] if level else [], now, repeat=DAY)
        assert notices == []
        now += HOUR


@given(levels=st.lists(LEVELS, min_size=1, max_size=20), start=st.integers(0, 19), length=st.integers(1, 19))
def test_nothing_of_a_silenced_kind_is_delivered_too_early(levels, start, length):
    incidents, notified = {}, False
    for position, level in enumerate([*levels, levels[-1], levels[-1]]):
        silent = start <= position < start + length and position < len(levels)
        silenced = ["data_stale"] if silent else []
        findings = [stale(level)] if level else []
        incidents, notices = advance_incidents(
            incidents, findings, NOON + position * HOUR, repeat=DAY, silenced=silenced
        )
        assert all(notice.silenced == silent for notice in notices)
        for notice in notices:
            if not notice.silenced:
                notified = notice.event != "recovered"
    assert notified == any(incident.open for incident in incidents.values())


# Command line and app


@pytest.fixture
def run(capsys, monkeypatch, settings):
    """Return a function that runs a command and returns its exit code and its output on one line."""
    prepare_home(settings)

    def run(*words: str) -> tuple[int, str]:
        result = run_in_process(capsys, monkeypatch, settings.home_dir, *words)
        return result.code, result.text

    return run


def test_the_commands_close_silence_and_show_incidents(run, settings, monkeypatch):
    monkeypatch.setenv("LOGNAME", "anna")
    now = dt.datetime.now(dt.UTC)
    for name in ("a.csv", "b.csv"):
        Catalog(settings.catalog_path).register(
            [DiscoveredFile(name, f"{ord(name[0]):064d}", 10, 1, frozenset([now.date()]))], now=now
        )
    Catalog(settings.catalog_path).set_status(rejected=[(1, "no column price"), (2, "no column price")])
    update_incidents(settings, collect_findings(settings, now), now)
    (incident,) = read_state(settings).open
    for words in (("status",), ("alerts", "list")):
        assert incident.id in run(*words)[1]
    assert run("alerts", "close", incident.id, "--reason", "a trial") == (
        0,
        f"closed {incident.id} Files were rejected: files of {now.date()}",
    )
    assert run("alerts", "silence", "days_missing", "--hours", "2")[0] == 0
    code, listed = run("alerts", "list")
    assert "no open incidents" in listed
    assert f"closed {incident.id} Files were rejected" in listed
    assert "closed by anna" in listed
    assert "(a trial)" in listed
    assert "silenced days_missing until" in listed
    code, result = run("status", "--json")
    status = json.loads(result)
    # A closed incident has not recovered.
    assert (code, status["level"], status["open_incidents"]) == (1, FAIL, [])
    assert status["closed_incidents"][0].startswith(f"{incident.id} files_refused/")
    assert status["silenced"][0].startswith("days_missing until")
    view = build_health_view(settings, TableStore(settings))
    assert [(closed["id"], closed["by"], closed["reason"]) for closed in view["closed"]] == [
        (incident.id, "anna", "a trial")
    ]
    assert [(silence["kind"], silence["by"]) for silence in view["silences"]] == [("days_missing", "anna")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("alerts", "close", "abc"), "no open incident has the ID 'abc'"),
        (("alerts", "silence", "nope", "--hours", "1"), "'nope' is not one of"),
        (("alerts", "silence", "data_stale", "--hours", "-1"), "-1.0 is not in the range"),
        (("alerts", "silence", "data_stale", "--hours", "nan"), "nan is not in the range"),
        (("alerts", "silence", "data_stale", "--hours", "inf"), "inf is not in the range"),
        (("alerts", "silence", "data_stale"), "Missing option '--hours'"),
    ],
)
def test_an_invalid_close_or_silence_is_a_usage_error(run, words, message):
    code, result = run(*words)
    assert code == 2
    assert message in result
