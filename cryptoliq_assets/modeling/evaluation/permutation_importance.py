"""Permutation importance of features, on held-out rows.

Other explanations of a forecaster belong in modules of their own here; how importance is shown belongs in `modeling.model_card`.
"""

import numpy as np
import numpy.typing as npt

from cryptoliq_assets.modeling.datasets import TrainingRows
from cryptoliq_assets.modeling.estimators import ScoreForecaster, center_on_7d_mean, has_no_history

# Limit on the rows, so that it takes seconds, not minutes, on any panel.
IMPORTANCE_ROWS = 4_000


def permutation_importance(
    forecaster: ScoreForecaster, rows: TrainingRows, chosen: npt.NDArray[np.int64], *, seed: int = 7
) -> dict[str, float]:
    """Return the relative increase of the squared error when one feature is shuffled among the rows, by feature.

    The centered features are shuffled; the baseline level, which is added back, and the no-history mask stay each row's
    own. Correlated features substitute each other, so that each of them alone seems less important.

    Args:
        forecaster: A fitted forecaster.
        rows: The training set.
        chosen: Indices of rows that it was not fitted on; at most IMPORTANCE_ROWS of them are used.
        seed: Seed of the shuffling.

    Source: Breiman 2001, doi:10.1023/A:1010933404324.
    """
    rng = np.random.default_rng(seed)
    if len(chosen) > IMPORTANCE_ROWS:
        chosen = np.sort(rng.choice(chosen, size=IMPORTANCE_ROWS, replace=False))
    X = np.ascontiguousarray(rows.read(chosen, forecaster.features))
    realized, no_history = rows.y[chosen] - forecaster.baseline_level(X), has_no_history(X, forecaster.features)
    centered = center_on_7d_mean(X, forecaster.features)

    def error() -> float:
        return float(np.mean((forecaster.predict_change(centered, no_history=no_history) - realized) ** 2))

    baseline = error()
    increases = {}
    for column, name in enumerate(forecaster.features):
        values = centered[:, column].copy()
        centered[:, column] = values[rng.permutation(len(values))]
        increases[name] = error() / baseline - 1.0 if baseline > 0 else 0.0
        centered[:, column] = values
    return increases
