"""The service's description: what FastAPI makes of the routes, and what it cannot know of keys."""

from fastapi import FastAPI

from cryptoliq_assets.serving.gateway import OPEN_PATHS

_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer KEY`."},
    "header": {
        "type": "apiKey",
        "in": "header",
        "name": "X-API-Key",
        "description": "The same key, for simpler clients.",
    },
}
# A balancer asks these without a key: there is no too many of it either.
_NEVER_OF_OPEN = ("401", "403", "429")


def build_openapi(app: FastAPI, *, keys: bool) -> None:
    """Make /openapi.json; with keys it says how they are sent, and which paths want none."""
    schema = app.openapi()
    if not keys:
        return
    schema["components"]["securitySchemes"] = _SCHEMES
    schema["security"] = [{name: []} for name in _SCHEMES]
    for path in OPEN_PATHS:
        for operation in schema["paths"][path].values():
            operation["security"] = []
            for status in _NEVER_OF_OPEN:
                operation["responses"].pop(status, None)
