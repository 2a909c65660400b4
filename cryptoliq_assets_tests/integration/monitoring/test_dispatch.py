"""Alerts on their way: a real SMTP server and a real HTTP receiver, failing, slow, and a restart in between."""

import datetime as dt
import json
import logging
import threading
from pathlib import Path

import pytest
from filelock import FileLock
from hypothesis import given, settings as of_property, strategies as st

from cryptoliq_assets.cli.commands.monitoring import build_alert_list
from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.monitoring.alerting.channels import (
    Channel,
    DeliveryError,
    Message,
    read_channels,
    send,
    send_within,
)
from cryptoliq_assets.monitoring.alerting.dispatch import read_state, send_pending, update_incidents
from cryptoliq_assets.monitoring.alerting.incident_actions import silence_kind
from cryptoliq_assets.monitoring.findings import FAIL, OK, Finding
from cryptoliq_assets_tests.support.damaged_json import damaged
from cryptoliq_assets_tests.support.markets import quick_folder
from cryptoliq_assets_tests.support.receivers import mailbox, receiver
from cryptoliq_assets_tests.support.settings import make_settings

NOON = dt.datetime(2025, 8, 1, 12, tzinfo=dt.UTC)
MINUTE, DAY = dt.timedelta(minutes=1), dt.timedelta(days=1)
STALE = Finding("data_stale", FAIL, "raw_snapshots", "the newest snapshot is 4.5 days old", "2025-07-28")
SKILL = Finding("skill_lost", FAIL, "champion", "skill -0.1")
WELL = Finding("data_stale", OK, "raw_snapshots", "the newest snapshot is 1.0 days old")
TITLE = "cryptoliq: FAIL: Data is stale: raw_snapshots"


@pytest.fixture
def mail():
    with mailbox() as made:
        yield made


@pytest.fixture
def http():
    with receiver() as made:
        yield made


def home(tmp_path: Path, *urls: str, **said: object) -> Settings:
    return make_settings(
        home_dir=tmp_path / "home", alerts__urls=" ".join(urls) or None, alerts__send_timeout_seconds=5, **said
    )


def app_log(settings: Settings) -> list[dict]:
    path = settings.logs_dir / "app.log"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def all_text_below(folder: Path) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.is_file())


# Channels.


def test_channels_are_separated_by_spaces_or_commas():
    one, other = "mailto://a:b@example.org?to=x@example.org,y@example.org", "json://example.org/hook"
    for text in (f"{one} {other}", f"{one},{other}", f"  {one} ,\n {other},", f"{one} {other} {one}"):
        channels = read_channels(make_settings(alerts__urls=text))
        assert [channel.url.get_secret_value() for channel in channels] == [one, other]
        assert [channel.name.split("-")[0] for channel in channels] == ["mailto", "json"]
    assert read_channels(Settings()) == read_channels(make_settings(alerts__urls="")) == []


def test_no_representation_shows_the_url_of_a_channel():
    settings = make_settings(alerts__urls="slack://hushtokenA/hushtokenB/hushtokenC")
    shown = f"{settings!r} {read_channels(settings)!r} {settings.public_values()}"
    assert "hush" not in shown


def test_a_mail_arrives_with_its_subject_and_text(mail, tmp_path):
    box, url = mail
    (channel,) = read_channels(home(tmp_path, url))
    send(channel, Message("FAIL: é", "what: ü\nwhat to do: look", "fail"))
    (got,) = box.mails
    assert got["Subject"] == "FAIL: é"
    assert got["To"] == "person@example.org"
    assert "what: ü" in got.get_body(preferencelist=("plain", "html")).get_content()


@pytest.mark.parametrize(("status", "result"), [(500, "500"), (401, "401"), (404, "404")])
def test_an_error_of_the_receiver_is_reported_without_secrets(http, tmp_path, status, result):
    http.status = status
    (channel,) = read_channels(home(tmp_path, http.url))
    with pytest.raises(DeliveryError, match=result) as failed:
        send(channel, Message("t", "b", "fail"))
    assert "hush" not in str(failed.value)
    assert "token" not in str(failed.value)


def test_a_mail_server_that_rejects_mails_is_a_failure(mail, tmp_path):
    box, url = mail
    box.refuses = True
    (channel,) = read_channels(home(tmp_path, url))
    with pytest.raises(DeliveryError):
        send(channel, Message("t", "b", "fail"))


