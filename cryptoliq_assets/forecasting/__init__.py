"""Forecasts of the newest snapshot, what is pending, and the accuracy of past forecasts.

Add here what makes, stores or compares forecasts of snapshots. Predictions for a caller's own rows belong in `serving`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
