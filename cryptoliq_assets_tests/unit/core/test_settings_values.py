"""Secrets of the settings are derived from their types, and copies are validated."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, SecretStr, ValidationError

from cryptoliq_assets.cli.main import format_settings_error
from cryptoliq_assets.core.config.section import SettingsSection
from cryptoliq_assets.core.config.settings import Settings
from cryptoliq_assets_tests.support.settings import make_settings

SECRET = "postgresql+psycopg2://ann:hunter2@db:5432/cryptoliq"


class _Vault(SettingsSection):
    """A section of the future, with a secret that no list names."""

    token: SecretStr | None = Field(None, min_length=20)
    attempts: int = 3


class _FutureSettings(Settings):
    pin: SecretStr = SecretStr("")
    vault: _Vault = _Vault()


def test_a_new_secret_is_hidden_without_being_listed(tmp_path: Path):
    settings = _FutureSettings(home_dir=tmp_path, pin=SECRET, vault={"token": SECRET})
    assert {("pin",), ("vault", "token")} <= _FutureSettings.secrets()
    assert SECRET not in f"{settings!r} {settings} {settings.public_values()} {settings.model_dump_json()}"
    assert settings.public_values()["vault"] == {"attempts": 3}


def test_every_secret_is_hidden_in_values_and_texts(tmp_path: Path):
    secrets = Settings.secrets()
    assert {"CRYPTOLIQ_" + "__".join(path).upper() for path in secrets} <= Settings.variables().keys()
    settings = make_settings(home_dir=tmp_path, **{"__".join(path): SECRET for path in secrets})
    assert len(secrets) == 6
    assert "hunter2" not in f"{settings!r} {settings} {settings.public_values()}"


@pytest.mark.parametrize("path", sorted(Settings.secrets()))
def test_the_message_about_a_wrong_secret_hides_it(tmp_path: Path, path: tuple[str, ...]):
    with pytest.raises(ValidationError) as failed:
        make_settings(home_dir=tmp_path, **{"__".join(path): ["hunter2"]})
    assert "hunter2" not in format_settings_error(failed.value)


@pytest.mark.parametrize("values", [{"api__keyz": "hunter2"}, {"api": "hunter2"}, {"signing_kee": "hunter2"}])
def test_the_value_of_an_unknown_setting_is_hidden(tmp_path: Path, values: dict[str, Any]):
    with pytest.raises(ValidationError) as failed:
        make_settings(home_dir=tmp_path, **values)
    assert "is invalid: " in format_settings_error(failed.value)
    assert "hunter2" not in format_settings_error(failed.value)


def test_a_copy_has_the_tables_of_its_own_values(tmp_path: Path):
    settings = make_settings(home_dir=tmp_path)
    assert settings.tables_url == str(tmp_path / "data")
    assert settings.with_values(storage={"url": "gs://bucket/tables"}).tables_url == "gs://bucket/tables"


@pytest.mark.parametrize(
    ("values", "field"), [({"port": -5}, "port"), ({"prot": 9}, "prot"), ({"port": "many"}, "port")]
)
def test_values_of_a_copy_are_validated(tmp_path: Path, values: dict[str, Any], field: str):
    with pytest.raises(ValidationError, match=field):
        make_settings(home_dir=tmp_path).with_values(api=values)


def test_a_copy_keeps_all_other_values(tmp_path: Path):
    settings = make_settings(home_dir=tmp_path, api__keys=SECRET, api__host="0.0.0.0", seed=3)
    copy = settings.with_values(api={"port": 8001})
    assert (copy.api.port, copy.api.host, copy.seed) == (8001, "0.0.0.0", 3)
    assert copy.api.keys == settings.api.keys
