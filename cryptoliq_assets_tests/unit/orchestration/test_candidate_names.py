"""A candidate cannot have the name of an asset of another kind."""

import pytest

from cryptoliq_assets.modeling.estimators import MODEL_NAMES, CandidateRegistrationError
from cryptoliq_assets.orchestration.step_labels import STEP_LABELS, label_candidates


@pytest.mark.parametrize("name", sorted(STEP_LABELS.keys() - MODEL_NAMES.keys()))
def test_a_candidate_named_like_another_asset_is_rejected(name):
    labels = {step: label for step, label in STEP_LABELS.items() if step not in MODEL_NAMES}
    with pytest.raises(
        CandidateRegistrationError, match=f"candidate '{name}' has the name of another asset: write the line"
    ):
        label_candidates(labels, {**MODEL_NAMES, name: "Other"})
