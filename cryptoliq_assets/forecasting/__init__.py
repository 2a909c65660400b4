"""Forecasts of the newest snapshot, what is still to be forecast, and the accuracy of past forecasts.

Predictions for a caller's own rows belong in `serving`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
