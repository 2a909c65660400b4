"""The service in the test's own process: create_app without a server, asked through httpx."""

import contextlib
from collections.abc import AsyncIterator

import httpx
from fastapi import FastAPI

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.serving.api.app import create_app


@contextlib.asynccontextmanager
async def asking(settings: Settings) -> AsyncIterator[tuple[FastAPI, httpx.AsyncClient]]:
    """The app, from its start to its clean stop, and a client of it."""
    app = create_app(settings)
    # What a server answers when the app itself fails is not the app's answer.
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        yield app, client
