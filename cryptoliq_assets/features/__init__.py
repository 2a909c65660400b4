"""Model inputs: rolling windows per coin and cross-sections per day, the same code offline and online.

A feature is declared in `schemas.feature_registry` and computed here. Scores belong in `labels`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
