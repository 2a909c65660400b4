"""Set up the suite: a neutral environment, hypothesis profile, markers by folder, shared fixtures."""

import gc
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from cryptoliq_assets_tests.support.environment import neutralise
from cryptoliq_assets_tests.support.paths import ROOT

# Before any test module is imported.
neutralise()

pytest_plugins = [
    "cryptoliq_assets_tests.support.homes",
    "cryptoliq_assets_tests.support.service_fixtures",
    "cryptoliq_assets_tests.support.training_rows",
]

# How long an example takes depends on the machine: a property fails only for what it states.
settings.register_profile("cryptoliq", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("cryptoliq")

KINDS = ("unit", "integration", "e2e")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Skip the folders of the other kinds in a run of one kind (`-m unit`): importing their modules takes seconds."""
    kind = config.getoption("markexpr")
    is_kind = collection_path.parent == Path(__file__).parent and collection_path.name in KINDS
    return True if is_kind and kind in KINDS and collection_path.name != kind else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test with the kind that its folder names."""
    for item in items:
        kind = item.path.relative_to(Path(__file__).parent).parts[0]
        if kind not in KINDS:
            raise pytest.UsageError(f"{item.path} is in none of the folders {', '.join(KINDS)}: move it into one")
        item.add_marker(kind)


def pytest_collection_finish() -> None:
    """Leave what was imported out of later searches for garbage: without them 7 % of the CPU is saved."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real market data; the test is skipped where there is none."""
    folder = Path(os.environ.get("CRYPTOLIQ_REAL_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real market data in {folder} (CRYPTOLIQ_REAL_DATA)")
    return folder
