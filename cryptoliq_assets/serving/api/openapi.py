"""The OpenAPI description: what FastAPI derives from the routes, and the authentication that it does not know about.

Descriptions of single routes belong in the routes.
"""

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
# Open paths need no key and have no rate limit.
_NOT_ON_OPEN_PATHS = ("401", "403", "429")


def build_openapi(app: FastAPI, *, keys: bool) -> None:
    """Build the description served at /openapi.json.

    Args:
        app: Application with all routes added.
        keys: Whether the service requires API keys; then the description states how to send them, and which paths need none.
    """
    schema = app.openapi()
    if not keys:
        return
    schema["components"]["securitySchemes"] = _SCHEMES
    schema["security"] = [{name: []} for name in _SCHEMES]
    for path in OPEN_PATHS:
        for operation in schema["paths"][path].values():
            operation["security"] = []
            for status in _NOT_ON_OPEN_PATHS:
                operation["responses"].pop(status, None)
