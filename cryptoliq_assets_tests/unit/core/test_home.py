"""Instance file of a data directory; the password of the database stays in the environment."""

from importlib import util
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from cryptoliq_assets.cli.main import format_settings_error
from cryptoliq_assets.core import home
from cryptoliq_assets.core.home import prepare_home
from cryptoliq_assets_tests.support.paths import ROOT
from cryptoliq_assets_tests.support.settings import make_settings

URL = "postgresql+psycopg2://cryptoliq:s3cr3t@127.0.0.1:5432/cryptoliq"


def prepare(folder: Path, *, url: str | None = None) -> str:
    """Prepare a data directory with these settings and return its instance file."""
    prepare_home(make_settings(home_dir=folder, postgres_url=url))
    return (folder / ".dagster" / "dagster.yaml").read_text(encoding="utf-8")


def test_a_postgres_instance_file_does_not_contain_the_password(tmp_path):
    content = prepare(tmp_path, url=URL)
    assert content == (ROOT / "deploy" / "dagster.yaml").read_text(encoding="utf-8")
    assert yaml.safe_load(content)["storage"] == {"postgres": {"postgres_url": {"env": "CRYPTOLIQ_POSTGRES_URL"}}}
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and "s3cr3t" in path.read_text()]


def test_sqlite_and_postgres_differ_only_in_storage(tmp_path):
    sqlite, postgres = yaml.safe_load(prepare(tmp_path / "a")), yaml.safe_load(prepare(tmp_path / "b", url=URL))
    assert postgres.pop("storage")
    assert postgres == sqlite
    assert sqlite["concurrency"] == {"runs": {"max_concurrent_runs": 1}}


def test_an_unedited_instance_file_moves_to_postgres(tmp_path):
    assert "storage" not in yaml.safe_load(prepare(tmp_path))
    assert "postgres" in yaml.safe_load(prepare(tmp_path, url=URL))["storage"]


def test_an_edited_file_with_postgres_storage_is_unchanged(tmp_path):
    edited = prepare(tmp_path, url=URL).replace("poll_interval_seconds: 30", "poll_interval_seconds: 60")
    (tmp_path / ".dagster" / "dagster.yaml").write_text(edited, encoding="utf-8")
    assert prepare(tmp_path, url=URL) == edited


def test_an_edited_file_without_postgres_storage_is_an_error(tmp_path):
    edited = prepare(tmp_path) + "# edited\n"
    path = tmp_path / ".dagster" / "dagster.yaml"
    path.write_text(edited, encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"has no Postgres storage: copy `storage` of .*/dagster-postgres\.yaml into it"
    ):
        prepare(tmp_path, url=URL)
    assert path.read_text(encoding="utf-8") == edited


def test_a_missing_postgres_url_does_not_fall_back_to_sqlite(tmp_path):
    content = prepare(tmp_path, url=URL)
    with pytest.raises(ValueError, match=r"set CRYPTOLIQ_POSTGRES_URL, or remove the file for SQLite"):
        prepare(tmp_path)
    assert (tmp_path / ".dagster" / "dagster.yaml").read_text(encoding="utf-8") == content


def test_without_the_postgres_extra_the_error_names_it(tmp_path, monkeypatch):
    monkeypatch.setattr(home, "find_spec", lambda name: None if name == "dagster_postgres" else util.find_spec(name))
    with pytest.raises(ValueError, match=r"clone, pip install '\.\[postgres\]'"):
        prepare(tmp_path, url=URL)


@pytest.mark.parametrize(
    "url",
    [
        URL.replace("+psycopg2", ""),
        URL.replace("+psycopg2", "+asyncpg"),
        URL.removesuffix("/cryptoliq"),
        URL.replace("s3cr3t", "s3cr3t/more"),
        URL.replace("s3cr3t", "s3cr3t with spaces"),
    ],
)
def test_an_unusable_url_is_rejected_without_repeating_it(tmp_path, url):
    with pytest.raises(ValidationError) as result:
        make_settings(home_dir=tmp_path, postgres_url=url)
    message = format_settings_error(result.value)
    assert message.startswith("CRYPTOLIQ_POSTGRES_URL is invalid: it must read postgresql+psycopg2://")
    assert "s3cr3t" not in message + str(result.value)


@pytest.mark.parametrize(
    "url",
    [
        URL,
        "postgresql+psycopg2:///cryptoliq?host=/run/postgresql",
        "postgresql+psycopg2://cryptoliq:a%2Fb@db/cryptoliq?sslmode=verify-full",
    ],
)
def test_a_valid_url_is_accepted_and_never_displayed(tmp_path, url):
    settings = make_settings(home_dir=tmp_path, postgres_url=url)
    assert settings.postgres_url.get_secret_value() == url
    assert url not in f"{settings!r} {settings.public_values()}"


def test_an_empty_postgres_url_is_none(tmp_path):
    assert make_settings(home_dir=tmp_path, postgres_url="").postgres_url is None


@pytest.mark.parametrize("content", ["storage: [", "- 1", "storage: 7", "\x00"])
def test_a_damaged_instance_file_is_named_with_its_remedy(tmp_path, content):
    prepare_home(make_settings(home_dir=tmp_path))
    path = tmp_path / ".dagster" / "dagster.yaml"
    path.write_text(content)
    with pytest.raises(
        RuntimeError, match=r"(?s)dagster.yaml is damaged .*; remove it: `cryptoliq setup` writes it again"
    ):
        prepare_home(make_settings(home_dir=tmp_path))
