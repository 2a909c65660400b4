"""Alert channels: URLs, messages to a real SMTP server and a real HTTP receiver, and errors without secrets."""

import logging

import pytest

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.monitoring.alerting.channels import DeliveryError, Message, read_channels, send, send_within
from cryptoliq_assets_tests.support.alerts import make_alert_settings
from cryptoliq_assets_tests.support.settings import make_settings


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
    (channel,) = read_channels(make_alert_settings(tmp_path, url))
    send(channel, Message("FAIL: é", "what: ü\nwhat to do: look", "fail"))
    (mail_received,) = box.mails
    assert mail_received["Subject"] == "FAIL: é"
    assert mail_received["To"] == "person@example.org"
    assert "what: ü" in mail_received.get_body(preferencelist=("plain", "html")).get_content()


@pytest.mark.parametrize(("status", "result"), [(500, "500"), (401, "401"), (404, "404")])
def test_an_error_of_the_receiver_is_reported_without_secrets(http, tmp_path, status, result):
    http.status = status
    (channel,) = read_channels(make_alert_settings(tmp_path, http.url))
    with pytest.raises(DeliveryError, match=result) as failed:
        send(channel, Message("t", "b", "fail"))
    assert "hush" not in str(failed.value)
    assert "token" not in str(failed.value)


def test_a_mail_server_that_rejects_mails_is_a_failure(mail, tmp_path):
    box, url = mail
    box.rejects = True
    (channel,) = read_channels(make_alert_settings(tmp_path, url))
    with pytest.raises(DeliveryError):
        send(channel, Message("t", "b", "fail"))


@pytest.mark.parametrize("url", ["nonsense://hushhush", "hushhush", "json://"])
def test_an_unsupported_url_is_a_failure_that_names_the_setting(tmp_path, url):
    (channel,) = read_channels(make_alert_settings(tmp_path, url))
    with pytest.raises(DeliveryError, match="CRYPTOLIQ_ALERTS__URLS") as failed:
        send(channel, Message("t", "b", "ok"))
    assert "hush" not in str(failed.value)


def test_log_messages_of_apprise_reach_no_other_log(tmp_path):
    records = []
    everything = logging.Handler(level=logging.DEBUG)
    everything.emit = records.append
    (channel,) = read_channels(make_alert_settings(tmp_path, "json://user:hushpassword@127.0.0.1:9/tokentoken"))
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
    slow, quick = read_channels(make_alert_settings(tmp_path, http.url, url))
    outcomes = send_within(1.5, {slow: Message("t", "b", "fail"), quick: Message("t", "b", "fail")})
    assert outcomes == {slow.name: "no answer within 1.5 s (CRYPTOLIQ_ALERTS__SEND_TIMEOUT_SECONDS)", quick.name: None}
    assert len(box.mails) == 1
