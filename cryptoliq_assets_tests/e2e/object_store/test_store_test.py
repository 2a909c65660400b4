"""`setup` and `status` test the stores, say in one sentence what failed, and answer in time whatever hangs."""

import json
import threading
import time
from pathlib import Path

import pytest

from cryptoliq_assets.cli.commands import status as status_module
from cryptoliq_assets.core.home import prepare_home
from cryptoliq_assets_tests.e2e.object_store.conftest import Store
from cryptoliq_assets_tests.support.command_line import CommandResult, run_script
from cryptoliq_assets_tests.support.s3_server import BUCKET
from cryptoliq_assets_tests.support.settings import make_settings

MAX_SECONDS = 10.0


@pytest.fixture
def home(tmp_path: Path) -> Path:
    prepare_home(make_settings(home_dir=tmp_path / "home"))
    return tmp_path / "home"


def run(home: Path, command: str, *options: str, url: str = f"s3://{BUCKET}/data", **settings: str) -> CommandResult:
    names = {f"CRYPTOLIQ_STORAGE__{name.upper()}": value for name, value in settings.items()}
    return run_script("--home", str(home), command, *options, CRYPTOLIQ_STORAGE__URL=url, **names)


def test_setup_writes_reads_and_removes_an_object(store: Store, home: Path) -> None:
    done = run(home, "setup")
    assert done.code == 0, done.text
    of_test = [method for method, path in store.server.requests if ".cryptoliq-test-" in path]
    assert {"PUT", "GET", "DELETE"} <= set(of_test)
    assert not [path for method, path in store.server.requests if method == "PUT" and ".cryptoliq-test-" not in path]


@pytest.mark.parametrize("command", ["setup", "status"])
@pytest.mark.parametrize(
    ("denied", "sentence"),
    [("PUT", "cannot write to s3://market/data: no permission"), ("GET", "cannot read from s3://market/data: no perm")],
)
def test_denied_access_is_named(store: Store, home: Path, command: str, denied: str, sentence: str) -> None:
    store.server.denied = {denied, "HEAD"} if denied == "GET" else {denied}
    done = run(home, command)
    assert done.code == 1
    assert f"the tables' store: {sentence}" in done.text
    assert "Traceback" not in done.text


@pytest.mark.parametrize("command", ["setup", "status"])
def test_a_missing_bucket_is_named(store: Store, home: Path, command: str) -> None:
    done = run(home, command, url="s3://elsewhere/data")
    assert done.code == 1
    assert "cannot use s3://elsewhere/data: it does not exist" in done.text


def test_setup_ends_when_the_store_hangs(store: Store, home: Path) -> None:
    store.proxy.hang()
    done = run(home, "setup", timeout_seconds="0.5", max_retries="0")
    assert done.code == 1
    assert "the tables' store: " in done.text
    assert "no answer" in done.text


def test_status_answers_while_all_stores_hang(store: Store, home: Path) -> None:
    store.proxy.hang()
    started = time.monotonic()
    done = run(home, "status", "--json", models_url=f"s3://{BUCKET}/models", files_url=f"s3://{BUCKET}/files")
    assert time.monotonic() - started < MAX_SECONDS
    assert done.code == 1
    tables, files, models = json.loads(done.out)["problems"]
    assert tables.startswith("the tables' store: no answer of s3://market/data within")
    assert files.startswith("the files' store: no answer of s3://market/files within")
    assert models.startswith("the models' store: no answer of s3://market/models within")


def test_status_names_a_killed_store(store: Store, home: Path) -> None:
    store.proxy.kill()
    started = time.monotonic()
    done = run(home, "status")
    assert time.monotonic() - started < MAX_SECONDS
    assert done.code == 1
    assert "the tables' store: cannot write to s3://market/data: it cannot be reached" in done.text


def test_status_names_a_store_that_hangs_after_its_test(store: Store, home: Path, monkeypatch) -> None:
    settings = make_settings(home_dir=home, storage__url=store.url, storage__timeout_seconds=5)
    tested = status_module.list_store_problems

    def hang_afterwards(*arguments, **options):
        problems = tested(*arguments, **options)
        store.proxy.hang()
        return problems

    monkeypatch.setattr(status_module, "list_store_problems", hang_afterwards)
    started = time.monotonic()
    state = status_module._read_unless_unavailable(settings)
    assert time.monotonic() - started < MAX_SECONDS
    assert state["level"] == "fail"
    (problem,) = state["problems"]
    assert problem.startswith("the tables' store: no answer within 2.5 s (market/data")


def test_status_waits_for_a_slow_store(store: Store, home: Path, monkeypatch) -> None:
    settings = make_settings(home_dir=home, storage__url=store.url)
    monkeypatch.setattr(status_module, "_HANGING_SECONDS", 1.0)
    slow = threading.Event()
    respond = store.server._app

    def respond_slowly(environ, start_response):
        slow.wait(0.1)
        return respond(environ, start_response)

    monkeypatch.setattr(store.server, "_app", respond_slowly)
    state = status_module._read_unless_unavailable(settings)
    assert state["problems"] == []
    assert state["months"]["cleaned_snapshots"] == 0
