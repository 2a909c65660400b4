"""The prediction service: `cryptoliq serve`, or any ASGI server with the factory `application`.

Routes are FastAPI's but for the hot one, POST /predict, which is documented like the others and handled by plain ASGI.
"""

import datetime as dt
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from cryptoliq_assets.io.validation import TableInvalid
from cryptoliq_assets.serving import views
from cryptoliq_assets.serving.batch import InputRefused, predict_content
from cryptoliq_assets.serving.contract import (
    ANSWER_EXAMPLE,
    EXAMPLE,
    BatchAnswer,
    BatchRequest,
    PredictAnswer,
    PredictRequest,
    Problem,
)
from cryptoliq_assets.serving.guard import Guard
from cryptoliq_assets.serving.keys import digests_in, is_loopback
from cryptoliq_assets.serving.metrics import CONTENT_TYPE
from cryptoliq_assets.serving.predictor import DateRefused, NotReady
from cryptoliq_assets.serving.problems import invalid, problem
from cryptoliq_assets.serving.service import BATCH, Service
from cryptoliq_assets.settings import Settings

_JSON, _CSV = "application/json", "text/csv"
_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_SORTS = ("coin", "liquidity_score", "lower", "upper", "today", "change", "below_mean", "24h_volume", "mkt_cap", "rank")


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
        responses=_problems(401, 403, 429, 500, 503) if digests else _problems(500, 503),
    )
    app.state.service = service
    _add_predictions(app, service)
    _add_tables(app, service)
    _add_state(app, service)
    _add_errors(app)
    app.router.redirect_slashes = False
    templates = {route.path for route in app.routes if isinstance(route, APIRoute)}

    def template_of(scope: Scope) -> str:
        route = scope.get("route")
        path = getattr(route, "path", None) or scope["path"]
        # A path that is none of ours is one label, or a scan would make a million.
        return path if path in templates else "other"

    app.add_middleware(
        Guard, settings=settings, digests=digests, metrics=service.metrics, log=service.log, template_of=template_of
    )
    return app


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    titles = {
        400: "The request is no HTTP that can be read.",
        401: "No key.",
        403: "A key that is not known.",
        404: "Nothing of that name.",
        413: "The body is larger than the limit.",
        415: "The body is of another media type.",
        422: "A field is missing, unknown, of another type or out of bounds.",
        429: "Too many requests with this key.",
        500: "The service failed.",
        503: "There is no champion, or the request took too long.",
    }
    return {status: {"model": Problem, "description": titles[status], "content": _PROBLEM} for status in statuses}


class _Predict:
    """POST /predict as plain ASGI."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await self._respond(scope, receive))(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        kind = _media_type(scope)
        if kind and kind != _JSON:
            return problem(415, f"the body is {kind}; expected {_JSON}")
        message = await receive()
        body = message.get("body", b"")
        while message.get("more_body"):
            message = await receive()
            body += message.get("body", b"")
        try:
            request = PredictRequest.model_validate_json(body)
            answer = await self.service.predict(request)
        except ValidationError as error:
            return invalid(error)
        except DateRefused as error:
            return problem(422, str(error), errors=[{"field": "date", "message": str(error)}])
        except NotReady as error:
            return problem(503, str(error), headers={"Retry-After": "10"})
        return Response(to_json(answer), media_type=_JSON)


def _add_predictions(app: FastAPI, service: Service) -> None:
    example = {"content": {_JSON: {"example": ANSWER_EXAMPLE}}}

    @app.post("/predict", response_model=PredictAnswer, responses={**_problems(413, 415, 422), 200: example})
    async def predict(body: PredictRequest) -> dict[str, Any]:
        """The score expected a horizon from now, of one coin as a snapshot shows it."""
        return await service.predict(body)

    hot = next(route for route in app.routes if isinstance(route, APIRoute) and route.path == "/predict")
    # Documented as above, handled without FastAPI's own reading and writing of bodies.
    hot.app = _Predict(service)

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
        responses={**answers, **_problems(413, 415, 422)},
        openapi_extra={"requestBody": body},
    )
    async def predict_batch(request: Request) -> Response:
        """Many at once: JSON rows up to CRYPTOLIQ_API_BATCH_ROWS, or a CSV of the raw contract up to the body's limit."""
        kind = _media_type(request.scope)
        if kind == _CSV:
            return await _csv_answer(service, await request.body())
        if kind and kind != _JSON:
            return problem(415, f"the body is {kind}; expected {_JSON} or {_CSV}")
        try:
            asked = BatchRequest.model_validate_json(await request.body())
        except ValidationError as error:
            return invalid(error)
        most = service.settings.api_batch_rows
        if len(asked.rows) > most:
            return problem(413, f"{len(asked.rows):,} rows; at most {most:,} in one JSON body, or send CSV")
        return await _json_answer(service, asked.rows)


_CSV_EXAMPLE = (
    "coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date\nBitcoin,BTC,61250.5,0.12,-1.8,4.6,2.48e10,1.2e12,2025-07-31\n"
)


