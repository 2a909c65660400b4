"""Predictions for a caller: over HTTP, for CSV files, and the views that the API and the dashboard share.

api      routes, request and response models
csv      CSV files of any size
gateway  authentication, origins, limits
server   worker processes
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
