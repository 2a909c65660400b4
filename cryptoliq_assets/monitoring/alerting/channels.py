"""Channels: where alerts go, each an Apprise URL. A message is delivered or DeliveryError says why; nothing is kept here.

The URLs hold passwords and tokens, so no text that leaves this module has any part of one but its scheme.
"""

import hashlib
import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

from pydantic import SecretStr

from cryptoliq_assets.core import Settings

# A comma or space that another URL follows; a URL may hold commas of its own.
_BETWEEN = re.compile(r"[\s,]+(?=[A-Za-z][A-Za-z0-9+.-]*://)")
_SIGNS = re.compile(r"[/:@?&=,;+#\s]+")
# Pieces of a URL that are shorter than this are words like "to", and no secret.
_SECRET_LENGTH = 4
TYPES = {"ok": "success", "warn": "warning", "fail": "failure"}


class DeliveryError(RuntimeError):
    """A channel did not take a message; says why, without the channel's secrets."""


@dataclass(frozen=True)
class Channel:
    """One channel: its name, fit to be shown and kept (`mailto-1a2b3c4d`), and its URL, which is not."""

    name: str
    url: SecretStr


@dataclass(frozen=True)
class Message:
    """What is sent. level: ok, warn or fail, which channels show by a colour or sign."""

    title: str
    body: str
    level: str


def read_channels(settings: Settings) -> list[Channel]:
    """The channels that the settings name, in their order, each once."""
    text = settings.alerts.urls.get_secret_value() if settings.alerts.urls else ""
    urls = dict.fromkeys(part.strip(" \t\r\n,") for part in _BETWEEN.split(text.strip()))
    return [Channel(_name(url), SecretStr(url)) for url in urls if url]


def send(channel: Channel, message: Message) -> None:
    """Send one message; raises DeliveryError where the URL is none, or the other side does not take it."""
    # Its log goes nowhere: hosts, users and tokens of a URL are nothing for the log of a run.
    logging.getLogger("apprise").propagate = False
    import apprise

    url = channel.url.get_secret_value()
    target = apprise.Apprise(asset=apprise.AppriseAsset(app_id="cryptoliq", async_mode=False))
    if not target.add(url):
        raise DeliveryError("CRYPTOLIQ_ALERTS__URLS has no URL here that Apprise knows")
    try:
        taken = target.notify(title=message.title, body=message.body, notify_type=TYPES[message.level])
    except Exception as error:  # A plugin may raise anything; whoever sends wants to know only that it failed.
        raise DeliveryError(_without_secrets(f"{type(error).__name__}: {error}", url)) from None
    if not taken:
        # Warnings and errors; the debug lines, which hold the URLs, are not among them.
        told = dict.fromkeys(entry.message.strip() for entry in taken.logs())
        raise DeliveryError(_without_secrets("; ".join(told) or "Apprise says that it was not, and not why", url))


def send_within(
    seconds: float, work: dict[Channel, Message], *, by: Callable[[Channel, Message], None] = send
) -> dict[str, str | None]:
    """Send one message to each channel, all at once; by channel's name None where delivered, else why not.

    A channel that takes longer than `seconds` has failed: its thread is left to itself, and may yet deliver.
    """
    outcomes: dict[str, str | None] = {
        channel.name: f"no answer within {seconds:g} s (CRYPTOLIQ_ALERTS__SEND_TIMEOUT_SECONDS)" for channel in work
    }

    def deliver(channel: Channel, message: Message) -> None:
        try:
            by(channel, message)
            outcomes[channel.name] = None
        except DeliveryError as error:
            outcomes[channel.name] = str(error)

    threads = [threading.Thread(target=deliver, args=each, name="alert", daemon=True) for each in work.items()]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    # A copy: a thread that is late must not change what was told.
    return dict(outcomes)


def _name(url: str) -> str:
    """A scheme and eight digits of the URL's digest: enough to know a channel by, too few to find its password by."""
    scheme = url.split("://", 1)[0].lower() if "://" in url else "unknown"
    return f"{re.sub(r'[^a-z0-9]', '', scheme)[:20]}-{hashlib.sha256(url.encode('utf-8')).hexdigest()[:8]}"


def _without_secrets(text: str, url: str) -> str:
    """Text in which every piece of the URL but its scheme is dots."""
    scheme = url.split("://", 1)[0].lower()
    pieces = {piece for whole in (url, unquote(url)) for piece in _SIGNS.split(whole)}
    hidden = [url, *sorted((p for p in pieces if len(p) >= _SECRET_LENGTH and p.lower() != scheme), key=len)[::-1]]
    for piece in hidden:
        text = text.replace(piece, "•••")
    return text
