"""An S3 server on loopback (moto), which records its requests and can deny some, behind a proxy that can refuse and hang."""

import contextlib
import socket
import threading
from collections.abc import Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

BUCKET = "market"
# What clients read from the environment.
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
_DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
_FAILED = b"<Error><Code>InternalError</Code><Message>We encountered an internal error</Message></Error>"


class S3Server:
    """moto's S3 in a thread."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str]] = []
        # Methods that are answered with 403; number of next requests that are answered with 500.
        self.denied: set[str] = set()
        self.failures = 0
        self._app = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._respond, threaded=True)
        self._server.log = lambda *arguments: None
        self.port = self._server.port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def _respond(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.requests.append((environ["REQUEST_METHOD"], f"{environ['PATH_INFO']}?{environ.get('QUERY_STRING', '')}"))
        if self.failures:
            self.failures -= 1
            return self._error(environ, start_response, "500 Internal Server Error", _FAILED)
        if environ["REQUEST_METHOD"] in self.denied:
            return self._error(environ, start_response, "403 Forbidden", _DENIED)
        return self._app(environ, start_response)

    @staticmethod
    def _error(environ: dict[str, Any], start_response: Any, status: str, body: bytes) -> Iterable[bytes]:
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        start_response(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]

    def end(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Proxy:
    """A TCP proxy on loopback. `hang` stops all traffic, `kill` refuses connections and cuts the open ones, `restore` ends both."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._flowing = threading.Event()
        self._flowing.set()
        self._open: set[socket.socket] = set()
        self._listener = self._listen(0)
        self.port = self._listener.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def hang(self) -> None:
        self._flowing.clear()

    def kill(self) -> None:
        # Closing alone would leave the thread in accept, and the port open.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in list(self._open):
            _cut(connection)
        self._open.clear()
        self._flowing.set()

    def restore(self) -> None:
        if self._listener.fileno() < 0:
            self._listener = self._listen(self.port)
        self._flowing.set()

    def _listen(self, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", self._upstream))
            except OSError:
                return
            self._open |= {client, server}
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._copy, args=(source, target), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while content := source.recv(65536):
                self._flowing.wait()
                target.sendall(content)
        for connection in (source, target):
            self._open.discard(connection)
            _cut(connection)


def _cut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
