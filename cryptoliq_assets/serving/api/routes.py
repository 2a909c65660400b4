"""Read-only routes: stored forecasts and coins, the champion, health, readiness and metrics.

Routes that compute predictions belong in `app` and `batch_routes`.
"""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import FastAPI, HTTPException, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from cryptoliq_assets.serving import CONTENT_TYPE, openapi_responses, views
from cryptoliq_assets.serving.api import response_models
from cryptoliq_assets.serving.api.monitor_metrics import MonitorMetrics
from cryptoliq_assets.serving.api.state import Service
from cryptoliq_assets.serving.gateway import client_identity

if TYPE_CHECKING:
    _SortField = str
else:
    _SortField = Literal[tuple(sort for name in views.ITEM_FIELDS for sort in (name, f"-{name}"))]


class _PageQuery(BaseModel):
    """Filter, order and page of forecasts. Unknown parameters are rejected: a misspelt one would silently change the result."""

    model_config = ConfigDict(extra="forbid")

    search: str = Field("", max_length=200, description="Part of a coin's name or symbol.")
    sort: _SortField = "coin"
    limit: int = Field(100, ge=1, le=1000)
    offset: int = Field(0, ge=0, le=1_000_000)


class _CoinQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    days: int = Field(180, ge=1, le=3650)


def add_table_routes(app: FastAPI, service: Service) -> None:
    """Add GET /forecasts, /forecasts/{coin} and /model.

    Args:
        app: Application to add the routes to.
        service: State of the process.
    """
    settings = service.settings

    # The models only document the responses: validating a thousand rows would take longer than computing them.
    @app.get(
        "/forecasts",
        response_model=None,
        responses={200: {"model": response_models.Forecasts}, **openapi_responses(422)},
    )
    def forecasts(page: Annotated[_PageQuery, Query()]) -> dict[str, Any]:
        """List the latest forecasts; `sort` by a field, in descending order with a leading `-`."""
        latest = service.latest_forecasts()
        text = page.search.casefold()
        items = [
            item
            for item in latest["items"]
            if text in item["coin"].casefold() or text in (item["symbol"] or "").casefold()
        ]
        field, is_descending = page.sort.lstrip("-"), page.sort.startswith("-")
        with_value = [item for item in items if item[field] is not None]
        with_value.sort(key=lambda item: item[field], reverse=is_descending)
        ordered = with_value + [item for item in items if item[field] is None]
        selected = ordered[page.offset : page.offset + page.limit]
        return {**latest, "count": len(ordered), "offset": page.offset, "items": selected}

    @app.get(
        "/forecasts/{coin:path}",
        response_model=None,
        responses={200: {"model": response_models.Coin}, **openapi_responses(404, 422)},
    )
    def forecasts_of(coin: str, query: Annotated[_CoinQuery, Query()]) -> dict[str, Any]:
        """Show one coin: its scores of the last days, and its forecasts with the actual scores."""
        view = views.build_coin_view(settings, service.predictor.store, coin, days=query.days)
        if view is None:
            raise HTTPException(404, f"unknown coin: {coin[:200]!r} is not in the stored tables")
        return view

    @app.get("/model", response_model=None, responses={200: {"model": response_models.Model}, **openapi_responses(404)})
    def model() -> dict[str, Any]:
        """Show the metadata of the champion, and why newer models do not serve; 404 if there is no champion."""
        snapshot = service.predictor.snapshot
        if snapshot is None:
            raise HTTPException(404, service.predictor.problem)
        return {**snapshot.champion.metadata, "passed_over": list(snapshot.champion.passed_over)}


def add_status_routes(app: FastAPI, service: Service, *, keys: bool) -> None:
    """Add GET /healthz, /readyz and /metrics.

    Args:
        app: Application to add the routes to.
        service: State of the process.
        keys: Whether the service requires API keys.
    """

    @app.get("/healthz", response_model=None, responses={200: {"model": response_models.Health}})
    async def healthz() -> dict[str, str]:
        """Liveness: the process responds."""
        return {"status": "ok"}

    @app.get(
        "/readyz", response_model=None, responses={200: {"model": response_models.Ready}, **openapi_responses(503)}
    )
    async def readyz(request: Request) -> dict[str, Any]:
        """Readiness: which champion serves, and on which newest snapshot. If keys are configured, unauthenticated callers see
        only the status."""
        snapshot = service.predictor.snapshot
        is_authenticated = not keys or client_identity(request.scope) is not None
        if snapshot is None:
            reason = service.predictor.problem if is_authenticated else "not ready; send a key to see the reason"
            raise HTTPException(503, reason, headers={"Retry-After": "10"})
        if not is_authenticated:
            return {"status": "ready"}
        return {
            "status": "ready",
            "model_version": snapshot.champion.model_version,
            "newest_snapshot": str(snapshot.newest) if snapshot.newest else None,
            "problem": service.problem,
        }

    monitor = MonitorMetrics(service.settings)

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    def metrics() -> Response:
        """Metrics for Prometheus: the sum of all workers, and the figures of the monitoring reports."""
        return Response(service.metrics.render() + monitor.render(), headers={"content-type": CONTENT_TYPE})
