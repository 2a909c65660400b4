"""The prediction service: `cryptoliq serve`, or any ASGI server with the factory `application`.

Routes are FastAPI's but for the hot one, POST /predict, which is documented like the others and handled by plain ASGI.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError
from pydantic_core import to_json
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from cryptoliq_assets.core import FileReadError, Settings
from cryptoliq_assets.labels import check_formula
from cryptoliq_assets.serving import (
    RESPONSE_EXAMPLE,
    DateRejectedError,
    NotReadyError,
    PredictRequest,
    PredictResponse,
    make_problem,
    openapi_responses,
    parse_problem,
    validation_problem,
)
from cryptoliq_assets.serving.api.batch_routes import RowsRejectedError, add_batch_route
from cryptoliq_assets.serving.api.openapi import build_openapi
from cryptoliq_assets.serving.api.routes import add_status_routes, add_table_routes
from cryptoliq_assets.serving.api.state import Service
from cryptoliq_assets.serving.csv import InputRejectedError
from cryptoliq_assets.serving.gateway import (
    JSON,
    MAX_REQUEST_BYTES,
    BodyTooLargeError,
    RequestMiddleware,
    UnsupportedMediaTypeError,
    check_media_type,
    is_loopback,
    parse_key_digests,
    read_body,
)
from cryptoliq_assets.storage import InvalidTableError


def application() -> FastAPI:
    """The service of the home that the environment names; for ASGI servers that take a factory."""
    return create_app(Settings())


def create_app(settings: Settings) -> FastAPI:
    """The service on one home. Raises ValueError where it would be open to others without a key."""
    check_formula(settings)
    digests = parse_key_digests(settings.api.keys.get_secret_value() if settings.api.keys else None)
    if not digests and not is_loopback(settings.api.host):
        raise ValueError(
            f"the service would be open to everyone at {settings.api.host}: set CRYPTOLIQ_API__KEYS "
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
        responses=openapi_responses(400, 401, 403, 429, 500, 503) if digests else openapi_responses(400, 403, 500, 503),
    )
    app.state.service = service
    _add_predictions(app, service)
    add_table_routes(app, service)
    add_status_routes(app, service, keys=bool(digests))
    _add_errors(app)
    app.router.redirect_slashes = False
    build_openapi(app, keys=bool(digests))
    _answer_head(app)
    templates = {route.path for route in app.routes if isinstance(route, APIRoute)}

    def template_of(scope: Scope) -> str:
        route = scope.get("route")
        path = getattr(route, "path", None) or scope["path"]
        # A path that is none of ours is one label, or a scan would make a million.
        return path if path in templates else "other"

    app.add_middleware(
        RequestMiddleware,
        settings=settings,
        digests=digests,
        metrics=service.metrics,
        log=service.log,
        buckets=service.buckets,
        template_of=template_of,
        direct={("POST", "/predict"): _Predict(service)},
    )
    return app


def _answer_head(app: FastAPI) -> None:
    """HEAD wherever GET is; what is described before has it not: it says nothing that GET does not."""
    for route in app.routes:
        if isinstance(route, APIRoute) and "GET" in route.methods:
            route.methods.add("HEAD")


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
        check_media_type(scope, JSON)
        body = await read_body(scope, receive, most=MAX_REQUEST_BYTES, limit="one request may have")
        answer = await self.service.predict(PredictRequest.model_validate_json(body))
        return Response(to_json(answer), media_type=JSON)


def _add_predictions(app: FastAPI, service: Service) -> None:
    example = {"content": {JSON: {"example": RESPONSE_EXAMPLE}}}

    # As it is documented. The guard answers it before it gets here.
    @app.post("/predict", response_model=PredictResponse, responses={**openapi_responses(413, 415, 422), 200: example})
    async def predict(body: PredictRequest) -> dict[str, Any]:
        """The score expected a horizon from now, of one coin as a snapshot shows it."""
        return await service.predict(body)

    add_batch_route(app, service)


def _fields_refused(error: RequestValidationError) -> Response:
    """A parameter of the address or its query that is none."""
    faults = [
        {"field": ".".join(map(str, fault["loc"][1:])) or str(fault["loc"][0]), "message": str(fault["msg"])}
        for fault in error.errors()
    ]
    return make_problem(422, "; ".join(f"{fault['field']}: {fault['message']}" for fault in faults[:5]), errors=faults)


_SAY_MORE = "the service's log and `cryptoliq status` say more"
# What is foreseen, and how it is told. All else is the guard's: 500, and a traceback in the log.
_FORESEEN: dict[type[Exception], Callable[[Any], Response]] = {
    BodyTooLargeError: lambda error: make_problem(413, str(error)),
    UnsupportedMediaTypeError: lambda error: make_problem(415, str(error)),
    RowsRejectedError: lambda error: validation_problem(error.faults),
    StarletteHTTPException: lambda error: make_problem(error.status_code, str(error.detail), headers=error.headers),
    RequestValidationError: _fields_refused,
    ValidationError: parse_problem,
    DateRejectedError: lambda error: make_problem(422, str(error), errors=[{"field": "date", "message": str(error)}]),
    InputRejectedError: lambda error: make_problem(422, str(error)),
    NotReadyError: lambda error: make_problem(503, str(error), headers={"Retry-After": "10"}),
    InvalidTableError: lambda error: make_problem(503, f"a stored table cannot be read; {_SAY_MORE}"),
    FileReadError: lambda error: make_problem(503, f"a stored file cannot be read; {_SAY_MORE}"),
}


def _told(error: Exception) -> Response:
    """The answer to a request that ended with one of the foreseen errors."""
    return next(answer for kind, answer in _FORESEEN.items() if isinstance(error, kind))(error)


def _add_errors(app: FastAPI) -> None:
    async def told(request: Request, error: Exception) -> Response:
        return _told(error)

    for kind in _FORESEEN:
        app.add_exception_handler(kind, told)
