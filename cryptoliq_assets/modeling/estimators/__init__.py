"""Estimators and their specifications: the only place, beside safe loading, that imports scikit-learn or xgboost.

Evaluation and storage belong in the packages beside this one.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
