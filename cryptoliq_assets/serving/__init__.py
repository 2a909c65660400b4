"""Predictions on request: over HTTP, for CSV files, and the views that the API and the dashboard share.

api      HTTP routes and response models
csv      CSV files of any size
gateway  authentication, origins, rate and body limits
server   worker processes

Modules here know neither routes nor pages. Computing features and models belongs in `features` and `modeling`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
