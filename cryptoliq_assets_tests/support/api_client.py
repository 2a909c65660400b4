"""The service in the process of the test, without a server, and an httpx client."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import httpx
from fastapi import FastAPI

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.serving.api.app import create_app

ResultT = TypeVar("ResultT")


@contextlib.asynccontextmanager
async def running_app(settings: Settings) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    """Run the application from its start to its clean stop; yield it and a client."""
    app = create_app(settings)
    # An exception of the application must fail the test, not become a response.
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        yield app, client


def run_with_client(
    settings: Settings, send_requests: Callable[[httpx.AsyncClient, FastAPI], Awaitable[ResultT]]
) -> ResultT:
    """Run `send_requests(client, app)` with a service of these settings; return its result."""

    async def run() -> ResultT:
        async with running_app(settings) as (app, client):
            return await send_requests(client, app)

    return asyncio.run(run())
