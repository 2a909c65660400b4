"""Archive, quarantine and reports at a location: the same as in a data directory, and owned by one data directory or market."""

import datetime as dt
import shutil
import uuid
from pathlib import Path

import pytest

from cryptoliq_assets.core import Location, Settings, list_names, list_sizes, read_home_id, read_stored, write_file
from cryptoliq_assets.ingestion.landing import open_catalog
from cryptoliq_assets.monitoring.data import verify_home
from cryptoliq_assets.storage import ForeignTableError
from cryptoliq_assets_tests.support.intake import MARCH, NAME, OTHER, prices, rows, states, take_in
from cryptoliq_assets_tests.support.markets import Home
from cryptoliq_assets_tests.support.settings import make_settings

MONTH = "2022-03"
NEXT = MARCH + dt.timedelta(days=1)
BAD_ROW = "Ether,ETH,no price,-0.5,-2.5,-4,1e6,1e9,2022-03-16\n"


@pytest.fixture(params=["memory", "folder"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"memory://{uuid.uuid4().hex}" if request.param == "memory" else str(tmp_path / "files")


def make_home(folder: Path, url: str | None = None) -> Home:
    return Home(make_settings(home_dir=folder, storage__files_url=url, ingestion__max_rejected_fraction=0.9))


def receive_files(home: Home) -> None:
    """Receive accepted, corrected, partly and completely rejected files, and each again."""
    home.drop(NAME, rows(("Bitcoin", 1.0, MARCH)) + BAD_ROW)
    home.drop(OTHER, "no snapshot")
    take_in(home, MONTH)
    home.drop(NAME, rows(("Bitcoin", 2.0, MARCH)) + BAD_ROW.replace("no price", "no number"))
    home.drop(OTHER, "still no snapshot")
    take_in(home, MONTH)
    home.drop(OTHER, rows(("Bitcoin", 3.0, NEXT)))
    take_in(home, MONTH)


def contents(folder: Location) -> dict[str, bytes]:
    return {name: read_stored(folder / name) for name in list_sizes(folder)}


def test_the_files_are_those_of_a_local_data_directory(url: str, tmp_path: Path) -> None:
    local, shared = make_home(tmp_path / "local"), make_home(tmp_path / "home", url)
    for home in (local, shared):
        receive_files(home)
    for name in ("archive_dir", "quarantine_dir"):
        found = contents(getattr(local.settings, name))
        assert contents(getattr(shared.settings, name)) == found
        assert len(found) >= 3
    names = {"validation", "data_validation_report.json"}
    assert set(list_names(shared.settings.reports_dir)) == names
    assert sorted(list_names(shared.settings.validation_dir)) == sorted(list_names(local.settings.validation_dir))
    assert states(shared) == states(local)
    assert prices(shared) == prices(local) == {("Bitcoin", str(MARCH)): 2.0, ("Bitcoin", str(NEXT)): 3.0}
    for folder in ("data/archive", "data/quarantine", "reports"):
        assert not (shared.settings.home_dir / folder).exists()
    assert verify_home(shared.settings, deep=True).damaged == []


def test_a_damaged_file_of_the_archive_is_found_and_restored(url: str, tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", url)
    receive_files(home)
    write_file(home.settings.archive_dir / OTHER, "changed")
    [damaged] = verify_home(home.settings).damaged
    assert damaged.path == str(home.settings.archive_dir / OTHER)
    result = verify_home(home.settings, repair=True)
    assert (result.damaged, len(result.repaired)) == ([], 1)
    assert read_stored(home.settings.archive_dir / OTHER) == (home.settings.raw_dir / OTHER).read_bytes()


def test_a_lost_machine_is_replaced(url: str, tmp_path: Path) -> None:
    first = make_home(tmp_path / "first", url)
    receive_files(first)
    before = first.catalog.files()
    owner = read_home_id(first.settings)
    shutil.copytree(first.settings.data_dir / "ingested", tmp_path / "second" / "data" / "ingested")
    shutil.rmtree(first.settings.home_dir)
    second = make_home(tmp_path / "second", url)
    with pytest.raises(ForeignTableError, match="has the files of another data directory") as raised:
        open_catalog(second.settings)
    assert "CRYPTOLIQ_STORAGE__FILES_URL to a location of its own" in str(raised.value)
    assert f"write {owner} into {second.settings.home_id_path}" in str(raised.value)
    assert not second.settings.catalog_path.exists()
    second.settings.home_id_path.write_text(f"{owner}\n", encoding="utf-8")
    rebuilt = open_catalog(second.settings).files()
    fields = [(file.arrival, file.name, file.sha256, file.state, file.archived_as) for file in before]
    assert [(file.arrival, file.name, file.sha256, file.state, file.archived_as) for file in rebuilt] == fields
    assert second.plan().raw_months == []
    # A correction: what its first version hid is read from the archive.
    second.drop(OTHER, rows(("Bitcoin", 7.0, NEXT)))
    take_in(second, MONTH)
    assert prices(second) == {("Bitcoin", str(MARCH)): 2.0, ("Bitcoin", str(NEXT)): 7.0}


def test_a_service_without_the_files_needs_no_claim(url: str, tmp_path: Path) -> None:
    first, reader = make_home(tmp_path / "first", url), make_home(tmp_path / "reader", url)
    receive_files(first)
    settings: Settings = reader.settings
    assert set(list_names(settings.archive_dir)) == set(list_names(first.settings.archive_dir))
    assert not settings.home_id_path.exists()
