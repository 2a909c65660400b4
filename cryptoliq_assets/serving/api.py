"""The prediction service: `cryptoliq serve`, or any ASGI server with the factory `application`.

Routes are FastAPI's but for the hot one, POST /predict, which is documented like the others and handled by plain ASGI.
"""

import asyncio
import datetime as dt
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from cryptoliq_assets.io.validation import TableInvalid
from cryptoliq_assets.serving.batch import InputRefused, predict_content
from cryptoliq_assets.serving.contract import (
    ANSWER_EXAMPLE,
    EXAMPLE,
    BatchAnswer,
    BatchRequest,
    PredictAnswer,
    PredictRequest,
)
from cryptoliq_assets.serving.guard import Guard
from cryptoliq_assets.serving.keys import digests_in, is_loopback
from cryptoliq_assets.serving.predictor import DateRefused, NotReady
from cryptoliq_assets.serving.problems import documented, invalid, problem
from cryptoliq_assets.serving.routes import add_state, add_tables
from cryptoliq_assets.serving.service import BATCH, Service
from cryptoliq_assets.settings import Settings

_JSON, _CSV = "application/json", "text/csv"


def application() -> FastAPI:
    """The service of the home that the environment names; for ASGI servers that take a factory."""
    return create_app(Settings())


def create_app(settings: Settings) -> FastAPI:
    """The service on one home. Raises ValueError where it would be open to others without a key."""
    digests = digests_in(settings.api_keys.get_secret_value() if settings.api_keys else None)
    if not digests and not is_loopback(settings.api_host):
        raise ValueError(
            f"the service would be open to everyone at {settings.api_host}: set CRYPTOLIQ_API_KEYS "
            "(`cryptoliq serve --new-key` makes one), or bind 127.0.0.1"
        )
    service = Service(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    app = FastAPI(
        title="cryptoliq",
        version="1",
        summary="Tomorrow's liquidity of every coin.",
        description="Forecasts of liquidity_score with intervals. Errors are problem+json (RFC 9457).",
        lifespan=lifespan,
        # Their pages load scripts from elsewhere.
        docs_url=None,
        redoc_url=None,
        # It has metrics of its own; FastAPI's would look through the environment at each request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        responses=documented(401, 403, 429, 500, 503) if digests else documented(500, 503),
    )
    app.state.service = service
    _add_predictions(app, service)
    add_tables(app, service)
    add_state(app, service)
    _add_errors(app)
    app.router.redirect_slashes = False
    templates = {route.path for route in app.routes if isinstance(route, APIRoute)}

    def template_of(scope: Scope) -> str:
        route = scope.get("route")
        path = getattr(route, "path", None) or scope["path"]
        # A path that is none of ours is one label, or a scan would make a million.
        return path if path in templates else "other"

    app.add_middleware(
        Guard,
        settings=settings,
        digests=digests,
        metrics=service.metrics,
        log=service.log,
        template_of=template_of,
        direct={("POST", "/predict"): _Predict(service)},
    )
    return app


class _Predict:
    """POST /predict as plain ASGI, which the guard hands on by itself: FastAPI's way to a route and back costs a fifth of
    the time of a request."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._respond(scope, receive)
        except tuple(_FORESEEN) as error:
            answer = _told(error)
        await answer(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        kind = _media_type(scope)
        if kind and kind != _JSON:
            return problem(415, f"the body is {kind}; expected {_JSON}")
        message = await receive()
        body = message.get("body", b"")
        while message.get("more_body"):
            message = await receive()
            body += message.get("body", b"")
        answer = await self.service.predict(PredictRequest.model_validate_json(body))
        return Response(to_json(answer), media_type=_JSON)


def _add_predictions(app: FastAPI, service: Service) -> None:
    example = {"content": {_JSON: {"example": ANSWER_EXAMPLE}}}

    # As it is documented. The guard answers it before it gets here.
    @app.post("/predict", response_model=PredictAnswer, responses={**documented(413, 415, 422), 200: example})
    async def predict(body: PredictRequest) -> dict[str, Any]:
        """The score expected a horizon from now, of one coin as a snapshot shows it."""
        return await service.predict(body)

    body = {
        "required": True,
        "content": {
            _JSON: {"schema": {"$ref": "#/components/schemas/BatchRequest"}, "example": {"rows": [EXAMPLE]}},
            _CSV: {"schema": {"type": "string"}, "example": _CSV_EXAMPLE},
        },
    }
    answers = {
        200: {
            "model": BatchAnswer,
            "description": "Answers in the order of the rows; for CSV the rows as they came with the forecast's columns, "
            "refused ones with the reason.",
            "content": {_CSV: {"schema": {"type": "string"}}},
        }
    }

    @app.post(
        "/predict/batch",
        response_model=None,
        responses={**answers, **documented(413, 415, 422)},
        openapi_extra={"requestBody": body},
    )
    async def predict_batch(request: Request) -> Response:
        """Many at once: JSON rows up to CRYPTOLIQ_API_BATCH_ROWS, or a CSV of the raw contract up to the body's limit."""
        kind = _media_type(request.scope)
        if kind == _CSV:
            return await _csv_answer(service, await request.body())
        if kind and kind != _JSON:
            return problem(415, f"the body is {kind}; expected {_JSON} or {_CSV}")
        asked = BatchRequest.model_validate_json(await request.body())
        most = service.settings.api_batch_rows
        if len(asked.rows) > most:
            return problem(413, f"{len(asked.rows):,} rows; at most {most:,} in one JSON body, or send CSV")
        return await _json_answer(service, asked.rows)


_CSV_EXAMPLE = (
    "coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date\nBitcoin,BTC,61250.5,0.12,-1.8,4.6,2.48e10,1.2e12,2025-07-31\n"
)


async def _json_answer(service: Service, rows: list[PredictRequest]) -> Response:
    started = time.perf_counter()
    answers = await asyncio.to_thread(service.predictor.answers, rows)
    service.note(BATCH, rows, answers, seconds=time.perf_counter() - started)
    return Response(to_json({"answers": answers}), media_type=_JSON)


async def _csv_answer(service: Service, content: bytes) -> Response:
    held = service.predictor.held
    if held is None:
        raise NotReady(service.predictor.problem)
    outcome, chunks = await asyncio.to_thread(
        predict_content,
        content,
        champion=held.champion,
        settings=service.settings,
        today=dt.datetime.now(dt.UTC).date(),
        history=held.history_from,
    )
    for basis, count in outcome.by_basis.items():
        service.metrics.predicted(BATCH, basis, count=count)
    summary = {"event": "prediction", "mode": "csv", "at": time.time(), "version": held.champion.version}
    service.log.write({**summary, "rows": outcome.rows, "by_basis": outcome.by_basis, "refused": outcome.refused})
    return StreamingResponse(chunks, media_type=_CSV)


def _fields_refused(error: RequestValidationError) -> Response:
    """A parameter of the address or its query that is none."""
    faults = [
        {"field": ".".join(map(str, fault["loc"][1:])) or str(fault["loc"][0]), "message": str(fault["msg"])}
        for fault in error.errors()
    ]
    return problem(422, "; ".join(f"{fault['field']}: {fault['message']}" for fault in faults[:5]), errors=faults)


# What is foreseen, and how it is told. All else is the guard's: 500, and a traceback in the log.
_FORESEEN: dict[type[Exception], Callable[[Any], Response]] = {
    StarletteHTTPException: lambda error: problem(error.status_code, str(error.detail), headers=error.headers),
    RequestValidationError: _fields_refused,
    ValidationError: invalid,
    DateRefused: lambda error: problem(422, str(error), errors=[{"field": "date", "message": str(error)}]),
    InputRefused: lambda error: problem(422, str(error)),
    NotReady: lambda error: problem(503, str(error), headers={"Retry-After": "10"}),
    TableInvalid: lambda error: problem(
        503, "a stored table cannot be read; the service's log and `cryptoliq status` say more"
    ),
}


def _told(error: Exception) -> Response:
    """The answer to a request that ended with one of the foreseen errors."""
    return next(answer for kind, answer in _FORESEEN.items() if isinstance(error, kind))(error)


def _add_errors(app: FastAPI) -> None:
    async def told(request: Request, error: Exception) -> Response:
        return _told(error)

    for kind in _FORESEEN:
        app.add_exception_handler(kind, told)


def _media_type(scope: Scope) -> str:
    said = dict(scope["headers"]).get(b"content-type", b"").decode("latin-1")
    return said.partition(";")[0].strip().lower()
