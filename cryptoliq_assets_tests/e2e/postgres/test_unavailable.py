"""A database that cannot be used is one sentence without the password, in bounded time."""

import json
import socket
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from cryptoliq_assets.cli.main import cli
from cryptoliq_assets.core.database import DatabaseUnavailableError, open_database
from cryptoliq_assets.core.home import prepare_home
from cryptoliq_assets_tests.support.postgres import Postgres
from cryptoliq_assets_tests.support.processes import free_port
from cryptoliq_assets_tests.support.settings import make_settings

PASSWORD = "hidden"
MAX_SECONDS = 10.0


def url_at(port: int) -> str:
    return f"postgresql+psycopg2://cryptoliq:{PASSWORD}@127.0.0.1:{port}/cryptoliq"


def read_status(home: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> dict:
    monkeypatch.setenv("CRYPTOLIQ_POSTGRES_URL", url)
    prepare_home(make_settings(home_dir=home))
    started = time.monotonic()
    done = CliRunner().invoke(cli, ["--home", str(home), "status", "--json"])
    assert time.monotonic() - started < MAX_SECONDS
    assert done.exit_code == 1
    assert PASSWORD not in done.output
    return json.loads(done.output)


def test_status_names_a_database_that_is_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [problem] = read_status(tmp_path, url_at(free_port()), monkeypatch)["problems"]
    assert problem.startswith("the database: the database of CRYPTOLIQ_POSTGRES_URL does not answer: connection to")
    assert "Connection refused" in problem


def test_status_names_a_database_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        [problem] = read_status(tmp_path, url_at(server.getsockname()[1]), monkeypatch)["problems"]
    assert problem.startswith("the database: ")
    assert "timeout expired" in problem or "no answer within" in problem


def test_a_wrong_password_is_named(postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [problem] = read_status(tmp_path, url_at(postgres.port), monkeypatch)["problems"]
    assert "password authentication failed for user" in problem


def test_a_missing_driver_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryptoliq_assets.core.database.connection.find_spec", lambda name: None)
    assert open_database(make_settings(home_dir=tmp_path)) is None
    with pytest.raises(DatabaseUnavailableError, match="pip install sqlalchemy alembic psycopg2-binary"):
        open_database(make_settings(home_dir=tmp_path, postgres_url=url_at(1)))
