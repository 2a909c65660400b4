"""Health of the champion: missing, broken and rolled back, each with its own kind of finding."""

import datetime as dt
import json
from pathlib import Path

from cryptoliq_assets.core.atomic_write import write_json
from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.modeling.drift_reference import REFERENCE, SCORE
from cryptoliq_assets.modeling.inference import load_champion
from cryptoliq_assets.modeling.registry.model_registry import open_model_store
from cryptoliq_assets.monitoring.findings import FAIL, OK, WARN
from cryptoliq_assets.monitoring.model_health import find_model_problems, find_rollback
from cryptoliq_assets_tests.support.settings import make_settings


def raised(settings: Settings) -> dict[str, str]:
    found = [*find_model_problems(settings), find_rollback(settings)]
    assert [finding.kind for finding in found] == ["model_missing", "model_broken", "model_rolled_back"]
    return {finding.kind: finding.level for finding in found if finding.level != OK}


def current(settings: Settings) -> Path:
    return settings.models_dir / f"{open_model_store(settings).current_version()}.pkl"


def test_a_valid_champion_or_a_new_home_raises_nothing(home, settings):
    assert raised(home) == {}
    assert raised(settings) == {}


def test_a_truncated_model_is_broken_and_a_removed_one_missing(home):
    path = current(home)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert raised(home) == {"model_broken": FAIL}
    path.write_bytes(content)
    assert raised(home) == {}
    path.unlink()
    assert raised(home) == {"model_missing": FAIL}


def test_a_lost_pointer_warns_as_the_right_model_serves(home):
    (home.models_dir / "current.pkl").unlink()
    assert raised(home) == {"model_broken": WARN}


def test_a_rollback_is_reported_until_the_next_promotion(home):
    store, champion = open_model_store(home), load_champion(home)
    first = champion.version
    at = dt.datetime(2025, 8, 1, tzinfo=dt.UTC)
    store.promote(champion.loaded.model, champion.metadata, reason="again", at=at)
    assert raised(home) == {}
    store.rollback(at=at)
    assert store.current_version() == first
    assert raised(home) == {"model_rolled_back": WARN}
    store.promote(champion.loaded.model, champion.metadata, reason="once more", at=at)
    assert raised(home) == {}


def test_the_signature_covers_the_reference(trained_home, tmp_path):
    home = make_settings(home_dir=trained_home.copy_to(tmp_path / "home"), signing_key="secret", cv__n_splits=2)
    unsigned = load_champion(make_settings(home_dir=home.home_dir))
    stored = open_model_store(home).promote(
        unsigned.loaded.model, unsigned.metadata, reason="signed", at=dt.datetime(2025, 8, 1, tzinfo=dt.UTC)
    )
    assert raised(home) == {}
    path = home.models_dir / f"{stored['version']}.json"
    changed = json.loads(path.read_text(encoding="utf-8"))
    changed[REFERENCE]["distributions"][SCORE]["missing"] = 0.5
    write_json(path, changed)
    assert raised(home) == {"model_broken": FAIL}