@pytest.mark.parametrize("url", ["nonsense://hushhush", "hushhush", "json://"])
def test_an_unsupported_url_is_a_failure_that_names_the_setting(tmp_path, url):
    (channel,) = read_channels(home(tmp_path, url))
    with pytest.raises(DeliveryError, match="CRYPTOLIQ_ALERTS__URLS") as failed:
        send(channel, Message("t", "b", "ok"))
    assert "hush" not in str(failed.value)


def test_log_messages_of_apprise_reach_no_other_log(tmp_path):
    records = []
    everything = logging.Handler(level=logging.DEBUG)
    everything.emit = records.append
    (channel,) = read_channels(home(tmp_path, "json://user:hushpassword@127.0.0.1:9/tokentoken"))
    logging.getLogger().addHandler(everything)
    try:
        with pytest.raises(DeliveryError):
            send(channel, Message("t", "b", "fail"))
    finally:
        logging.getLogger().removeHandler(everything)
    assert [record for record in records if record.name == "apprise"] == []


def test_a_slow_channel_times_out_and_delays_no_other(http, mail, tmp_path):
    box, url = mail
    http.hold.clear()
    slow, quick = read_channels(home(tmp_path, http.url, url))
    outcomes = send_within(1.5, {slow: Message("t", "b", "fail"), quick: Message("t", "b", "fail")})
    assert outcomes == {slow.name: "no answer within 1.5 s (CRYPTOLIQ_ALERTS__SEND_TIMEOUT_SECONDS)", quick.name: None}
    assert len(box.mails) == 1


# Alarms.


def test_an_incident_reaches_every_channel_once_with_all_facts(http, mail, tmp_path):
    box, url = mail
    settings = home(tmp_path, http.url, url)
    for minutes in range(5):
        look = update_incidents(settings, [STALE], NOON + minutes * MINUTE)
        assert (len(look.open), look.undelivered) == (1, {})
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
    settings = home(tmp_path, http.url)
    for minutes, finding in ((0, STALE), (1, WELL), (4, WELL), (7, WELL), (20, WELL)):
        look = update_incidents(settings, [finding], NOON + minutes * MINUTE)
    assert look.open == []
    assert http.titles == [TITLE, "cryptoliq: OK again: Data is stale: raw_snapshots"]
    assert http.bodies[1]["type"] == "success"


def test_a_failing_channel_is_logged_and_retried_later(http, mail, tmp_path):
    box, url = mail
    settings = home(tmp_path, http.url, url)
    http.status = 503
    failing = read_channels(settings)[0].name
    look = update_incidents(settings, [STALE], NOON)
    assert list(look.undelivered) == [failing]
    assert "503" in look.undelivered[failing]
    assert len(box.mails) == 1
    (line,) = app_log(settings)
    result = {name: line[name] for name in ("event", "channel", "title", "attempts")}
    assert result == {"event": "alert_not_delivered", "channel": failing, "title": TITLE, "attempts": 1}
    http.status = 200
    # Not before its time; then once.
    assert update_incidents(settings, [STALE], NOON + dt.timedelta(seconds=10)).undelivered == {}
    assert http.bodies == []
    for minutes in (1, 2, 3):
        update_incidents(settings, [STALE], NOON + minutes * MINUTE)
    assert http.titles == [TITLE]
    assert len(box.mails) == 1
    assert read_state(settings).outbox == []


def test_retries_back_off_to_an_hour_and_end_after_two_days(tmp_path):
    settings = home(tmp_path, "json://127.0.0.1:9/")
    tried = []

    def refuse(channel: Channel, message: Message) -> None:
        tried.append(message.title)
        raise DeliveryError("nobody there")

    gaps, last, at = [], NOON, NOON
    update_incidents(settings, [STALE], NOON, send_with=refuse)
    while at < NOON + dt.timedelta(hours=49):
        at += dt.timedelta(seconds=30)
        before = len(tried)
        send_pending(settings, at, send_with=refuse)
        if len(tried) > before:
            gaps.append((at - last).total_seconds())
            last = at
    assert gaps[:9] == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert len(tried) < 60
    assert read_state(settings).outbox == []
    assert app_log(settings)[-1]["event"] == "alert_given_up"


