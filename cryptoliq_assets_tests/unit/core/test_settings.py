"""Settings: sections, former names, and the `.env` file of the data directory."""

import warnings
from pathlib import Path

import pytest
from pydantic import ValidationError

from cryptoliq_assets.core.config import renamed
from cryptoliq_assets.core.config.renamed import RENAMED_SETTINGS, variable_name
from cryptoliq_assets.core.config.settings import Settings


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renamed, "_warned", set())


def test_a_variable_sets_a_field_of_its_section(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("CRYPTOLIQ_API__PORT", "9000")
    settings = Settings(home_dir=tmp_path)
    assert (settings.api.port, settings.api.host) == (9000, "127.0.0.1")


@pytest.mark.parametrize("old", RENAMED_SETTINGS)
def test_every_former_name_resolves_to_a_setting(old: str) -> None:
    assert variable_name(RENAMED_SETTINGS[old]) in Settings.variables()


def test_a_former_name_works_and_warns_once(monkeypatch, tmp_path, warned) -> None:
    monkeypatch.setenv("CRYPTOLIQ_FOLDS", "3")
    with pytest.warns(FutureWarning, match="CRYPTOLIQ_FOLDS is now CRYPTOLIQ_CV__N_SPLITS"):
        assert Settings(home_dir=tmp_path).cv.n_splits == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Settings(home_dir=tmp_path).cv.n_splits == 3


def test_the_current_name_has_priority_over_the_former(monkeypatch, tmp_path, warned) -> None:
    monkeypatch.setenv("CRYPTOLIQ_FOLDS", "3")
    monkeypatch.setenv("CRYPTOLIQ_CV__N_SPLITS", "5")
    assert Settings(home_dir=tmp_path).cv.n_splits == 5


def test_an_unknown_field_of_a_section_is_an_error(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("CRYPTOLIQ_API__PROT", "9000")
    with pytest.raises(ValidationError, match=r"api\.prot"):
        Settings(home_dir=tmp_path)


def test_env_file_is_read_and_the_environment_has_priority(monkeypatch, tmp_path, warned) -> None:
    lines = ["# comment", "CRYPTOLIQ_API__PORT=9000", "export CRYPTOLIQ_API__WORKERS='2'", "CRYPTOLIQ_FOLDS=3", "OTHER"]
    (tmp_path / ".env").write_text("\n".join(lines) + "\n")
    monkeypatch.setenv("CRYPTOLIQ_API__WORKERS", "4")
    with pytest.warns(FutureWarning, match="CRYPTOLIQ_FOLDS"):
        settings = Settings(home_dir=tmp_path)
    assert (settings.api.port, settings.api.workers, settings.cv.n_splits) == (9000, 4, 3)


def test_env_file_does_not_move_the_data_directory(tmp_path) -> None:
    (tmp_path / ".env").write_text("CRYPTOLIQ_HOME=/elsewhere\n")
    assert Settings(home_dir=tmp_path).home_dir == tmp_path


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("CRYPTOLIQ_API__PORT", r"\.env, line 2: expected NAME=value"),
        ("CRYPTOLIQ_API__KEYS='abc", r"\.env, line 2: expected NAME=value"),
        ("CRYPTOLIQ_POSTGRES_URL=x", r"\.env, line 2: set CRYPTOLIQ_POSTGRES_URL in the environment"),
    ],
)
def test_a_wrong_line_of_env_file_is_named(tmp_path, line: str, message: str) -> None:
    (tmp_path / ".env").write_text(f"# settings\n{line}\n")
    with pytest.raises(ValueError, match=message) as failed:
        Settings(home_dir=tmp_path)
    assert "abc" not in str(failed.value)


def test_env_file_may_not_be_a_link(tmp_path) -> None:
    (tmp_path / "secrets").write_text("CRYPTOLIQ_API__PORT=9000\n")
    (tmp_path / ".env").symlink_to("secrets")
    with pytest.raises(OSError, match=r"\.env"):
        Settings(home_dir=tmp_path)


def test_a_folder_named_env_is_ignored(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    assert Settings(home_dir=tmp_path).api.port == 8000
