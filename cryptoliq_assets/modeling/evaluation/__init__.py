"""Metrics, rolling-origin cross-validation, backtest, conformal intervals, leaderboard, leakage check.

An evaluation takes fitted predictions and truth; it trains through `modeling.estimators` only.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
