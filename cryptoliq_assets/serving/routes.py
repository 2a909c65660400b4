"""The routes that only read: what is stored of forecasts and coins, the champion, and how the service is."""

from typing import Annotated, Any, Literal

from fastapi import FastAPI, HTTPException, Query
from starlette.responses import Response

from cryptoliq_assets.serving import views
from cryptoliq_assets.serving.metrics import CONTENT_TYPE
from cryptoliq_assets.serving.monitor_metrics import MonitorMetrics
from cryptoliq_assets.serving.problems import documented
from cryptoliq_assets.serving.service import Service

_SORTS = ("coin", "liquidity_score", "lower", "upper", "today", "change", "below_mean", "24h_volume", "mkt_cap", "rank")


def add_tables(app: FastAPI, service: Service) -> None:
    """GET /forecasts, /forecasts/{coin} and /model."""
    settings = service.settings

    @app.get("/forecasts", responses=documented(422))
    def forecasts(
        search: Annotated[str, Query(max_length=200, description="Part of a coin's name or symbol.")] = "",
        sort: Annotated[Literal[tuple(s for name in _SORTS for s in (name, f"-{name}"))], Query()] = "coin",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    ) -> dict[str, Any]:
        """The latest forecasts; `sort` by a field, with - in front the largest first."""
        found = service.latest_forecasts()
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

    @app.get("/forecasts/{coin:path}", responses=documented(404, 422))
    def forecasts_of(coin: str, days: Annotated[int, Query(ge=1, le=3650)] = 180) -> dict[str, Any]:
        """One coin: its scores of the last days, its forecasts, and what became of them."""
        found = views.coin_view(settings, service.predictor.store, coin, days=days)
        if found is None:
            raise HTTPException(404, f"no coin is named {coin[:200]!r} in the stored tables")
        return found

    @app.get("/model", responses=documented(404))
    def model() -> dict[str, Any]:
        """What is known of the champion, and why newer ones were passed over for it; 404 while there is none."""
        held = service.predictor.held
        if held is None:
            raise HTTPException(404, service.predictor.problem)
        return {**held.champion.metadata, "passed_over": list(held.champion.passed_over)}


def add_state(app: FastAPI, service: Service) -> None:
    """GET /healthz, /readyz and /metrics."""

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    @app.get("/readyz", responses=documented(503))
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

    monitor = MonitorMetrics(service.settings)

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    def metrics() -> Response:
        """For Prometheus: the sum of all workers, and what the monitor's reports say."""
        return Response(service.metrics.text() + monitor.text(), headers={"content-type": CONTENT_TYPE})
