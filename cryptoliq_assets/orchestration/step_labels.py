"""Labels of the steps, which a command prints while a run is in progress.

Add a line to `STEP_LABELS` for a new asset or op. A candidate needs none: its label comes from the registry of candidates.
Steps of checks have no label and are not printed.
"""

from collections.abc import Iterable, Mapping

from cryptoliq_assets.modeling.estimators import MODEL_NAMES, CandidateRegistrationError


def label_candidates(labels: Mapping[str, str], candidates: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of all steps, those of the candidates included.

    Args:
        labels: Labels of the assets of other kinds and of ops.
        candidates: Model names by candidate name.

    Raises:
        CandidateRegistrationError: A candidate has the name of another asset or op, which it would silently replace.
    """
    for name in candidates:
        if name in labels:
            raise CandidateRegistrationError(
                f"the candidate {name!r} has the name of another asset: write the line "
                f'`SPEC = ModelSpec("{name}_model", …)` in its module of modeling/estimators/candidates'
            )
    return {**labels, **{name: f"training {model}" for name, model in candidates.items()}}


STEP_LABELS = label_candidates(
    {
        "coingecko_snapshot": "fetching today's snapshot",
        "raw_snapshots": "ingesting files",
        "cleaned_snapshots": "cleaning",
        "engineered_features": "computing features",
        "feature_views": "computing views of the features",
        "labels": "computing labels",
        "backtest": "writing out-of-fold forecasts",
        "leaderboard": "ranking the candidates",
        "champion": "selecting the champion",
        "forecasts": "forecasting",
        "drift_report": "measuring drift",
        "forecast_accuracy": "measuring forecast accuracy",
        "prediction_metrics": "measuring the prediction service",
        "incidents": "evaluating alerts",
        "stored_bytes": "verifying stored data",
        "roll_back": "rolling back",
    },
    MODEL_NAMES,
)


def check_step_labels(steps: Iterable[str]) -> None:
    """Check that each step has a label and each label a step.

    Args:
        steps: Names of all assets, and of the ops outside assets.

    Raises:
        ValueError: If a label is missing or unused; the message names the line to add or remove.
    """
    names = set(steps)
    place = "STEP_LABELS of cryptoliq_assets/orchestration/step_labels.py"
    problems = [f'add the line `"{name}": "…",` to {place}' for name in sorted(names - STEP_LABELS.keys())]
    problems += [f'remove the line `"{name}": …` from {place}' for name in sorted(STEP_LABELS.keys() - names)]
    if problems:
        raise ValueError(f"labels and steps differ: {'; '.join(problems)}")
