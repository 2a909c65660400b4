"""Bad requests to the prediction service: none makes it fail.

    python benchmarks/fuzz_service.py HOME [--cases 10000] [--seed N] [--url http://127.0.0.1:8000]

Random bytes and mutated JSON as bodies, CSV with cells changed, odd headers, odd paths and methods, and raw sockets that speak
no HTTP or break off in the middle. A copy of HOME's models and tables is served for it, unless --url names a service.
Prints how many answers had each status; exit code 1 when one was 5xx, or the service does not answer properly at the end.
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

BODY = {
    "price": 100.0,
    "1h": 0.1,
    "24h": -1.5,
    "7d": 3.0,
    "24h_volume": 2e9,
    "mkt_cap": 1e11,
    "liquidity_ratio": 0.02,
    "price_change_24h": -1.5,
    "coin": "Bitcoin",
}
CSV = (
    "coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date\nBitcoin,BTC,61250.5,0.12,-1.8,4.6,2.48e10,1.2e12,2025-07-31\n"
)
# As JSON has them, and as it has not.
_WORDS = [
    "NaN",
    "Infinity",
    "-1",
    "1e999",
    "1e308",
    "-0.0",
    "null",
    "true",
    '""',
    '"x"',
    "[]",
    "{}",
    '"\\ud800"',
    '"\\u0000"',
]
_WORDS += ["1" * 400, '"' + "é" * 300 + '"', "1e-400", '"2025-02-30"', '"9999-12-31"', '"0001-01-01"', "0x1", "'a'", ""]
_PATHS = ["/predict", "/predict/batch", "/forecasts", "/forecasts/Bitcoin", "/model", "/healthz", "/readyz", "/metrics"]
_ODD = [
    "%00",
    "%ff%fe",
    "%2e%2e%2f",
    "..",
    "//",
    "%",
    "%zz",
    "?",
    "?sort=-",
    "?limit=1e9",
    "?offset=-1",
    "?days=999999999999",
    "#",
]
_ODD += [
    "?limit=%00",
    "é",
    "%F0%9F%9A%80",
    "x" * 4000,
    "?search=" + "%25" * 100,
    "?sort=coin&sort=price",
    ";a=b",
    "\\",
    "?days=NaN",
]
_HEADERS = {
    "Content-Type": [
        "application/json",
        "text/csv",
        "text/plain",
        "",
        "application/json; charset=utf-16",
        "\xff",
        "a" * 5000,
    ],
    "Content-Length": ["-1", "x", "0", "99999999999999999999", "1e3", "\xb2"],
    "Authorization": ["Bearer", "Bearer \xff", "Basic ::::", "x" * 7000],
    "Transfer-Encoding": ["chunked", "gzip", "identity, chunked"],
    "X-Forwarded-For": ["127.0.0.1", "\xff", "a, b, c"],
    "Accept": ["nothing/at-all"],
    "Expect": ["100-continue", "1"],
    "Upgrade": ["websocket", "h2c"],
}


class Fuzz:
    """Cases of one seed against the service at a host and port; `seen` counts what came back."""

    def __init__(self, host: str, port: int, *, seed: int = 7) -> None:
        self.host, self.port = host, port
        self.chance = random.Random(seed)
        self.seen: collections.Counter[str] = collections.Counter()
        self.failures: list[str] = []

    def run(self, cases: int) -> None:
        """Ask so many times; failures are cases answered with 5xx."""
        kinds = [self.json_case, self.bytes_case, self.csv_case, self.header_case, self.path_case, self.raw_case]
        kinds += [self.trailer_case, self.bomb_case, self.origin_case, self.formula_case]
        for number in range(cases):
            kinds[number % len(kinds)]()

    def well(self) -> bool:
        """Whether a good request is still answered well."""
        status, _ = self._ask("POST", "/predict", json.dumps(BODY).encode(), {"Content-Type": "application/json"})
        return status == 200

    def json_case(self) -> None:
        """A good body with fields, words and characters changed."""
        fields = {name: json.dumps(value) for name, value in BODY.items()}
        for _ in range(self.chance.randint(1, 4)):
            name = self.chance.choice([*fields, "date", "symbol", "__proto__", "é"])
            fields[name] = self.chance.choice(_WORDS)
        text = "{" + ",".join(f"{json.dumps(name)}:{word}" for name, word in fields.items()) + "}"
        if self.chance.random() < 0.3:
            text = self._torn(text)
        batch = self.chance.random() < 0.4
        text = f'{{"rows":[{text}]}}' if batch else text
        kind = {"Content-Type": "application/json"}
        self._case("POST", _PATHS[batch], text.encode("utf-8", "surrogatepass"), kind)

    def bytes_case(self) -> None:
        """Any bytes as a body of any kind."""
        body = self.chance.randbytes(self.chance.choice([0, 1, 10, 1000, 50_000]))
        if self.chance.random() < 0.2:
            body = self.chance.choice([b"[", b'{"a":', b'{"rows":[']) * self.chance.choice([10, 20_000])
        kind = self.chance.choice(["application/json", "text/csv"])
        self._case("POST", self.chance.choice(_PATHS[:2]), body, {"Content-Type": kind})

    def csv_case(self) -> None:
        """A good file with its text torn, repeated and replaced."""
        text = CSV + CSV.splitlines(keepends=True)[1] * self.chance.randint(0, 5)
        for _ in range(self.chance.randint(1, 6)):
            text = self._torn(text)
        self._case("POST", "/predict/batch", text.encode("utf-8", "surrogatepass"), {"Content-Type": "text/csv"})

    def header_case(self) -> None:
        """Headers that no good client sends."""
        names = self.chance.sample(sorted(_HEADERS), self.chance.randint(1, 3))
        headers = {name: self.chance.choice(_HEADERS[name]) for name in names}
        self._case(self.chance.choice(["GET", "POST"]), self.chance.choice(_PATHS), json.dumps(BODY).encode(), headers)

    def trailer_case(self) -> None:
        """A chunked body with trailers: few, many, long, unfinished, or some that a header would have."""
        body = json.dumps(BODY).encode()
        trailer = self.chance.choice(
            [
                b"X: y\r\n",
                b"Authorization: Bearer x\r\n",
                b"Content-Length: 1\r\n",
                b"Host: rebound.example\r\n",
                b"X: " + b"y" * 9000 + b"\r\n",
            ]
        )
        end = self.chance.choice([b"\r\n", b"\r\n", b"", b"\x00"])
        extension = self.chance.choice([b"", b"", b";a=b", b";" + b"a" * 50_000])
        self._raw(
            b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n%x%s\r\n%s\r\n0\r\n"
            % (len(body), extension, body)
            + trailer * self.chance.choice([0, 1, 10, 5000])
            + end
        )

    def bomb_case(self) -> None:
        """A CSV of many cells, rows or quotes."""
        piece = self.chance.choice(
            [",", "\n", '"",', '""\n', '"', "x\n", "x,", "1,1\n", CSV.splitlines(keepends=True)[1]]
        )
        text = self.chance.choice(["", CSV, "price,24h_volume\n", "=a,"]) + piece * self.chance.choice(
            [10, 2000, 50_000]
        )
        self._case("POST", "/predict/batch", text.encode(), {"Content-Type": "text/csv"})

    def origin_case(self) -> None:
        """Names and origins of other sites: without keys none is answered with a forecast."""
        headers = {"Content-Type": self.chance.choice(["application/json", "text/plain"])}
        own = f"{self.host}:{self.port}"
        host = self.chance.choice(
            [own, "localhost", "rebound.example", "127.0.0.1.rebound.example", "[::1", "\xff", ""]
        )
        origin = self.chance.choice(
            [None, f"http://{own}", "http://rebound.example", "null", "", f"https://{own}", "\xff"]
        )
        headers |= {"Host": host} | ({"Origin": origin} if origin is not None else {})
        status, told = self._ask("POST", "/predict", json.dumps(BODY).encode(), headers)
        welcome = host in (own, "localhost") and (origin is None or (host == own and origin == f"http://{own}"))
        if status == 200 and not (welcome and headers["Content-Type"] == "application/json"):
            self.failures.append(f"answered: {headers}: {told[:200]!r}")
        self._note(status, f"{headers}: {told[:300]!r}")

    def formula_case(self) -> None:
        """Cells that a spreadsheet would evaluate: none comes back as it is."""
        sign = self.chance.choice(["=", "+", "-", "@", "\t=", "＝", "－", " =", "'="])
        row = self.chance.choice([f"{sign}cmd,BTC", f"Bitcoin,{sign}cmd", f'"{sign}cmd,x",BTC'])
        tail = self.chance.choice([",1.5,0.1,-1,1,1e9,1e9,2025-07-31", ",x,0.1,-1,1,1e9,1e9,2025-07-31", ",1.5"])
        body = (CSV + row + tail + "\n").encode()
        status, told = self._ask("POST", "/predict/batch", body, {"Content-Type": "text/csv"})
        if status == 200:
            cells = [cell for line in csv.reader(io.StringIO(told.decode())) for cell in line]
            if any(cell.lstrip()[:1] in tuple("=+@＝－") or cell.startswith("-cmd") for cell in cells):
                self.failures.append(f"a formula came back: {body!r}: {told[:500]!r}")
        self._note(status, f"{body!r}: {told[:300]!r}")

    def path_case(self) -> None:
        """Paths, queries and methods that are none."""
        odd = "".join(self.chance.choice(_ODD) for _ in range(self.chance.randint(1, 3)))
        path = self.chance.choice([*_PATHS, "/", "", "*", "http://elsewhere/"]) + self.chance.choice(["", "/"]) + odd
        method = self.chance.choice(
            ["GET", "GET", "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "BREW"]
        )
        self._raw(
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode(),
            whole=True,
        )

    def raw_case(self) -> None:
        """A socket that speaks no HTTP, or stops in the middle of it."""
        good = (
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 40\r\n\r\n"
            + b"{" * 40
        )
        choices = [
            self.chance.randbytes(self.chance.randint(1, 2000)),
            good[: self.chance.randint(1, len(good))],
            good.replace(b"\r\n", b"\n"),
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            + self.chance.choice([b"zz\r\n", b"5\r\nab", b"0\r\n\r\n"]),
            b"GET /healthz HTTP/9.9\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + self.chance.randbytes(60),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + b"A: " + b"b" * 100_000 + b"\r\n\r\n",
        ]
        self._raw(self.chance.choice(choices))

    def _torn(self, text: str) -> str:
        """The text with one place changed."""
        place = self.chance.randrange(len(text) + 1)
        put = self.chance.choice(
            ["", ",", '"', "\n", "\r", "\x00", "é", "\ufeff", "1e400", "-1", ";", "\t", "{", "}", "\\"]
        )
        return text[:place] + put + text[place + self.chance.choice([0, 0, 1, 5]) :]

    def _case(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> None:
        status, told = self._ask(method, path, body, headers)
        self._note(status, f"{method} {path} {headers} {body[:300]!r}: {told[:300]!r}")

    def _note(self, status: int, what: str) -> None:
        self.seen[str(status) if status else "closed"] += 1
        if status >= 500:
            self.failures.append(what)

    def _ask(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """Status and body of the answer; 0 where the service closed the connection without one."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True, skip_host="Host" in headers)
            for name, value in headers.items():
                connection.putheader(name, value.encode("latin-1"))
            honest = "Content-Length" not in headers and "Transfer-Encoding" not in headers
            if honest:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            with contextlib.suppress(OSError):
                connection.send(body)
            if not honest:
                # It may wait for more than there is: no more comes.
                connection.sock.shutdown(socket.SHUT_WR)
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    def _raw(self, sent: bytes, *, whole: bool = False) -> None:
        """Send and read to the end; `whole`: a request that is answered without waiting for more."""
        with socket.create_connection((self.host, self.port), timeout=10) as link:
            told = b""
            with contextlib.suppress(OSError):
                link.sendall(sent)
                if not whole:
                    link.shutdown(socket.SHUT_WR)
                while part := link.recv(65_536):
                    told += part
        words = told.split(b" ", 2)
        status = int(words[1]) if len(words) > 1 and words[0].startswith(b"HTTP/") and words[1].isdigit() else 0
        self._note(status, f"{sent[:300]!r}: {told[:500]!r}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("home", type=Path)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--url", help="A service that runs already.")
    args = parser.parse_args()
    with contextlib.ExitStack() as stack:
        url = args.url
        if url is None:
            from serving import served_copy

            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="cryptoliq-fuzz-"))
            url = stack.enter_context(served_copy(args.home, Path(folder)))
        place = urllib.parse.urlsplit(url)
        fuzz = Fuzz(place.hostname or "127.0.0.1", place.port or 80, seed=args.seed)
        fuzz.run(args.cases)
        well = fuzz.well()
    print(
        f"{args.cases:,} bad requests: "
        + ", ".join(f"{count:,} × {status}" for status, count in sorted(fuzz.seen.items()))
    )
    for failure in fuzz.failures[:20]:
        print(f"failed: {failure}")
    print("the service answers well after it" if well else "the service does not answer a good request any more")
    sys.exit(1 if fuzz.failures or not well else 0)


if __name__ == "__main__":
    main()
