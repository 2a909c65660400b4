"""What a learner leans on: by how much it forecasts rows that it has not seen worse, when one feature says nothing."""

import numpy as np

from cryptoliq_assets.modeling.datasets import TrainingSet
from cryptoliq_assets.modeling.estimators import ScoreForecaster, center_on_7d_mean, has_no_history

# Rows that features are permuted on: seconds, not minutes, whatever the panel.
IMPORTANCE_ROWS = 4_000


def permutation_importance(
    learner: ScoreForecaster, rows: TrainingSet, chosen: np.ndarray, *, seed: int = 7
) -> dict[str, float]:
    """Rise of the squared error of the chosen rows (at most IMPORTANCE_ROWS of them), as a share of it, when one feature is
    shuffled among them: by feature (Breiman 2001, doi:10.1023/A:1010933404324).

    Shuffled is what the learner is shown, windows as departures; the level that it counts from, which is added back, stays
    each row's own, and so does its kind. Features that tell the same stand in for each other, so that each of them by
    itself seems to matter less. The rows must be none that `learner` has learnt from.
    """
    rng = np.random.default_rng(seed)
    if len(chosen) > IMPORTANCE_ROWS:
        chosen = np.sort(rng.choice(chosen, size=IMPORTANCE_ROWS, replace=False))
    X = np.ascontiguousarray(rows.X[chosen][:, [rows.features.index(name) for name in learner.features]])
    realised, bare = rows.y[chosen] - learner.baseline_level(X), has_no_history(X, learner.features)
    shaped = center_on_7d_mean(X, learner.features)

    def error() -> float:
        return float(np.mean((learner.predict_change(shaped, no_history=bare) - realised) ** 2))

    whole = error()
    rises = {}
    for place, name in enumerate(learner.features):
        own = shaped[:, place].copy()
        shaped[:, place] = own[rng.permutation(len(own))]
        rises[name] = error() / whole - 1.0 if whole > 0 else 0.0
        shaped[:, place] = own
    return rises
