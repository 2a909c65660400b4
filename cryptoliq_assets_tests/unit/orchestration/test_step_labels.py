"""Step labels: one for each step, derived for candidates, checked when the definitions are built."""

import dagster as dg
import pytest

from cryptoliq_assets.modeling.estimators import CANDIDATES
from cryptoliq_assets.orchestration.definitions import build_definitions, label_assets
from cryptoliq_assets.orchestration.step_labels import STEP_LABELS, check_step_labels
from cryptoliq_assets_tests.support.settings import make_settings


def test_each_step_of_a_job_has_a_label_unless_it_is_a_check(tmp_path):
    repository = build_definitions(make_settings(home_dir=tmp_path)).get_repository_def()
    steps = {name for job in repository.get_all_jobs() for name in job.graph.node_dict}
    checks = {definition.op.name for definition in repository.asset_checks_defs_by_key.values()}
    assert steps - checks == set(STEP_LABELS)


def test_each_candidate_has_a_training_step():
    assert {name for name, label in STEP_LABELS.items() if label.startswith("training ")} == set(CANDIDATES)


def test_step_without_a_label_names_the_line_to_add():
    with pytest.raises(ValueError, match=r'add the line `"new_asset": "…",` to STEP_LABELS of .*/step_labels\.py'):
        check_step_labels([*STEP_LABELS, "new_asset"])


def test_label_without_a_step_names_the_line_to_remove():
    with pytest.raises(ValueError, match='remove the line `"champion": …` from STEP_LABELS'):
        check_step_labels(name for name in STEP_LABELS if name != "champion")


def test_definitions_with_an_unlabelled_asset_are_rejected(tmp_path, monkeypatch):
    @dg.asset
    def new_asset() -> None: ...

    add_asset = lambda *args: [*label_assets(*args), new_asset]  # noqa: E731
    monkeypatch.setattr("cryptoliq_assets.orchestration.definitions.label_assets", add_asset)
    with pytest.raises(ValueError, match='add the line `"new_asset": "…",`'):
        build_definitions(make_settings(home_dir=tmp_path))
