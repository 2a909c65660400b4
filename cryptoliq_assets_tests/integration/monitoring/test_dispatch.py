"""Delivery of alerts to a real SMTP server and a real HTTP receiver: failures, delays, retries and restarts."""

import datetime as dt
import json
import threading

import pytest
from filelock import FileLock
from hypothesis import given, settings as of_property, strategies as st

from cryptoliq_assets.cli.commands.monitoring import build_alert_list
from cryptoliq_assets.monitoring.alerting.channels import Channel, DeliveryError, Message, read_channels
from cryptoliq_assets.monitoring.alerting.dispatch import read_state, send_pending, update_incidents
from cryptoliq_assets.monitoring.alerting.incident_actions import silence_kind
from cryptoliq_assets.monitoring.findings import FAIL, OK, Finding
from cryptoliq_assets_tests.support.alerts import all_text_below, app_log, make_alert_settings
from cryptoliq_assets_tests.support.damaged_json import damaged
from cryptoliq_assets_tests.support.markets import quick_folder
from cryptoliq_assets_tests.support.settings import make_settings

NOON = dt.datetime(2025, 8, 1, 12, tzinfo=dt.UTC)
MINUTE, DAY = dt.timedelta(minutes=1), dt.timedelta(days=1)
STALE = Finding("data_stale", FAIL, "raw_snapshots", "the newest snapshot is 4.5 days old", "2025-07-28")
SKILL = Finding("skill_lost", FAIL, "champion", "skill -0.1")
RESOLVED = Finding("data_stale", OK, "raw_snapshots", "the newest snapshot is 1.0 days old")
TITLE = "cryptoliq: FAIL: Data is stale: raw_snapshots"


def test_an_incident_reaches_every_channel_once_with_all_facts(http, mail, tmp_path):
    box, url = mail
    settings = make_alert_settings(tmp_path, http.url, url)
    for minutes in range(5):
        run = update_incidents(settings, [STALE], NOON + minutes * MINUTE)
        assert (len(run.open), run.undelivered) == (1, {})
    assert http.titles == [TITLE]
    assert [mail["Subject"] for mail in box.mails] == [TITLE]
    (body,) = http.bodies
    assert body["type"] == "failure"
    assert body["message"].splitlines() == [
        "the newest snapshot is 4.5 days old",
        "where: raw_snapshots",
        "since: 2025-07-28",
        f"what to do: {STALE.remedy}",
        f"ID: {STALE.id} (`cryptoliq alerts close {STALE.id}` closes the incident)",
        f"home: {settings.home_dir}",
    ]


def test_a_recovery_is_notified_once_the_incident_is_resolved(http, tmp_path):
    settings = make_alert_settings(tmp_path, http.url)
    for minutes, finding in ((0, STALE), (1, RESOLVED), (4, RESOLVED), (7, RESOLVED), (20, RESOLVED)):
        run = update_incidents(settings, [finding], NOON + minutes * MINUTE)
    assert run.open == []
    assert http.titles == [TITLE, "cryptoliq: OK again: Data is stale: raw_snapshots"]
    assert http.bodies[1]["type"] == "success"


def test_a_failing_channel_is_logged_and_retried_later(http, mail, tmp_path):
    box, url = mail
    settings = make_alert_settings(tmp_path, http.url, url)
    http.status = 503
    failing = read_channels(settings)[0].name
    run = update_incidents(settings, [STALE], NOON)
    assert list(run.undelivered) == [failing]
    assert "503" in run.undelivered[failing]
    assert len(box.mails) == 1
    (line,) = app_log(settings)
    fields = {name: line[name] for name in ("event", "channel", "title", "attempts")}
    assert fields == {"event": "alert_not_delivered", "channel": failing, "title": TITLE, "attempts": 1}
    http.status = 200
    # No retry before its time; then one.
    assert update_incidents(settings, [STALE], NOON + dt.timedelta(seconds=10)).undelivered == {}
    assert http.bodies == []
    for minutes in (1, 2, 3):
        update_incidents(settings, [STALE], NOON + minutes * MINUTE)
    assert http.titles == [TITLE]
    assert len(box.mails) == 1
    assert read_state(settings).outbox == []


def test_retries_back_off_to_an_hour_and_end_after_two_days(tmp_path):
    settings = make_alert_settings(tmp_path, "json://127.0.0.1:9/")
    attempts = []

    def fail(channel: Channel, message: Message) -> None:
        attempts.append(message.title)
        raise DeliveryError("unreachable")

    gaps, last, at = [], NOON, NOON
    update_incidents(settings, [STALE], NOON, send_with=fail)
    while at < NOON + dt.timedelta(hours=49):
        at += dt.timedelta(seconds=30)
        before = len(attempts)
        send_pending(settings, at, send_with=fail)
        if len(attempts) > before:
            gaps.append((at - last).total_seconds())
            last = at
    assert gaps[:9] == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert len(attempts) < 60
    assert read_state(settings).outbox == []
    assert app_log(settings)[-1]["event"] == "alert_given_up"


def test_messages_of_a_channel_arrive_in_order(http, tmp_path):
    settings = make_alert_settings(tmp_path, http.url)
    http.status = 500
    update_incidents(settings, [STALE], NOON)
    http.status = 200
    rejected = Finding("files_refused", FAIL, "files of 2025-08-01", "1 file(s) were refused")
    update_incidents(settings, [STALE, rejected], NOON + dt.timedelta(seconds=5))
    assert http.titles == []
    update_incidents(settings, [STALE, rejected], NOON + MINUTE)
    assert http.titles == [TITLE, "cryptoliq: FAIL: Files were rejected: files of 2025-08-01"]


