"""Fake CoinGecko API on loopback: serves a generated market and fails on request."""

import datetime as dt
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.ingestion.coingecko.rate_limit import Clock
from cryptoliq_assets_tests.support.settings import make_settings

# 2025-03-05 00:40:00 UTC.
NOW = 1_741_135_200.0
DAY_MS = 86_400_000
SERVED_MS = 35 * 60_000
# The path of the list of coins.
MARKETS = "/coins/markets"
# A value that removes its key.
MISSING = object()
HTML = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body></body></html>"
MAINTENANCE = b"<html><head><title>502</title></head><body>The site is being maintained.</body></html>"


@dataclass(frozen=True)
class Fault:
    """A faulty response; `how` is complete, cut (fewer bytes than declared), close (no response) or hang."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    how: str = "complete"


LIMIT_JSON = Fault(429, b'{"status":{"error_code":429,"error_message":"You\'ve exceeded the Rate Limit."}}')
THROTTLED = Fault(429, b"Throttled\n")
CLOUDFLARE = Fault(429, b"error code: 1015")
CLOUDFLARE_403 = Fault(403, b"error code: 1015")
CLOUDFLARE_PAGE_403 = Fault(
    403,
    b"<!DOCTYPE html><html><head><title>Access denied | api.example used Cloudflare to restrict access</title></head>"
    b"<body><h1><span>Error</span>\n<span>1015</span></h1><h2>You are being rate limited</h2></body></html>",
    {"Content-Type": "text/html"},
)
LIMIT_PAGE = Fault(429, HTML, {"Content-Type": "text/html"})
BEYOND_PLAN = Fault(
    401, b'{"error":{"status":{"error_code":10012,"error_message":"Your request exceeds the allowed time range."}}}'
)


def coin(rank: int, **values: Any) -> dict[str, Any]:
    """Make one coin of /coins/markets, with a rank from 1."""
    price = 1000.0 / rank
    return {
        "id": f"coin-{rank}",
        "symbol": f"c{rank}",
        "name": f"Coin, the {rank}.",
        "current_price": price,
        "market_cap": 10**12 // rank,
        "market_cap_rank": rank,
        "total_volume": 10**9 // rank,
        "high_24h": price * 1.1,
        "low_24h": price * 0.9,
        "price_change_24h": price - price / 0.975,
        "price_change_percentage_24h": -2.5,
        "circulating_supply": 1e9,
        "last_updated": f"2025-03-05T00:39:{rank % 60:02}.120Z",
        "price_change_percentage_1h_in_currency": 0.25,
        "price_change_percentage_24h_in_currency": -2.5,
        "price_change_percentage_7d_in_currency": -7.5,
    } | values


def chart(*, days: int, now: float, start: float = 100.0) -> dict[str, list]:
    """Make a daily chart back from `now`: the price is `start` on the day of NOW and rises by a dollar per day.

    Points are a few minutes from midnight, the last one is now. A midnight is available from 00:35.
    """
    moment = int(now * 1000)
    midnight = moment // DAY_MS
    days_served = range(midnight - days + 1, midnight + (moment % DAY_MS >= SERVED_MS))
    prices = [
        [day * DAY_MS + (-90_000 if day % 2 else 120_000), start + day - int(NOW * 1000) // DAY_MS]
        for day in days_served
    ]
    return {
        "prices": [*prices, [moment, 9999.0]],
        "market_caps": [*([moment, price * 1e6] for moment, price in prices), [moment, 1.0]],
        "total_volumes": [*([moment, price * 1e3] for moment, price in prices), [moment, 2.0]],
    }


@dataclass
class Service:
    """State of the fake API: its market, the next failures (by a part of the path, each once), and the requests received."""

    coins: list[dict[str, Any]] = field(default_factory=lambda: [coin(rank) for rank in range(1, 301)])
    faults: list[tuple[str, Fault]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    now: Callable[[], float] = lambda: NOW
    # The coin with rank n costs n more than this on the day of NOW, and a dollar less on the day before.
    chart_price: float = 100.0
    url: str = ""
    # Called with the path of each request.
    on_request: Callable[[str], None] = lambda path: None
    # Bodies that are served unchanged, by path.
    bodies: dict[str, bytes] = field(default_factory=dict)

    def pages(self) -> list[int]:
        """Return the requested pages of the market, in order."""
        queries = (urlsplit(path).query for path in self.requests if "/coins/markets" in path)
        return [int(parse_qs(query)["page"][0]) for query in queries]

    def charts(self) -> list[str]:
        """Return the coins whose chart was requested, in order."""
        paths = (urlsplit(path).path for path in self.requests)
        return [unquote(path.split("/")[-2]) for path in paths if path.endswith("/market_chart")]

    def respond(self, target: str, headers: dict[str, str]) -> Fault:
        self.requests.append(target)
        self.headers.append(headers)
        self.on_request(target)
        for position, (path, fault) in enumerate(self.faults):
            if path in target:
                del self.faults[position]
                return fault
        split = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(split.query).items()}
        if not headers.get("user-agent"):
            return Fault(403, b"Forbidden")
        if split.path in self.bodies:
            return Fault(200, self.bodies[split.path])
        if split.path.endswith("/coins/markets"):
            size, page = int(query["per_page"]), int(query["page"])
            return Fault(200, json.dumps(self.coins[(page - 1) * size : page * size]).encode())
        name = unquote(split.path.split("/")[-2])
        rank = next((n for n, entry in enumerate(self.coins, start=1) if entry.get("id") == name), None)
        if rank is None:
            return Fault(404, b'{"error":"coin not found"}')
        return Fault(
            200, json.dumps(chart(days=int(query["days"]), now=self.now(), start=self.chart_price + rank)).encode()
        )


@contextmanager
def serving(service: Service) -> Iterator[Service]:
    """Run the service on loopback; `url` is its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fault = service.respond(self.path, {name.lower(): value for name, value in self.headers.items()})
            if fault.how == "close":
                self.connection.close()
                return
            if fault.how == "hang":
                time.sleep(0.4)
                return
            self.send_response(fault.status)
            for name, value in fault.headers.items():
                self.send_header(name, value)
            extra = 10 if fault.how == "cut" else 0
            self.send_header("Content-Length", str(len(fault.body) + extra))
            self.end_headers()
            self.wfile.write(fault.body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_address[1]}/api/v3"
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class FakeClock:
    """A replacement of Clock that does not really wait, and the waits that were requested."""

    at: float = NOW
    waits: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.at

    def today(self) -> dt.date:
        return Clock(now=self.now).today()

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.at += seconds


def make_fetch_settings(home: Any, service: Service, **options: Any) -> Settings:
    """Make settings of a home that uses this service, by default with a high rate limit."""
    return make_settings(
        **({"home_dir": home, "coingecko__url": service.url, "coingecko__requests_per_minute": 1000} | options)
    )
