"""Estimators, their specifications and the registry of candidates.

Add code that fits or predicts here; a new candidate is one module in `candidates`. Evaluation and storage belong in
`modeling.evaluation` and `modeling.registry`. Only here, and where models are loaded, are scikit-learn and xgboost imported.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
