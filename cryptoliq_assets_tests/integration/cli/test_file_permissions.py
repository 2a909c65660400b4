"""Who may read what is written: the rights of a file are those of its folder, and a new home is its owner's alone."""

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
    before = os.umask(0o022)
    yield
    os.umask(before)


def rights(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_a_new_home_is_0700_throughout_and_its_state_0600(tmp_path):
    settings = make_settings(home_dir=tmp_path / "home")
    prepare_home(settings)
    Ledger(settings.models_dir / "ledger.jsonl").append({"event": "refusal"})
    with Catalog(settings.data_dir / "catalogue.sqlite")._connection():
        beside = [path for path in settings.data_dir.iterdir() if path.is_file()]
        assert {rights(path) for path in beside} == {"0o600"}
    journal = Journal(lambda: settings.predictions_dir / "2025-01-01.jsonl")
    journal.write({"event": "prediction"})
    journal.close()
    write_file(settings.archive_dir / "deeper" / "a.csv", "coin\n")
    everything = [settings.home_dir, *settings.home_dir.rglob("*")]
    assert {rights(path) for path in everything if path.is_dir()} == {"0o700"}
    files = {path.name: rights(path) for path in everything if path.is_file() and path.name != ".lock"}
    assert files == dict.fromkeys(
        ["ledger.jsonl", "catalogue.sqlite", "2025-01-01.jsonl", "a.csv", "dagster.yaml"], "0o600"
    )


def test_folders_of_a_home_in_a_folder_that_others_enter_are_their_owners_alone(tmp_path):
    tmp_path.chmod(0o755)
    prepare_home(make_settings(home_dir=tmp_path))
    assert {path.name: rights(path) for path in tmp_path.iterdir()} == dict.fromkeys(
        [".dagster", "data", "logs", "models", "reports"], "0o700"
    )
    assert rights(tmp_path) == "0o755"


def test_rights_that_a_person_gave_a_home_stay_and_go_on_for_what_is_made_later(tmp_path):
    settings = make_settings(home_dir=tmp_path / "home")
    prepare_home(settings)
    for folder in (settings.home_dir, settings.reports_dir):
        folder.chmod(0o750)
    prepare_home(settings)
    write_file(settings.validation_dir / "a.json", "{}\n")
    assert [rights(path) for path in (settings.reports_dir, settings.validation_dir)] == ["0o750", "0o750"]
    assert rights(settings.validation_dir / "a.json") == "0o640"
    # Written anew it is another file with the same rights.
    write_file(settings.validation_dir / "a.json", "[]\n")
    assert rights(settings.validation_dir / "a.json") == "0o640"


def test_the_umask_still_takes_away_in_a_folder_that_all_may_write(tmp_path):
    tmp_path.chmod(0o777)
    write_file(tmp_path / "out.csv", "coin\n")
    make_folder(tmp_path / "deep" / "er")
    assert (rights(tmp_path / "out.csv"), rights(tmp_path / "deep" / "er")) == ("0o644", "0o755")