async def _json_answer(service: Service, rows: list[PredictRequest]) -> Response:
    import asyncio

    started = time.perf_counter()
    try:
        answers = await asyncio.to_thread(service.predictor.answers, rows)
    except DateRefused as error:
        return problem(422, str(error), errors=[{"field": "rows.date", "message": str(error)}])
    except NotReady as error:
        return problem(503, str(error), headers={"Retry-After": "10"})
    service.note(BATCH, rows, answers, seconds=time.perf_counter() - started)
    return Response(to_json({"answers": answers}), media_type=_JSON)


async def _csv_answer(service: Service, content: bytes) -> Response:
    import asyncio

    held = service.predictor.held
    if held is None:
        return problem(503, service.predictor.problem, headers={"Retry-After": "10"})
    today = dt.datetime.now(dt.UTC).date()
    try:
        outcome, chunks = await asyncio.to_thread(
            predict_content,
            content,
            champion=held.champion,
            settings=service.settings,
            today=today,
            history=held.history_from,
        )
    except InputRefused as error:
        return problem(422, str(error))
    for basis, count in outcome.by_basis.items():
        service.metrics.predicted(BATCH, basis, count=count)
    summary = {"event": "prediction", "mode": "csv", "at": time.time(), "version": held.champion.version}
    service.log.write({**summary, "rows": outcome.rows, "by_basis": outcome.by_basis, "refused": outcome.refused})
    return StreamingResponse(_encoded(chunks), media_type=_CSV)


def _encoded(chunks: Iterator[bytes]) -> Iterator[bytes]:
    yield from chunks


def _add_tables(app: FastAPI, service: Service) -> None:
    settings = service.settings

    @app.get("/forecasts", responses=_problems(422))
    def forecasts(
        search: Annotated[str, Query(max_length=200, description="Part of a coin's name or symbol.")] = "",
        sort: Annotated[Literal[tuple(s for name in _SORTS for s in (name, f"-{name}"))], Query()] = "coin",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    ) -> dict[str, Any]:
        """The latest forecasts; `sort` by a field, with - in front the largest first."""
        found = views.latest_forecasts(settings, service.predictor.store)
        wanted = search.casefold()
        items = [
            item
            for item in found["items"]
            if wanted in item["coin"].casefold() or wanted in (item["symbol"] or "").casefold()
        ]
        field, falling = sort.lstrip("-"), sort.startswith("-")
        known = [item for item in items if item[field] is not None]
        known.sort(key=lambda item: item[field], reverse=falling)
        ordered = known + [item for item in items if item[field] is None]
        return {**found, "count": len(ordered), "offset": offset, "items": ordered[offset : offset + limit]}

    @app.get("/forecasts/{coin:path}", responses=_problems(404, 422))
    def forecasts_of(coin: str, days: Annotated[int, Query(ge=1, le=3650)] = 180) -> dict[str, Any]:
        """One coin: its scores of the last days, its forecasts, and what became of them."""
        found = views.coin_view(settings, service.predictor.store, coin, days=days)
        if found is None:
            raise HTTPException(404, f"no coin is named {coin[:200]!r} in the stored tables")
        return found

    @app.get("/model", responses=_problems(404))
    def model() -> dict[str, Any]:
        """What is known of the champion; 404 while there is none."""
        held = service.predictor.held
        if held is None:
            raise HTTPException(404, service.predictor.problem)
        return held.champion.metadata


def _add_state(app: FastAPI, service: Service) -> None:
    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @app.get("/readyz", responses=_problems(503))
    async def readyz() -> dict[str, Any]:
        """It can forecast: with which champion, of which newest snapshot."""
        held = service.predictor.held
        if held is None:
            raise HTTPException(503, service.predictor.problem)
        return {
            "status": "ready",
            "model_version": held.champion.version,
            "newest_snapshot": str(held.newest) if held.newest else None,
            "problem": service.problem,
        }

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    def metrics() -> Response:
        """For Prometheus: the sum of all workers."""
        return Response(service.metrics.text(), headers={"content-type": CONTENT_TYPE})


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(StarletteHTTPException)
    async def told(request: Request, error: StarletteHTTPException) -> Response:
        return problem(error.status_code, str(error.detail), headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def refused(request: Request, error: RequestValidationError) -> Response:
        faults = [
            {"field": ".".join(map(str, fault["loc"][1:])) or str(fault["loc"][0]), "message": str(fault["msg"])}
            for fault in error.errors()
        ]
        return problem(422, "; ".join(f"{fault['field']}: {fault['message']}" for fault in faults[:5]), errors=faults)

    @app.exception_handler(NotReady)
    async def not_ready(request: Request, error: NotReady) -> Response:
        return problem(503, str(error), headers={"Retry-After": "10"})

    @app.exception_handler(TableInvalid)
    async def damaged(request: Request, error: TableInvalid) -> Response:
        return problem(503, "a stored table cannot be read; the service's log and `cryptoliq status` say more")


def _media_type(scope: Scope) -> str:
    said = dict(scope["headers"]).get(b"content-type", b"").decode("latin-1")
    return said.partition(";")[0].strip().lower()
