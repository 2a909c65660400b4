"""A service with the contract's answers and no model behind them, on a loopback port, for what the app sends and shows."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

KEY = "a-key-of-the-stub"


@dataclass
class Stub:
    """What was asked, and what is answered; `forecasts` and `coins` are those of a home's views."""

    forecasts: dict[str, Any]
    coins: dict[str, Any]
    model: dict[str, Any] | None
    page: int = 1_000
    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    refusal: tuple[int, dict[str, Any]] | None = None


@contextmanager
def running(stub: Stub) -> Iterator[Stub]:
    """Serve until the block ends; `stub.url` is where."""
    routes = [
        Route("/forecasts", lambda request: _forecasts(stub, request)),
        Route("/forecasts/{coin:path}", lambda request: _coin(stub, request)),
        Route("/model", lambda request: _found(stub.model)),
        Route("/predict", _predict(stub), methods=["POST"]),
        Route("/predict/batch", _batch(stub), methods=["POST"]),
    ]
    app = Starlette(routes=routes)

    async def guarded(scope, receive, send) -> None:
        if scope["type"] == "http":
            stub.keys.add(dict(scope["headers"]).get(b"authorization", b"").decode())
            if stub.refusal:
                status, told = stub.refusal
                await JSONResponse(told, status, media_type="application/problem+json")(scope, receive, send)
                return
        await app(scope, receive, send)

    server = uvicorn.Server(uvicorn.Config(guarded, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    stub.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield stub
    finally:
        server.should_exit = True
        thread.join()


def _forecasts(stub: Stub, request: Request) -> JSONResponse:
    offset = int(request.query_params.get("offset", 0))
    limit = min(int(request.query_params.get("limit", 100)), stub.page)
    return JSONResponse({**stub.forecasts, "items": stub.forecasts["items"][offset : offset + limit]})


def _coin(stub: Stub, request: Request) -> JSONResponse:
    return _found(stub.coins.get(request.path_params["coin"]))


def _found(value: dict[str, Any] | None) -> JSONResponse:
    return JSONResponse({"title": "Not found"}, 404) if value is None else JSONResponse(value)


def _predict(stub: Stub):
    async def answer(request: Request) -> JSONResponse:
        body = await request.json()
        stub.bodies.append(body)
        basis = "history" if "coin" in body else "snapshot"
        flags = {"volatility_floored": True, "out_of_range": ["24h_volume"], "stale_history": False}
        return JSONResponse(
            {
                "liquidity_score": 0.512,
                "lower": 0.431,
                "upper": 0.593,
                "level": 0.9,
                "horizon_days": 1,
                "basis": basis,
                "percentile": 42.0,
                "flags": flags,
                "model": "Stub",
                "model_version": "Stub_2025-07-31_v1",
                "timestamp": "2025-08-01T00:00:00Z",
            }
        )

    return answer


def _batch(stub: Stub):
    async def answer(request: Request) -> Response:
        stub.types.append(request.headers["content-type"])
        header, *rows = (await request.body()).decode().splitlines()
        added = "liquidity_score,lower,upper,model_version,basis,reason"
        made = [f"{header},{added}"] + [f"{row},0.5,0.4,0.6,Stub_2025-07-31_v1,snapshot," for row in rows[:-1]]
        made.append(f"{rows[-1]},,,,,,line {len(rows) + 1}: price is 'x'; expected a number")
        return Response("\n".join(made) + "\n", media_type="text/csv")

    return answer
