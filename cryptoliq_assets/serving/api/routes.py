"""The routes that only read: what is stored of forecasts and coins, the champion, and how the service is."""

from typing import Annotated, Any, Literal

from fastapi import FastAPI, HTTPException, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from cryptoliq_assets.serving import CONTENT_TYPE, openapi_responses, views
from cryptoliq_assets.serving.api import response_models
from cryptoliq_assets.serving.api.monitor_metrics import MonitorMetrics
from cryptoliq_assets.serving.api.state import Service
from cryptoliq_assets.serving.gateway import client_identity


class _Page(BaseModel):
    """Which forecasts, in which order. A parameter that is none is refused: one misspelt would be another question."""

    model_config = ConfigDict(extra="forbid")

    search: str = Field("", max_length=200, description="Part of a coin's name or symbol.")
    sort: Literal[tuple(s for name in views.ITEM for s in (name, f"-{name}"))] = "coin"
    limit: int = Field(100, ge=1, le=1000)
    offset: int = Field(0, ge=0, le=1_000_000)


class _Days(BaseModel):
    model_config = ConfigDict(extra="forbid")

    days: int = Field(180, ge=1, le=3650)


def add_table_routes(app: FastAPI, service: Service) -> None:
    """GET /forecasts, /forecasts/{coin} and /model."""
    settings = service.settings

    # The models describe the answers; to check a thousand rows by them would take longer than to make them.
    @app.get(
        "/forecasts",
        response_model=None,
        responses={200: {"model": response_models.Forecasts}, **openapi_responses(422)},
    )
    def forecasts(page: Annotated[_Page, Query()]) -> dict[str, Any]:
        """The latest forecasts; `sort` by a field, with - in front the largest first."""
        found = service.latest_forecasts()
        wanted = page.search.casefold()
        items = [
            item
            for item in found["items"]
            if wanted in item["coin"].casefold() or wanted in (item["symbol"] or "").casefold()
        ]
        field, falling = page.sort.lstrip("-"), page.sort.startswith("-")
        known = [item for item in items if item[field] is not None]
        known.sort(key=lambda item: item[field], reverse=falling)
        ordered = known + [item for item in items if item[field] is None]
        shown = ordered[page.offset : page.offset + page.limit]
        return {**found, "count": len(ordered), "offset": page.offset, "items": shown}

    @app.get(
        "/forecasts/{coin:path}",
        response_model=None,
        responses={200: {"model": response_models.Coin}, **openapi_responses(404, 422)},
    )
    def forecasts_of(coin: str, asked: Annotated[_Days, Query()]) -> dict[str, Any]:
        """One coin: its scores of the last days, its forecasts, and what became of them."""
        found = views.build_coin_view(settings, service.predictor.store, coin, days=asked.days)
        if found is None:
            raise HTTPException(404, f"no coin is named {coin[:200]!r} in the stored tables")
        return found

    @app.get("/model", response_model=None, responses={200: {"model": response_models.Model}, **openapi_responses(404)})
    def model() -> dict[str, Any]:
        """What is known of the champion, and why newer ones were passed over for it; 404 while there is none."""
        held = service.predictor.snapshot
        if held is None:
            raise HTTPException(404, service.predictor.problem)
        return {**held.champion.metadata, "passed_over": list(held.champion.passed_over)}


def add_status_routes(app: FastAPI, service: Service, *, keys: bool) -> None:
    """GET /healthz, /readyz and /metrics; keys: whether the service wants them."""

    @app.get("/healthz", response_model=None, responses={200: {"model": response_models.Health}})
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @app.get(
        "/readyz", response_model=None, responses={200: {"model": response_models.Ready}, **openapi_responses(503)}
    )
    async def readyz(request: Request) -> dict[str, Any]:
        """It can forecast: with which champion, of which newest snapshot. Where keys are set only who shows one is told more
        than the status."""
        held = service.predictor.snapshot
        inside = not keys or client_identity(request.scope) is not None
        if held is None:
            raise HTTPException(503, service.predictor.problem if inside else "not ready; asked with a key it says why")
        if not inside:
            return {"status": "ready"}
        return {
            "status": "ready",
            "model_version": held.champion.model_version,
            "newest_snapshot": str(held.newest) if held.newest else None,
            "problem": service.problem,
        }

    monitor = MonitorMetrics(service.settings)

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    def metrics() -> Response:
        """For Prometheus: the sum of all workers, and what the monitor's reports say."""
        return Response(service.metrics.text() + monitor.text(), headers={"content-type": CONTENT_TYPE})
