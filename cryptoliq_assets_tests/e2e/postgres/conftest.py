"""A Postgres server for the tests of this folder, and data directories that share one market."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cryptoliq_assets_tests.support.markets import Home
from cryptoliq_assets_tests.support.postgres import Postgres, run_postgres
from cryptoliq_assets_tests.support.settings import make_settings


@pytest.fixture(scope="package")
def postgres() -> Iterator[Postgres]:
    with run_postgres() as server:
        yield server


@pytest.fixture
def url(postgres: Postgres) -> str:
    """The URL of an empty database."""
    return postgres.database()


@pytest.fixture
def join(url: str, tmp_path: Path) -> Callable[[str], Home]:
    """Makes a data directory, with a disk of its own, whose tables are at the location of all others."""

    def make(name: str) -> Home:
        return Home(make_settings(home_dir=tmp_path / name, storage__url=str(tmp_path / "shared"), postgres_url=url))

    return make
