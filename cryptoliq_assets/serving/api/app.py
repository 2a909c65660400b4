"""The ASGI application of the prediction service, for `cryptoliq serve` or any ASGI server (factory `application`).

Routes are FastAPI routes, except POST /predict, which is documented like the others but handled by plain ASGI for speed.
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

from cryptoliq_assets.core import FileReadError, Settings, StoreUnavailableError
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
    """Create the service of the data directory that the environment names; a factory for ASGI servers."""
    return create_app(Settings())


def create_app(settings: Settings) -> FastAPI:
    """Create the service of one data directory.

    Args:
        settings: Settings of the data directory.

    Returns:
        The application.

    Raises:
        ValueError: If the service would be reachable from other machines without API keys, or a setting is invalid.
    """
    check_formula(settings)
    digests = parse_key_digests(settings.api.keys.get_secret_value() if settings.api.keys else None)
    if not digests and not is_loopback(settings.api.host):
        raise ValueError(
            f"the service would be open to everyone at {settings.api.host}: set CRYPTOLIQ_API__KEYS "
            "(`cryptoliq serve --new-key` generates a key), or bind 127.0.0.1"
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
        description="Forecasts of liquidity_score with prediction intervals. Errors are problem+json (RFC 9457).",
        lifespan=lifespan,
        # Their pages load scripts from other hosts.
        docs_url=None,
        redoc_url=None,
        # The service has its own metrics; FastAPI's telemetry would search the environment on each request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        responses=openapi_responses(400, 401, 403, 429, 500, 503) if digests else openapi_responses(400, 403, 500, 503),
    )
    app.state.service = service
    _add_predict_routes(app, service)
    add_table_routes(app, service)
    add_status_routes(app, service, keys=bool(digests))
    _add_error_handlers(app)
    app.router.redirect_slashes = False
    build_openapi(app, keys=bool(digests))
    _add_head_methods(app)
    templates = {route.path for route in app.routes if isinstance(route, APIRoute)}

    def template_of(scope: Scope) -> str:
        route = scope.get("route")
        path = getattr(route, "path", None) or scope["path"]
        # Unknown paths share one label: otherwise a scan would create a million time series.
        return path if path in templates else "other"

    app.add_middleware(
        RequestMiddleware,
        settings=settings,
        digests=digests,
        metrics=service.metrics,
        log=service.log,
        limiter=service.limiter,
        template_of=template_of,
        direct={("POST", "/predict"): _PredictEndpoint(service)},
    )
    return app


def _add_head_methods(app: FastAPI) -> None:
    """Answer HEAD on every path that answers GET; HEAD is added after the OpenAPI schema is built, so it is not documented."""
    for route in app.routes:
        if isinstance(route, APIRoute) and route.methods and "GET" in route.methods:
            route.methods.add("HEAD")


class _PredictEndpoint:
    """POST /predict as plain ASGI, called by the middleware directly: FastAPI's routing costs a fifth of a request's time."""

    def __init__(self, service: Service) -> None:
        self.service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = await self._respond(scope, receive)
        except tuple(_ERROR_RESPONSES) as error:
            response = _error_response(error)
        await response(scope, receive, send)

    async def _respond(self, scope: Scope, receive: Receive) -> Response:
        check_media_type(scope, JSON)
        body = await read_body(scope, receive, max_bytes=MAX_REQUEST_BYTES, limit="a single request may have")
        prediction = await self.service.predict(PredictRequest.model_validate_json(body))
        return Response(to_json(prediction), media_type=JSON)


def _add_predict_routes(app: FastAPI, service: Service) -> None:
    example = {"content": {JSON: {"example": RESPONSE_EXAMPLE}}}

    # For the OpenAPI description: the middleware handles these requests before they reach the router.
    @app.post("/predict", response_model=PredictResponse, responses={**openapi_responses(413, 415, 422), 200: example})
    async def predict(body: PredictRequest) -> dict[str, Any]:
        """Forecast the score of one coin, one horizon after its snapshot."""
        return await service.predict(body)

    add_batch_route(app, service)


def _parameter_problem(error: RequestValidationError) -> Response:
    """Return 422 for an invalid parameter of the path or the query."""
    errors = [
        {"field": ".".join(map(str, fault["loc"][1:])) or str(fault["loc"][0]), "message": str(fault["msg"])}
        for fault in error.errors()
    ]
    return make_problem(422, "; ".join(f"{each['field']}: {each['message']}" for each in errors[:5]), errors=errors)


_SEE_LOG = "see the service's log and `cryptoliq status`"
# Responses to expected errors. Any other error is handled by the middleware: 500, and a traceback in the log.
_ERROR_RESPONSES: dict[type[Exception], Callable[[Any], Response]] = {
    BodyTooLargeError: lambda error: make_problem(413, str(error)),
    UnsupportedMediaTypeError: lambda error: make_problem(415, str(error)),
    RowsRejectedError: lambda error: validation_problem(error.errors),
    StarletteHTTPException: lambda error: make_problem(error.status_code, str(error.detail), headers=error.headers),
    RequestValidationError: _parameter_problem,
    ValidationError: parse_problem,
    DateRejectedError: lambda error: make_problem(422, str(error), errors=[{"field": "date", "message": str(error)}]),
    InputRejectedError: lambda error: make_problem(422, str(error)),
    NotReadyError: lambda error: make_problem(503, str(error), headers={"Retry-After": "10"}),
    StoreUnavailableError: lambda error: make_problem(
        503, f"a store does not answer; {_SEE_LOG}", headers={"Retry-After": "10"}
    ),
    InvalidTableError: lambda error: make_problem(503, f"a stored table cannot be read; {_SEE_LOG}"),
    FileReadError: lambda error: make_problem(503, f"a stored file cannot be read; {_SEE_LOG}"),
}


def _error_response(error: Exception) -> Response:
    """Return the response to a request that ended with one of the expected errors."""
    return next(respond for kind, respond in _ERROR_RESPONSES.items() if isinstance(error, kind))(error)


def _add_error_handlers(app: FastAPI) -> None:
    async def handle(request: Request, error: Exception) -> Response:
        return _error_response(error)

    for kind in _ERROR_RESPONSES:
        app.add_exception_handler(kind, handle)
