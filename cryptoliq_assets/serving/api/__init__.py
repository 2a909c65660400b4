"""The HTTP API: application, routes, request and response models, metrics.

Limits and authentication belong in `serving.gateway`.
"""

__all__: list[str] = []