def test_messages_of_a_channel_arrive_in_order(http, tmp_path):
    settings = home(tmp_path, http.url)
    http.status = 500
    update_incidents(settings, [STALE], NOON)
    http.status = 200
    refused = Finding("files_refused", FAIL, "files of 2025-08-01", "1 file(s) were refused")
    update_incidents(settings, [STALE, refused], NOON + dt.timedelta(seconds=5))
    assert http.titles == []
    update_incidents(settings, [STALE, refused], NOON + MINUTE)
    assert http.titles == [TITLE, "cryptoliq: FAIL: Files were rejected: files of 2025-08-01"]


class Killed(BaseException):
    """The process is gone."""


def test_messages_pending_at_a_crash_are_sent_exactly_once(http, tmp_path, monkeypatch):
    settings = home(tmp_path, http.url)

    def dies(*result: object, **said: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("cryptoliq_assets.monitoring.alerting.dispatch.send_within", dies)
        with pytest.raises(Killed):
            update_incidents(settings, [STALE], NOON)
    assert http.titles == []
    # Durable before anything was sent: the next process knows of it, although the fault is over.
    update_incidents(settings, [WELL], NOON + MINUTE)
    assert http.titles == [TITLE]
    for minutes in (2, 3):
        update_incidents(make_settings(**settings.model_dump()), [STALE], NOON + minutes * MINUTE)
    assert http.titles == [TITLE]


def test_two_processes_at_once_send_nothing_twice(http, tmp_path):
    settings = home(tmp_path, http.url)
    threads = [threading.Thread(target=update_incidents, args=(settings, [STALE], NOON)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    update_incidents(settings, [STALE], NOON + MINUTE)
    assert http.titles == [TITLE]


def test_an_alert_run_does_not_wait_for_another_that_delivers(http, tmp_path):
    settings = home(tmp_path, http.url)
    settings.dagster_home.mkdir(parents=True)
    with FileLock(settings.dagster_home / "alerts.lock"):
        assert update_incidents(settings, [STALE], NOON).undelivered == {}
    assert http.titles == []
    assert len(read_state(settings).outbox) == 1


def test_without_channels_incidents_are_stored_and_none_is_sent(tmp_path):
    settings = home(tmp_path)
    update_incidents(settings, [STALE], NOON)
    state = read_state(settings)
    assert [incident.key for incident in state.open] == ["data_stale/raw_snapshots"]
    assert (state.outbox, [notice["event"] for notice in state.notices]) == ([], ["opened"])


def test_messages_of_a_removed_channel_are_discarded(http, tmp_path):
    http.status = 500
    update_incidents(home(tmp_path, http.url), [STALE], NOON)
    settings = home(tmp_path)
    update_incidents(settings, [STALE], NOON + MINUTE)
    assert read_state(settings).outbox == []
    assert app_log(settings)[-1]["event"] == "alert_given_up"


def test_no_file_of_the_home_contains_a_channel_secret(http, mail, tmp_path):
    http.status = 500
    settings = home(tmp_path, http.url, mail[1], "slack://hushtokenA/hushtokenB/hushtokenC", "hushhush")
    look = update_incidents(settings, [STALE], NOON)
    assert len(look.undelivered) >= 2
    text = all_text_below(settings.home_dir)
    assert "alert_not_delivered" in text
    assert "hush" not in text.lower()
    assert "tokentoken" not in text


def test_a_damaged_state_is_reset_and_logged(tmp_path):
    settings = home(tmp_path)
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
        look = update_incidents(settings, [STALE], NOON + 2 * DAY)
        assert STALE.key in {incident.key for incident in look.open}
        json.dumps(build_alert_list(read_state(settings)))


def test_a_recorded_finding_counts_until_it_is_replaced(tmp_path):
    settings = home(tmp_path)
    failed = Finding("run_failed", FAIL, "train", "run 1 failed")
    update_incidents(settings, [], NOON, run_findings=[failed])
    assert read_state(settings).run_findings == {"run_failed/train": failed}
    assert len(update_incidents(settings, [WELL], NOON + MINUTE).open) == 1
    done = Finding("run_failed", OK, "train", "run 2 succeeded")
    update_incidents(settings, [], NOON + 2 * MINUTE, run_findings=[done])
    # What was read before a sensor noted something else does not count against it.
    assert update_incidents(settings, [failed], NOON + 9 * MINUTE).open == []
