"""Errors of a channel that are not an answer: they are reported with their type, and without secrets."""

import sys

import pytest
from pydantic import SecretStr

from cryptoliq_assets.monitoring.alerting.channels import Channel, Message, send_within

URL = "json://ann:hunter2@example.org/hook"
CHANNEL = Channel("json-1a2b3c4d", SecretStr(URL))
MESSAGE = Message("title", "body", "fail")


@pytest.mark.parametrize(
    "error", [RuntimeError(f"no route for {URL}"), ImportError("no module hunter2"), KeyError("x")]
)
def test_any_error_of_a_channel_is_reported_with_its_type(error: Exception):
    def fail(channel: Channel, message: Message) -> None:
        raise error

    reason = send_within(10, {CHANNEL: MESSAGE}, send_with=fail)[CHANNEL.name]
    assert reason is not None
    assert reason.startswith(f"{type(error).__name__}: ")
    assert "hunter2" not in reason


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    reason = send_within(10, {CHANNEL: MESSAGE})[CHANNEL.name]
    assert reason is not None
    assert reason.startswith("ModuleNotFoundError: ")


def test_an_error_while_a_url_is_read_is_reported(monkeypatch):
    apprise = pytest.importorskip("apprise")

    def fail(self: object, url: str) -> bool:
        raise TypeError(f"cannot read {url}")

    monkeypatch.setattr(apprise.Apprise, "add", fail)
    assert send_within(10, {CHANNEL: MESSAGE}) == {CHANNEL.name: "TypeError: cannot read •••"}
