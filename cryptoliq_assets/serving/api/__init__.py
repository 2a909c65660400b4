"""The HTTP API: application, routes, response models, and metrics of the monitoring reports.

Add routes here. Limits and authentication belong in `serving.gateway`, values that the dashboard shows as well in `serving.views`.
"""

__all__: list[str] = []
