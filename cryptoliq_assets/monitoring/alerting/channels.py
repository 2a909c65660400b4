"""Notification channels: each is an Apprise URL. A message is delivered, or DeliveryError contains the reason.

Add how a message is sent. What is sent, and when again, belongs in `dispatch`. The URLs contain passwords and tokens, so no
text that leaves this module contains any part of one except its scheme.
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
from cryptoliq_assets.monitoring.alert_registry import Level

# A comma or space before another URL; a URL may contain commas itself.
_SEPARATOR = re.compile(r"[\s,]+(?=[A-Za-z][A-Za-z0-9+.-]*://)")
_DELIMITERS = re.compile(r"[/:@?&=,;+#\s]+")
# Shorter pieces of a URL are words like "to", not secrets.
_MIN_SECRET_LENGTH = 4
APPRISE_TYPES = {"ok": "success", "warn": "warning", "fail": "failure"}


class DeliveryError(RuntimeError):
    """A channel did not accept a message; contains the reason, without the secrets of the channel."""


@dataclass(frozen=True)
class Channel:
    """One channel.

    Attributes:
        name: Safe to show and to store (`mailto-1a2b3c4d`).
        url: Secret.
    """

    name: str
    url: SecretStr


@dataclass(frozen=True)
class Message:
    """What is sent.

    Attributes:
        title: One line.
        body: Text.
        level: OK, WARN or FAIL, which channels show as a colour or symbol.
    """

    title: str
    body: str
    level: Level


def read_channels(settings: Settings) -> list[Channel]:
    """Return the channels of the settings, in their order, without duplicates."""
    text = settings.alerts.urls.get_secret_value() if settings.alerts.urls else ""
    urls = dict.fromkeys(part.strip(" \t\r\n,") for part in _SEPARATOR.split(text.strip()))
    return [Channel(_name(url), SecretStr(url)) for url in urls if url]


def send(channel: Channel, message: Message) -> None:
    """Send one message.

    Args:
        channel: The recipient.
        message: What is sent.

    Raises:
        DeliveryError: The URL is invalid, or the recipient does not accept the message.
        Exception: A plugin may raise anything.
    """
    # Not propagated: hosts, users and tokens of a URL must not appear in the log of a run.
    logging.getLogger("apprise").propagate = False
    import apprise

    url = channel.url.get_secret_value()
    target = apprise.Apprise(asset=apprise.AppriseAsset(app_id="cryptoliq", async_mode=False))
    if not target.add(url):
        raise DeliveryError("CRYPTOLIQ_ALERTS__URLS contains a URL that Apprise does not support")
    result = target.notify(title=message.title, body=message.body, notify_type=APPRISE_TYPES[message.level])
    if not result:
        # Warnings and errors; the debug lines, which contain the URLs, are not included.
        reasons = dict.fromkeys(entry.message.strip() for entry in result.logs())
        raise DeliveryError(_hide_secrets("; ".join(reasons) or "Apprise reports a failure without a reason", url))


def send_within(
    seconds: float, work: dict[Channel, Message], *, send_with: Callable[[Channel, Message], None] = send
) -> dict[str, str | None]:
    """Send one message to each channel, concurrently.

    Args:
        seconds: Time limit. A channel that exceeds it has failed; its thread continues and may still deliver.
        work: The message of each channel.
        send_with: Sends one message, or raises anything: DeliveryError, or an error of Apprise, whose text may contain secrets.

    Returns:
        By name of the channel: None if delivered, else the reason.
    """
    results: dict[str, str | None] = {
        channel.name: f"no answer within {seconds:g} s (CRYPTOLIQ_ALERTS__SEND_TIMEOUT_SECONDS)" for channel in work
    }

    def deliver(channel: Channel, message: Message) -> None:
        try:
            send_with(channel, message)
            results[channel.name] = None
        except DeliveryError as error:
            results[channel.name] = str(error)
        except (
            Exception
        ) as error:  # A plugin may raise anything; a thread that ends would look like one without an answer.
            results[channel.name] = _hide_secrets(f"{type(error).__name__}: {error}", channel.url.get_secret_value())

    threads = [threading.Thread(target=deliver, args=each, name="alert", daemon=True) for each in work.items()]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    # A copy: a thread that is late must not change the result.
    return dict(results)


def _name(url: str) -> str:
    """Return the scheme and eight digits of the URL's hash: enough to identify a channel, too few to find its password."""
    scheme = url.split("://", 1)[0].lower() if "://" in url else "unknown"
    return f"{re.sub(r'[^a-z0-9]', '', scheme)[:20]}-{hashlib.sha256(url.encode('utf-8')).hexdigest()[:8]}"


def _hide_secrets(text: str, url: str) -> str:
    """Replace every piece of the URL except its scheme by dots."""
    scheme = url.split("://", 1)[0].lower()
    pieces = {piece for variant in (url, unquote(url)) for piece in _DELIMITERS.split(variant)}
    secrets = [piece for piece in pieces if len(piece) >= _MIN_SECRET_LENGTH and piece.lower() != scheme]
    for secret in [url, *sorted(secrets, key=len, reverse=True)]:
        text = text.replace(secret, "•••")
    return text