class Killed(BaseException):
    """The process was killed."""


def test_messages_pending_at_a_crash_are_sent_exactly_once(http, tmp_path, monkeypatch):
    settings = make_alert_settings(tmp_path, http.url)

    def kill(*arguments: object, **options: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("cryptoliq_assets.monitoring.alerting.dispatch.send_within", kill)
        with pytest.raises(Killed):
            update_incidents(settings, [STALE], NOON)
    assert http.titles == []
    # Stored before sending: the next process sends it although the fault is resolved.
    update_incidents(settings, [RESOLVED], NOON + MINUTE)
    assert http.titles == [TITLE]
    for minutes in (2, 3):
        update_incidents(make_settings(**settings.model_dump()), [STALE], NOON + minutes * MINUTE)
    assert http.titles == [TITLE]


def test_two_processes_at_once_send_nothing_twice(http, tmp_path):
    settings = make_alert_settings(tmp_path, http.url)
    threads = [threading.Thread(target=update_incidents, args=(settings, [STALE], NOON)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    update_incidents(settings, [STALE], NOON + MINUTE)
    assert http.titles == [TITLE]


def test_an_alert_run_does_not_wait_for_another_that_delivers(http, tmp_path):
    settings = make_alert_settings(tmp_path, http.url)
    settings.dagster_home.mkdir(parents=True)
    with FileLock(settings.dagster_home / "alerts.lock"):
        assert update_incidents(settings, [STALE], NOON).undelivered == {}
    assert http.titles == []
    assert len(read_state(settings).outbox) == 1


def test_without_channels_incidents_are_stored_and_none_is_sent(tmp_path):
    settings = make_alert_settings(tmp_path)
    update_incidents(settings, [STALE], NOON)
    state = read_state(settings)
    assert [incident.key for incident in state.open] == ["data_stale/raw_snapshots"]
    assert (state.outbox, [notice["event"] for notice in state.notices]) == ([], ["opened"])


def test_messages_of_a_removed_channel_are_discarded(http, tmp_path):
    http.status = 500
    update_incidents(make_alert_settings(tmp_path, http.url), [STALE], NOON)
    settings = make_alert_settings(tmp_path)
    update_incidents(settings, [STALE], NOON + MINUTE)
    assert read_state(settings).outbox == []
    assert app_log(settings)[-1]["event"] == "alert_given_up"


def test_no_file_of_the_home_contains_a_channel_secret(http, mail, tmp_path):
    http.status = 500
    settings = make_alert_settings(tmp_path, http.url, mail[1], "slack://hushtokenA/hushtokenB/hushtokenC", "hushhush")
    run = update_incidents(settings, [STALE], NOON)
    assert len(run.undelivered) >= 2
    text = all_text_below(settings.home_dir)
    assert "alert_not_delivered" in text
    assert "hush" not in text.lower()
    assert "tokentoken" not in text


def test_a_damaged_state_is_reset_and_logged(tmp_path):
    settings = make_alert_settings(tmp_path)
    settings.reports_dir.mkdir(parents=True)
    for content in ("{", "[]", '{"looked_at": null}', '{"incidents": 3}'):
        settings.incidents_path.write_text(content, encoding="utf-8")
        assert "incidents.json cannot be read" in read_state(settings).read_error
        assert len(update_incidents(settings, [STALE], NOON).open) == 1
        assert read_state(settings).read_error is None
    assert [line["event"] for line in app_log(settings)] == ["alerts_state_lost"] * 4


@of_property(max_examples=40)
@given(data=st.data())
def test_alerts_are_raised_with_any_content_of_the_stored_state(data):
    with quick_folder() as folder:
        settings = make_settings(home_dir=folder / "home", alerts__urls="nosuch://x")
        silence_kind(settings, "days_missing", NOON, hours=90_000, by="anna")
        checks = {"labels.schema": {"id": 3, "waits": [4], "failing": ["2025-07"]}}
        update_incidents(settings, [STALE], NOON, run_findings=[SKILL], checks=checks)
        state = json.loads(settings.incidents_path.read_text(encoding="utf-8"))
        settings.incidents_path.write_text(json.dumps(data.draw(damaged(state))), encoding="utf-8")
        run = update_incidents(settings, [STALE], NOON + 2 * DAY)
        assert STALE.key in {incident.key for incident in run.open}
        json.dumps(build_alert_list(read_state(settings)))


def test_a_recorded_finding_counts_until_it_is_replaced(tmp_path):
    settings = make_alert_settings(tmp_path)
    failed = Finding("run_failed", FAIL, "train", "run 1 failed")
    update_incidents(settings, [], NOON, run_findings=[failed])
    assert read_state(settings).run_findings == {"run_failed/train": failed}
    assert len(update_incidents(settings, [RESOLVED], NOON + MINUTE).open) == 1
    done = Finding("run_failed", OK, "train", "run 2 succeeded")
    update_incidents(settings, [], NOON + 2 * MINUTE, run_findings=[done])
    # A finding read before a sensor recorded a newer one does not replace it.
    assert update_incidents(settings, [failed], NOON + 9 * MINUTE).open == []
