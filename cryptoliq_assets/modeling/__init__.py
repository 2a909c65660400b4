"""Training and use of models.

    datasets    training rows and splits
    estimators  what fits and predicts
    evaluation  metrics, cross-validation, intervals, leaderboard
    model_card  the page that describes a model
    registry    stored models, promotion, safe loading

The modules here combine these. Running them on a schedule belongs in `orchestration`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
