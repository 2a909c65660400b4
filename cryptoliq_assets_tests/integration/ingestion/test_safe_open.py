"""Safe opening of files: pipes, links, folders or other files that replace a file before it is read."""

import errno
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from cryptoliq_assets.cli.main import cli
from cryptoliq_assets.core.home import prepare_home
from cryptoliq_assets.core.safe_open import FileReadError
from cryptoliq_assets.ingestion.landing.drop_folder import FolderEntry, list_folder, register_files
from cryptoliq_assets.ingestion.landing.safe_open import read_file
from cryptoliq_assets.ingestion.quality.empty_history import EmptyCellHistory
from cryptoliq_assets.ingestion.quality.snapshot_diff import SnapshotComparer
from cryptoliq_assets_tests.support.markets import NOW, Home, snapshot
from cryptoliq_assets_tests.support.settings import make_settings
from cryptoliq_assets_tests.unit.ingestion.test_drop_folder import MARCH, NAME

OTHER = "coingecko_20220317.csv"
CHANGED = "changed or deleted before it could be read; its next version counts"


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """Fail a test that hangs on a pipe."""
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("hung"))
    signal.alarm(20)
    yield
    signal.alarm(0)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home.at(tmp_path / "home", ingestion__max_file_mib=0.5)
    home.drop(NAME, snapshot([MARCH]))
    home.drop(OTHER, snapshot([MARCH], seed=1))
    return home


def replace_file(path: Path, kind: str) -> None:
    """Replace a file with something that must not be read."""
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link":
        outside = path.parents[3] / "secret.csv"
        outside.write_bytes(snapshot([MARCH]))
        path.symlink_to(outside)
    elif kind == "folder":
        path.mkdir()
    else:
        path.touch()
        os.truncate(path, 700 * 2**20)


@pytest.fixture
def denied(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Return a set of names that cannot be opened; the user of the tests could open any file."""
    names: set[str] = set()
    real = os.open

    def deny(path: Path | str, *args: int, **options: int) -> int:
        if Path(path).name in names and Path(path).parent.name == "raw":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *args, **options)

    monkeypatch.setattr(os, "open", deny)
    return names


KINDS = ["pipe", "link", "folder", "grown"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_replaced_file_is_skipped_at_registration(home: Home, kind: str) -> None:
    entries = list_folder(home.settings.raw_dir).files
    replace_file(home.settings.raw_dir / NAME, kind)
    registered = register_files(entries, home.settings, catalog=home.catalog, now=NOW)
    assert (registered.new, list(registered.unread)) == (1, [NAME])
    assert [file.name for file in home.catalog.files()] == [OTHER]


@pytest.mark.parametrize("kind", KINDS)
def test_a_replaced_file_is_left_unread_at_ingestion(home: Home, kind: str) -> None:
    home.look()
    path = home.settings.raw_dir / NAME
    replace_file(path, kind)
    result = home.intake.ingest(["2022-03"])
    assert result.unread == {NAME: CHANGED}
    assert [report["file"] for report in result.reports] == [OTHER]
    assert [file.state for file in home.catalog.files()] == ["refused", "accepted"]
    assert path.is_symlink() or path.exists()


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_a_replacement_of_a_rejected_file_is_not_moved(home: Home, kind: str) -> None:
    home.drop(NAME, "coin;price\n")
    home.look()
    read = home.intake._read(home.catalog.files(states=["waiting"]))
    path = home.settings.raw_dir / NAME
    replace_file(path, kind)
    empties = EmptyCellHistory(home.settings.validation_dir, home.settings.ingestion.max_empty_fraction)
    home.intake._record(read, SnapshotComparer(home.store), empties)
    assert not path.is_file() or path.is_symlink()
    assert not (home.settings.quarantine_dir / NAME).exists()


def test_a_file_swapped_on_open_is_checked_as_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = make_settings(home_dir=tmp_path, ingestion__max_file_mib=0.001)
    path = tmp_path / NAME
    path.write_bytes(b"small")
    real = os.open

    def swap(kind: str):
        def open_other(opened: Path, flags: int) -> int:
            path.unlink()
            if kind == "pipe":
                os.mkfifo(path)
            elif kind == "link":
                path.symlink_to("/etc/hosts")
            else:
                path.write_bytes(b"x" * 5_000)
            return real(opened, flags)

        return open_other

    for kind, code in (("pipe", "not_a_file"), ("link", "unreadable"), ("grown", "too_large")):
        monkeypatch.setattr(os, "open", swap(kind))
        with pytest.raises(FileReadError) as raised:
            read_file(path, settings)
        assert raised.value.code == code
        path.unlink()
        path.write_bytes(b"small")


def test_a_growing_file_is_read_only_up_to_the_size_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / NAME
    path.write_bytes(b"x" * 5_000)
    small = os.stat_result((*path.stat()[:6], 10, *path.stat()[7:]))
    monkeypatch.setattr(os, "fstat", lambda handle: small)
    with pytest.raises(FileReadError) as raised:
        read_file(path, make_settings(home_dir=tmp_path, ingestion__max_file_mib=0.001))
    assert (raised.value.code, raised.value.size) == ("too_large", 1_049)


# Files without read permission


def test_a_file_without_read_permission_is_retried(home: Home, denied: set[str]) -> None:
    denied.add(NAME)
    entries = list_folder(home.settings.raw_dir).files
    registered = register_files(entries, home.settings, catalog=home.catalog, now=NOW)
    assert registered.unread == {NAME: "cannot be read: Permission denied"}
    assert registered.new == 1
    denied.clear()
    assert home.look() == 1


def test_losing_read_permission_does_not_stop_other_files(home: Home, denied: set[str]) -> None:
    home.look()
    denied.add(NAME)
    result = home.intake.ingest(["2022-03"])
    assert result.unread == {NAME: "cannot be read: Permission denied; it is retried at the next listing"}
    assert [file.state for file in home.catalog.files()] == ["refused", "accepted"]
    assert (home.settings.raw_dir / NAME).exists()
    denied.clear()
    home.bring_up_to_date()
    assert [file.state for file in home.catalog.files()] == ["refused", "accepted", "accepted"]


def test_the_command_line_names_the_unreadable_file(home: Home, denied: set[str]) -> None:
    denied.add(NAME)
    prepare_home(home.settings)
    result = CliRunner().invoke(cli, ["--home", str(home.settings.home_dir), "ingest"])
    assert result.exit_code == 1
    assert f"rejected {NAME}: cannot be read: Permission denied" in result.output
    assert "1 file(s) read" in result.output
    assert "reports are in" not in result.output


# Corrections with the same size and time


def test_a_correction_with_equal_size_and_time_is_noticed(home: Home) -> None:
    home.look()
    path = home.settings.raw_dir / NAME
    before = path.stat()
    content = path.read_bytes()
    path.write_bytes(content.replace(b"2022", b"2021"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert home.look() == 1


def test_settling_ignores_the_inode_change_time(home: Home) -> None:
    assert FolderEntry(NAME, 1, 2, 3) == FolderEntry(NAME, 1, 2, 4)
