"""Training and use of models.

    datasets    training rows and splits
    estimators  what fits and predicts
    evaluation  metrics, cross-validation, intervals, leaderboard
    model_card  the page that describes a model
    registry    stored models, promotion, safe loading

The modules here combine these. Running them on a schedule belongs in `orchestration`.
"""

import os

import lazy_loader

# Threads of scikit-learn and xgboost sleep while they wait: spinning ones block the cores that others need, and on a busy machine a fit of
# xgboost took ten times as long. Both load the same OpenMP library, and the first import decides, so it is set before either.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
