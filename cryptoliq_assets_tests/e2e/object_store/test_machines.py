"""Machines with disks of their own, one bucket for tables and files, and one database: one market, of which any may be lost."""

import datetime as dt
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cryptoliq_assets.core import Settings, list_names, prepare_home, read_home_id, read_stored, write_file
from cryptoliq_assets.ingestion.landing import open_catalog
from cryptoliq_assets.modeling.registry import open_model_store
from cryptoliq_assets.monitoring.service import publish_predictions
from cryptoliq_assets.monitoring.service.prediction_report import measure_predictions
from cryptoliq_assets_tests.e2e.object_store.conftest import Store
from cryptoliq_assets_tests.support.command_line import run_script
from cryptoliq_assets_tests.support.intake import prices, take_in
from cryptoliq_assets_tests.support.markets import Home
from cryptoliq_assets_tests.support.postgres import run_postgres
from cryptoliq_assets_tests.support.prediction_logs import clear_caches, log_predictions, prediction_line
from cryptoliq_assets_tests.support.s3_server import BUCKET
from cryptoliq_assets_tests.support.services import serving
from cryptoliq_assets_tests.support.settings import make_settings

FIRST, SECOND, MONTH = "coingecko_20250801.csv", "coingecko_20250802.csv", "2025-08"
NOON = dt.datetime(2025, 8, 2, 12, tzinfo=dt.UTC)
# As docs/operations.md names them: from a data directory to the bucket.
COPIED = {"data/archive": "archive", "data/quarantine": "quarantine", "reports": "reports", "models": "models"}
TABLES = ("ingested", "cleaned", "processed", "forecasts")


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with run_postgres() as server:
        yield server.database()


@pytest.fixture
def shared(store: Store, database: str) -> dict[str, str]:
    """What all machines set."""
    return {
        "storage__url": f"s3://{BUCKET}/data",
        "storage__files_url": f"s3://{BUCKET}/files",
        "postgres_url": database,
    }


def make_home(folder: Path, shared: dict[str, str]) -> Home:
    home = Home(make_settings(home_dir=folder, **shared), today=NOON.date(), now=NOON)
    prepare_home(home.settings)
    return home


def move_to_bucket(home: Path, settings: Settings) -> None:
    """Move tables and files of a data directory to their locations."""
    for source, target in COPIED.items():
        for path in sorted((home / source).rglob("*")):
            inside = path.relative_to(home / source)
            if path.is_file() and not path.is_symlink() and inside.parts[0] != "candidates":
                write_file(settings.files_location / target / inside.as_posix(), path.read_bytes())
    version = (home / "models" / "current.pkl").readlink().stem
    write_file(settings.models_dir / "current.txt", f"{version}\n")
    tables = settings.files_location.parent / "data"
    for name in TABLES:
        for path in sorted((home / "data" / name).rglob("*.parquet")):
            if path.is_file():
                write_file(tables / path.relative_to(home / "data").as_posix(), path.read_bytes())
        shutil.rmtree(home / "data" / name)
    for source in COPIED:
        shutil.rmtree(home / source)


def run(home: Home, *words: str, code: int = 0) -> str:
    names = {f"CRYPTOLIQ_STORAGE__{name}": value for name, value in zip(("URL", "FILES_URL"), urls(home), strict=True)}
    url = home.settings.postgres_url.get_secret_value()
    done = run_script("--home", str(home.settings.home_dir), *words, CRYPTOLIQ_POSTGRES_URL=url, **names)
    assert done.code == code, done.text
    return done.out


def urls(home: Home) -> tuple[str, str]:
    return home.settings.storage.url, home.settings.storage.files_url


def test_machines_share_files_models_and_forecasts(trained_home, shared: dict[str, str], tmp_path: Path) -> None:
    trained_home.copy_to(tmp_path / "a")
    a = Home(make_settings(home_dir=tmp_path / "a", **shared))
    move_to_bucket(tmp_path / "a", a.settings)
    a, b = (make_home(tmp_path / name, shared) for name in ("a", "b"))
    assert len(open_catalog(a.settings).files()) == 90
    later = {path.name: path.read_bytes() for path in trained_home.later_files}
    # Each ingests another file of one month.
    for home, name in ((a, FIRST), (b, SECOND)):
        home.drop(name, later[name])
        take_in(home, MONTH)
    archived = set(list_names(a.settings.archive_dir))
    assert {FIRST, SECOND} <= archived
    assert [file.received_by for file in a.catalog.files()][-2:] == [read_home_id(each.settings) for each in (a, b)]
    dates = {date for _, date in prices(b)}
    assert {"2025-08-01", "2025-08-02"} <= dates
    # b corrects the file of a, and forecasts with the champion of a.
    coin, line = first_coin(later[FIRST])
    b.drop(FIRST, later[FIRST].replace(line, line.replace(price_of(line), b"77.25")))
    champion = open_model_store(a.settings).current()
    first, second = champion["version"], promote_again(a)
    run(b, "materialize")
    assert prices(a)[coin, "2025-08-01"] == 77.25
    assert len(archived) + 1 == len(list_names(b.settings.archive_dir))
    forecasts = a.store.read("forecasts", [MONTH])
    newest = forecasts[forecasts["date"] == "2025-08-02"]
    assert set(newest["model_version"].astype(str)) == {open_model_store(b.settings).model_version(second)}
    # A rollback on b is seen by a.
    run(b, "models", "rollback")
    assert open_model_store(a.settings).current_version() == first
    assert not any((tmp_path / name / folder).exists() for name in ("a", "b") for folder in ("data/archive", "reports"))

    log_predictions(a.settings, *[prediction_line(NOON)] * 2, day=NOON)
    publish_predictions(a.settings)
    check_replacement(a, make_home(tmp_path / "c", shared))


def check_replacement(lost: Home, new: Home) -> None:
    """Remove a machine, and check that a new one has all that it had."""
    before = {name: read_stored(lost.settings.archive_dir / name) for name in (FIRST, SECOND)}
    files = [(file.arrival, file.name, file.state) for file in lost.catalog.files()]
    shutil.rmtree(lost.settings.home_dir)
    # The newest snapshot is old, which is a failure.
    state = json.loads(run(new, "status", "--json", code=1))
    assert state["champion"]["version"] == open_model_store(new.settings).current_version()
    assert (state["problems"], state["files"]["accepted"]) == ([], 92)
    assert [(file.arrival, file.name, file.state) for file in new.catalog.files()] == files
    assert new.plan().blocked == {}
    assert {name: read_stored(new.settings.archive_dir / name) for name in before} == before
    run(new, "forecast")
    clear_caches()
    days = measure_predictions(new.settings, now=NOON).days
    assert days[days["day"] == "2025-08-02"]["single"].tolist() == [2]
    clear_caches()
    options = {"storage__url": urls(new)[0], "storage__files_url": urls(new)[1]}
    url = new.settings.postgres_url.get_secret_value()
    with serving(new.settings.home_dir, postgres_url=url, **options) as served:
        response = httpx.get(f"{served.url}/forecasts", timeout=20)
        assert (response.status_code, response.json()["date"]) == (200, "2025-08-02")


def promote_again(home: Home) -> str:
    store = open_model_store(home.settings)
    loaded = store.load()
    return store.promote(loaded.model, loaded.metadata, reason="again", at=dt.datetime.now(dt.UTC))["version"]


def first_coin(content: bytes) -> tuple[str, bytes]:
    line = content.splitlines()[1]
    return line.split(b",")[0].decode(), line


def price_of(line: bytes) -> bytes:
    return line.split(b",")[2]
