"""The service in the process of the test: create_app without a server, and an httpx client."""

import contextlib
from collections.abc import AsyncIterator

import httpx
from fastapi import FastAPI

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.serving.api.app import create_app


@contextlib.asynccontextmanager
async def asking(settings: Settings) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    """Run the application from its start to its clean stop; yield it and a client."""
    app = create_app(settings)
    # An exception of the application must fail the test, not become a response.
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        yield app, client
