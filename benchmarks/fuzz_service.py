"""Fuzz test of the prediction service: no invalid request causes a server error.

    python benchmarks/fuzz_service.py HOME [--cases 10000] [--seed N] [--url http://127.0.0.1:8000]

It sends random bytes and mutated JSON as bodies, mutated CSV, invalid headers, paths and methods, and malformed or incomplete HTTP over
raw sockets. A copy of HOME's models and tables is served, unless --url names a service. It prints the number of responses by status. The
exit code is 1 if a status is 5xx, or if a valid request fails at the end.
"""

import argparse
import collections
import contextlib
import csv
import http.client
import io
import json
import random
import socket
import sys
import tempfile
import urllib.parse
from pathlib import Path

from fuzz_inputs import BODY, CSV, HEADERS, ODD_PATHS, PATHS, WORDS


class Fuzz:
    """Fuzz cases of one seed against the service at a host and port; `statuses` counts the responses."""

    def __init__(self, host: str, port: int, *, seed: int = 7) -> None:
        self.host, self.port = host, port
        self.random = random.Random(seed)
        self.statuses: collections.Counter[str] = collections.Counter()
        self.failures: list[str] = []

    def run(self, cases: int) -> None:
        """Send so many requests; `failures` lists those with a 5xx response or an invalid result."""
        kinds = [self.json_case, self.bytes_case, self.csv_case, self.header_case, self.path_case, self.raw_case]
        kinds += [self.trailer_case, self.bomb_case, self.origin_case, self.formula_case]
        for number in range(cases):
            kinds[number % len(kinds)]()

    def is_healthy(self) -> bool:
        """Return whether a valid request still succeeds."""
        status, _ = self._send("POST", "/predict", json.dumps(BODY).encode(), {"Content-Type": "application/json"})
        return status == 200

    def json_case(self) -> None:
        """A valid body with fields, values and characters changed."""
        fields = {name: json.dumps(value) for name, value in BODY.items()}
        for _ in range(self.random.randint(1, 4)):
            name = self.random.choice([*fields, "date", "symbol", "__proto__", "é"])
            fields[name] = self.random.choice(WORDS)
        text = "{" + ",".join(f"{json.dumps(name)}:{word}" for name, word in fields.items()) + "}"
        if self.random.random() < 0.3:
            text = self._mutate(text)
        batch = self.random.random() < 0.4
        text = f'{{"rows":[{text}]}}' if batch else text
        kind = {"Content-Type": "application/json"}
        self._case("POST", PATHS[batch], text.encode("utf-8", "surrogatepass"), kind)

    def bytes_case(self) -> None:
        """Random bytes as a body of any media type."""
        body = self.random.randbytes(self.random.choice([0, 1, 10, 1000, 50_000]))
        if self.random.random() < 0.2:
            body = self.random.choice([b"[", b'{"a":', b'{"rows":[']) * self.random.choice([10, 20_000])
        kind = self.random.choice(["application/json", "text/csv"])
        self._case("POST", self.random.choice(PATHS[:2]), body, {"Content-Type": kind})

    def csv_case(self) -> None:
        """A valid file with characters removed, repeated and replaced."""
        text = CSV + CSV.splitlines(keepends=True)[1] * self.random.randint(0, 5)
        for _ in range(self.random.randint(1, 6)):
            text = self._mutate(text)
        self._case("POST", "/predict/batch", text.encode("utf-8", "surrogatepass"), {"Content-Type": "text/csv"})

    def header_case(self) -> None:
        """Headers that no correct client sends."""
        names = self.random.sample(sorted(HEADERS), self.random.randint(1, 3))
        headers = {name: self.random.choice(HEADERS[name]) for name in names}
        self._case(self.random.choice(["GET", "POST"]), self.random.choice(PATHS), json.dumps(BODY).encode(), headers)

    def trailer_case(self) -> None:
        """A chunked body with trailers: few, many, long, incomplete, or with names of headers."""
        body = json.dumps(BODY).encode()
        trailer = self.random.choice(
            [
                b"X: y\r\n",
                b"Authorization: Bearer x\r\n",
                b"Content-Length: 1\r\n",
                b"Host: rebound.example\r\n",
                b"X: " + b"y" * 9000 + b"\r\n",
            ]
        )
        end = self.random.choice([b"\r\n", b"\r\n", b"", b"\x00"])
        extension = self.random.choice([b"", b"", b";a=b", b";" + b"a" * 50_000])
        self._raw(
            b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n%x%s\r\n%s\r\n0\r\n"
            % (len(body), extension, body)
            + trailer * self.random.choice([0, 1, 10, 5000])
            + end
        )

    def bomb_case(self) -> None:
        """A CSV of many cells, rows or quotes."""
        piece = self.random.choice(
            [",", "\n", '"",', '""\n', '"', "x\n", "x,", "1,1\n", CSV.splitlines(keepends=True)[1]]
        )
        text = self.random.choice(["", CSV, "price,24h_volume\n", "=a,"]) + piece * self.random.choice(
            [10, 2000, 50_000]
        )
        self._case("POST", "/predict/batch", text.encode(), {"Content-Type": "text/csv"})

    def origin_case(self) -> None:
        """Hosts and origins of other sites: without keys none of them gets a forecast."""
        headers = {"Content-Type": self.random.choice(["application/json", "text/plain"])}
        own = f"{self.host}:{self.port}"
        host = self.random.choice(
            [own, "localhost", "rebound.example", "127.0.0.1.rebound.example", "[::1", "\xff", ""]
        )
        origin = self.random.choice(
            [None, f"http://{own}", "http://rebound.example", "null", "", f"https://{own}", "\xff"]
        )
        headers |= {"Host": host} | ({"Origin": origin} if origin is not None else {})
        status, response = self._send("POST", "/predict", json.dumps(BODY).encode(), headers)
        is_allowed = host in (own, "localhost") and (origin is None or (host == own and origin == f"http://{own}"))
        if status == 200 and not (is_allowed and headers["Content-Type"] == "application/json"):
            self.failures.append(f"accepted: {headers}: {response[:200]!r}")
        self._record(status, f"{headers}: {response[:300]!r}")

    def formula_case(self) -> None:
        """Cells that a spreadsheet would evaluate: none is returned unchanged."""
        sign = self.random.choice(["=", "+", "-", "@", "\t=", "＝", "－", " =", "'="])
        row = self.random.choice([f"{sign}cmd,BTC", f"Bitcoin,{sign}cmd", f'"{sign}cmd,x",BTC'])
        tail = self.random.choice([",1.5,0.1,-1,1,1e9,1e9,2025-07-31", ",x,0.1,-1,1,1e9,1e9,2025-07-31", ",1.5"])
        body = (CSV + row + tail + "\n").encode()
        status, response = self._send("POST", "/predict/batch", body, {"Content-Type": "text/csv"})
        if status == 200:
            cells = [cell for line in csv.reader(io.StringIO(response.decode())) for cell in line]
            if any(cell.lstrip()[:1] in tuple("=+@＝－") or cell.startswith("-cmd") for cell in cells):
                self.failures.append(f"a formula was returned: {body!r}: {response[:500]!r}")
        self._record(status, f"{body!r}: {response[:300]!r}")

    def path_case(self) -> None:
        """Invalid paths, queries and methods."""
        odd = "".join(self.random.choice(ODD_PATHS) for _ in range(self.random.randint(1, 3)))
        path = self.random.choice([*PATHS, "/", "", "*", "http://elsewhere/"]) + self.random.choice(["", "/"]) + odd
        method = self.random.choice(
            ["GET", "GET", "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "BREW"]
        )
        self._raw(
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode(),
            is_complete=True,
        )

    def raw_case(self) -> None:
        """Malformed or incomplete HTTP."""
        good = (
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n"
            + b"{" * 40
        )
        choices = [
            self.random.randbytes(self.random.randint(1, 2000)),
            good[: self.random.randint(1, len(good))],
            good.replace(b"\r\n", b"\n"),
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            + self.random.choice([b"zz\r\n", b"5\r\nab", b"0\r\n\r\n"]),
            b"GET /healthz HTTP/9.9\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + self.random.randbytes(60),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + b"A: " + b"b" * 100_000 + b"\r\n\r\n",
        ]
        self._raw(self.random.choice(choices))

    def _mutate(self, text: str) -> str:
        """Change one position of a text."""
        place = self.random.randrange(len(text) + 1)
        put = self.random.choice(
            ["", ",", '"', "\n", "\r", "\x00", "é", "\ufeff", "1e400", "-1", ";", "\t", "{", "}", "\\"]
        )
        return text[:place] + put + text[place + self.random.choice([0, 0, 1, 5]) :]

    def _case(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> None:
        status, response = self._send(method, path, body, headers)
        self._record(status, f"{method} {path} {headers} {body[:300]!r}: {response[:300]!r}")

    def _record(self, status: int, description: str) -> None:
        self.statuses[str(status) if status else "closed"] += 1
        if status >= 500:
            self.failures.append(description)

    def _send(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """Send a request; return status and body of the response, 0 if the connection was closed without one."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True, skip_host="Host" in headers)
            for name, value in headers.items():
                connection.putheader(name, value.encode("latin-1"))
            has_valid_length = "Content-Length" not in headers and "Transfer-Encoding" not in headers
            if has_valid_length:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            with contextlib.suppress(OSError):
                connection.send(body)
            if not has_valid_length:
                # The service may wait for more data than exists: signal the end.
                connection.sock.shutdown(socket.SHUT_WR)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    def _raw(self, data: bytes, *, is_complete: bool = False) -> None:
        """Send bytes and read to the end; `is_complete`: the request is answered without waiting for more data."""
        with socket.create_connection((self.host, self.port), timeout=10) as link:
            response = b""
            with contextlib.suppress(OSError):
                link.sendall(data)
                if not is_complete:
                    link.shutdown(socket.SHUT_WR)
                while part := link.recv(65_536):
                    response += part
        words = response.split(b" ", 2)
        status = int(words[1]) if len(words) > 1 and words[0].startswith(b"HTTP/") and words[1].isdigit() else 0
        self._record(status, f"{data[:300]!r}: {response[:500]!r}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--url", help="URL of a running service.")
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        url = args.url
        if url is None:
            from running_service import serve_copy

            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="cryptoliq-fuzz-"))
            url = stack.enter_context(serve_copy(args.home, Path(folder)))
        place = urllib.parse.urlsplit(url)
        fuzz = Fuzz(place.hostname or "127.0.0.1", place.port or 80, seed=args.seed)
        fuzz.run(args.cases)
        is_healthy = fuzz.is_healthy()
    print(
        f"{args.cases:,} invalid requests: "
        + ", ".join(f"{count:,} × {status}" for status, count in sorted(fuzz.statuses.items()))
    )
    for failure in fuzz.failures[:20]:
        print(f"failed: {failure}")
    print("the service is healthy" if is_healthy else "the service no longer answers a valid request")
    sys.exit(1 if fuzz.failures or not is_healthy else 0)


if __name__ == "__main__":
    main()
