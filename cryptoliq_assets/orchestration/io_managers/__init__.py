"""Dagster I/O managers: tables by month, candidates of a training run, the champion, the backtest.

Add one class per storage format. Reading and writing files belongs in `storage` and `modeling.registry`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
