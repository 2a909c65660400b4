"""Receivers of alerts: a real SMTP server and a real HTTP server on loopback."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller


class Mailbox:
    """Mails that an SMTP server accepted; it rejects all mails if `rejects` is set."""

    def __init__(self) -> None:
        self.mails: list[Any] = []
        self.rejects = False

    async def handle_DATA(self, server, session, envelope) -> str:  # noqa: N802
        if self.rejects:
            return "554 rejected"
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 accepted"

    def url(self, port: int) -> str:
        return f"mailto://127.0.0.1:{port}?from=watch@example.org&to=person@example.org&mode=insecure"


class Received:
    """JSON bodies that an HTTP receiver accepted; it responds with `status` once `hold` is set."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.status = 200
        self.hold = threading.Event()
        self.hold.set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"json://user:hushpassword@127.0.0.1:{self.port}/tokentoken/"

    @property
    def titles(self) -> list[str]:
        return [body["title"] for body in self.bodies]


class _AnyPort(Controller):
    """A controller on a port that the system chooses; the trial connection of the controller needs its number."""

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def mailbox() -> Iterator[tuple[Mailbox, str]]:
    """Run an SMTP server; yield its mailbox and its Apprise URL."""
    box = Mailbox()
    controller = _AnyPort(box, hostname="127.0.0.1", port=0)
    controller.start()
    try:
        yield box, box.url(controller.port)
    finally:
        controller.stop()


@contextmanager
def receiver() -> Iterator[Received]:
    """Run an HTTP server that responds to each POST as configured."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            received.hold.wait(30)
            if received.status == 200:
                received.bodies.append(body)
            self.send_response(received.status)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    received.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        received.hold.set()
        server.shutdown()
        server.server_close()
