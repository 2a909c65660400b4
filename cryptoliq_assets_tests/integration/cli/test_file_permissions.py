"""File permissions: a file inherits those of its folder, and a new data directory is private to its owner."""

import os
import stat
from pathlib import Path

import pytest

from cryptoliq_assets.core.atomic_write import make_folder, write_file
from cryptoliq_assets.core.home import prepare_home
from cryptoliq_assets.core.jsonl import Journal
from cryptoliq_assets.ingestion.landing.catalog import Catalog
from cryptoliq_assets.modeling.registry.audit_log import Ledger
from cryptoliq_assets_tests.support.settings import make_settings


@pytest.fixture(autouse=True)
def usual_umask():
    previous = os.umask(0o022)
    yield
    os.umask(previous)


def permissions(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_new_data_directory_is_0700_and_its_files_0600(tmp_path):
    settings = make_settings(home_dir=tmp_path / "home")
    prepare_home(settings)
    Ledger(settings.models_dir / "ledger.jsonl").append({"event": "refusal"})
    with Catalog(settings.data_dir / "catalogue.sqlite")._transaction():
        state_files = [path for path in settings.data_dir.iterdir() if path.is_file()]
        assert {permissions(path) for path in state_files} == {"0o600"}
    journal = Journal(lambda: settings.predictions_dir / "2025-01-01.jsonl")
    journal.write({"event": "prediction"})
    journal.close()
    write_file(settings.archive_dir / "deeper" / "a.csv", "coin\n")
    everything = [settings.home_dir, *settings.home_dir.rglob("*")]
    assert {permissions(path) for path in everything if path.is_dir()} == {"0o700"}
    files = {path.name: permissions(path) for path in everything if path.is_file() and path.name != ".lock"}
    assert files == dict.fromkeys(
        ["ledger.jsonl", "catalogue.sqlite", "2025-01-01.jsonl", "a.csv", "dagster.yaml", "home_id"], "0o600"
    )


def test_folders_in_a_shared_parent_are_private(tmp_path):
    tmp_path.chmod(0o755)
    prepare_home(make_settings(home_dir=tmp_path))
    assert {path.name: permissions(path) for path in tmp_path.iterdir()} == dict.fromkeys(
        [".dagster", "data", "logs", "models", "reports"], "0o700"
    )
    assert permissions(tmp_path) == "0o755"


def test_changed_permissions_are_kept_and_inherited(tmp_path):
    settings = make_settings(home_dir=tmp_path / "home")
    prepare_home(settings)
    for folder in (settings.home_dir, settings.reports_dir):
        folder.chmod(0o750)
    prepare_home(settings)
    write_file(settings.validation_dir / "a.json", "{}\n")
    assert [permissions(path) for path in (settings.reports_dir, settings.validation_dir)] == ["0o750", "0o750"]
    assert permissions(settings.validation_dir / "a.json") == "0o640"
    # A rewritten file is a new file with the same permissions.
    write_file(settings.validation_dir / "a.json", "[]\n")
    assert permissions(settings.validation_dir / "a.json") == "0o640"


def test_umask_applies_in_a_world_writable_folder(tmp_path):
    tmp_path.chmod(0o777)
    write_file(tmp_path / "out.csv", "coin\n")
    make_folder(tmp_path / "deep" / "er")
    assert (permissions(tmp_path / "out.csv"), permissions(tmp_path / "deep" / "er")) == ("0o644", "0o755")
