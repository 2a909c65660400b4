"""Tables and models on the workers of a Dask scheduler: two real processes, which are shared by the tests of this module."""

import datetime as dt
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import numpy as np
import psutil
import pytest

from cryptoliq_assets.core.cluster import ClusterError, client, open_cluster
from cryptoliq_assets.core.database import LockLostError
from cryptoliq_assets.modeling.estimators import CANDIDATES, ScoreForecaster, fit_spec, predict_rows
from cryptoliq_assets.modeling.evaluation import evaluate
from cryptoliq_assets.modeling.registry import load_candidate, open_model_store
from cryptoliq_assets.modeling.table_months import VIEWS_TABLE
from cryptoliq_assets.modeling.training_data import training_rows
from cryptoliq_assets.modeling.views_table import update_views
from cryptoliq_assets.modeling.worker_folds import worker_cache
from cryptoliq_assets.modeling.worker_months import _write_month, compute_on_workers
from cryptoliq_assets.orchestration.resources import hold_locks
from cryptoliq_assets.orchestration.runner import RunFailedError, Runner
from cryptoliq_assets.schemas.tables import DERIVED_TABLES
from cryptoliq_assets.simulation import simulate_market, write_snapshots
from cryptoliq_assets.storage import TableStore, share_store
from cryptoliq_assets_tests.support.cluster import LocalCluster, fail_in, run_cluster, wait_for_file, wait_to_be_killed
from cryptoliq_assets_tests.support.markets import Home, assert_same_tables, snapshot
from cryptoliq_assets_tests.support.postgres import run_postgres
from cryptoliq_assets_tests.support.processes import free_port
from cryptoliq_assets_tests.support.settings import make_settings

TABLES = (*DERIVED_TABLES, VIEWS_TABLE)
END = dt.date(2022, 6, 3)
COINS, DAYS = 12, 130


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with run_postgres() as server:
        yield server.database()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, database: str) -> Iterator[LocalCluster]:
    with run_cluster(tmp_path_factory.mktemp("cluster"), CRYPTOLIQ_POSTGRES_URL=database) as running:
        yield running


def make_runner(home: Path, **values: object) -> Runner:
    """A data directory with the raw files of six months of some coins."""
    runner = Runner(make_settings(home_dir=home, **values))
    write_snapshots(simulate_market(coins=COINS, days=DAYS, end=END, seed=5), runner.settings.raw_dir)
    runner.register_files()
    return runner


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> TableStore:
    """The tables that one process computes."""
    runner = make_runner(tmp_path_factory.mktemp("local"))
    runner.refresh(runner.plan().ranges)
    update_views(runner.settings, runner.store)
    return runner.store


def stamps_of(store: TableStore) -> dict[tuple[str, str], tuple[object, ...]]:
    """Digests of the rows of each day and of what they were computed from, by table and month."""
    found = {(table, month): store.stamp(table, month) for table in TABLES for month in store.months(table)}
    return {key: (stamp.inputs, stamp.days, stamp.counts) for key, stamp in found.items() if stamp}


def test_tables_of_a_cluster_equal_those_of_one_process(
    cluster: LocalCluster, local: TableStore, tmp_path: Path
) -> None:
    messages: list[str] = []
    runner = make_runner(tmp_path, dask_address=cluster.address)
    runner.on_message = lambda message, level: messages.append(message)
    runner.refresh(runner.plan().ranges)
    with hold_locks(runner.settings), open_cluster(cluster.address) as workers:
        written = update_views(runner.settings, runner.store, cluster=workers)
    assert_same_tables(runner.store, local, TABLES)
    assert stamps_of(runner.store) == stamps_of(local)
    # Months are tasks, and each table waits for the one before.
    done = [match[1] for message in messages if (match := re.search(r"\d{4}-\d\d of (\w+): [\d,]+ rows", message))]
    assert done == [table for table in DERIVED_TABLES[1:] for _ in local.months(table)]
    assert sum(written.values()) == len(local.read(VIEWS_TABLE))
    # Counts and lineage of the runs are those of a process, except for the number of coins.
    (event,) = runner.instance.fetch_materializations(dg.AssetKey("cleaned_snapshots"), limit=1).records
    metadata = event.asset_materialization.metadata
    assert metadata["dagster/row_count"].value == metadata["rows_kept"].value == len(local.read("cleaned_snapshots"))
    assert metadata["last_date"].value == str(END)


def test_a_killed_worker_fails_the_run_and_a_rerun_completes_it(
    cluster: LocalCluster, local: TableStore, tmp_path: Path
) -> None:
    runner = make_runner(tmp_path, dask_address=cluster.address)
    processes = cluster.worker_processes()
    killed: list[str] = []

    def kill(message: str, level: int) -> None:
        if "of engineered_features:" in message and not killed:
            killed.append(next(iter(processes)))
            os.kill(processes[killed[0]], signal.SIGKILL)

    runner.on_message = kill
    started = time.monotonic()
    with pytest.raises(RunFailedError, match=r"worker \d+ at tcp://\S+ ended during \d{4}-\d\d of engineered_features"):
        runner.refresh(runner.plan().ranges)
    assert time.monotonic() - started < 60
    assert runner.store.months("cleaned_snapshots") == local.months("cleaned_snapshots")
    assert "labels" not in {table for table in DERIVED_TABLES if runner.store.months(table)}
    cluster.wait_for_workers(2)
    runner.refresh(runner.plan().ranges)
    assert_same_tables(runner.store, local, DERIVED_TABLES)


def test_the_error_names_the_worker_that_died(cluster: LocalCluster, tmp_path: Path) -> None:
    addresses = {number: address for address, number in cluster.worker_processes().items()}
    begun = tmp_path / "0.pid"

    def kill() -> None:
        wait_for_file(begun)
        os.kill(int(begun.read_text(encoding="utf-8")), signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    started = time.monotonic()
    with open_cluster(cluster.address) as workers, pytest.raises(ClusterError) as raised:
        workers.run(wait_to_be_killed, {f"task {number}": (str(tmp_path), number) for number in range(2)})
    assert time.monotonic() - started < 30
    assert addresses[int(begun.read_text(encoding="utf-8"))] in str(raised.value)
    killer.join()
    cluster.wait_for_workers(2)


def test_a_cancelled_task_does_not_write(cluster: LocalCluster, tmp_path: Path) -> None:
    with open_cluster(cluster.address) as workers, pytest.raises(ValueError, match="no such coin") as raised:
        workers.run(fail_in, {"waits": (str(tmp_path), True), "fails": (str(tmp_path), False)})
    assert any("during fails" in note for note in raised.value.__notes__)
    refused = tmp_path / "refused"
    wait_for_file(refused)
    assert "writes nothing" in refused.read_text(encoding="utf-8")
    assert not (tmp_path / "written").exists()


def test_a_worker_writes_nothing_once_the_lock_is_lost(cluster: LocalCluster, database: str, tmp_path: Path) -> None:
    home = Home(make_settings(home_dir=tmp_path, postgres_url=database))
    home.drop("coingecko_20220330.csv", snapshot([dt.date(2022, 3, 30)]))
    home.bring_up_to_date()
    month = home.store.path("cleaned_snapshots", "2022-03")
    with hold_locks(home.settings), open_cluster(cluster.address) as workers:
        access = share_store(home.settings)
        month.unlink()
        compute_on_workers("cleaned_snapshots", ["2022-03"], home.store, workers)
        assert month.exists()
    assert access.session is not None
    month.unlink()
    with open_cluster(cluster.address) as workers, pytest.raises(LockLostError, match="lost the lock"):
        workers.run(_write_month, {"late": (access, "cleaned_snapshots", "2022-03")})
    assert not month.exists()


def test_a_worker_that_does_not_match_the_run_says_what_to_do(cluster: LocalCluster, tmp_path: Path) -> None:
    settings = make_settings(home_dir=tmp_path / "one")
    with hold_locks(settings), open_cluster(cluster.address) as workers:
        access = share_store(settings)
        settings.home_id_path.unlink()
        with pytest.raises(ClusterError, match=r"does not see the tables .* CRYPTOLIQ_STORAGE__URL"):
            workers.run(_write_month, {"any": (access, "labels", "2022-04")})
        access = share_store(settings)
        access.versions["numpy"] = "1.0"
        with pytest.raises(ClusterError, match=r"has numpy .* and the run has 1\.0"):
            workers.run(_write_month, {"any": (access, "labels", "2022-04")})


def test_workers_keep_large_tables_in_folders_of_their_own(cluster: LocalCluster, tmp_path: Path) -> None:
    settings = make_settings(home_dir=tmp_path)
    with open_cluster(cluster.address) as workers:
        cache = workers.run(worker_cache, {"cache": (settings,)})["cache"]
    assert cache.rows_in_memory == settings.xgboost_rows_in_memory
    assert not cache.folder.is_relative_to(settings.home_dir)


def test_a_scheduler_that_does_not_answer_is_named_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.CONNECT_SECONDS == 10
    monkeypatch.setattr(client, "CONNECT_SECONDS", 1.0)
    address = f"tcp://127.0.0.1:{free_port()}"
    runner = make_runner(tmp_path, dask_address=address)
    started = time.monotonic()
    with pytest.raises(RunFailedError, match=rf"refresh failed: the scheduler {address} .* did not answer within 1 s"):
        runner.refresh(runner.plan().ranges)
    assert time.monotonic() - started < 10
    assert runner.store.months("raw_snapshots") == []
    assert [file.state for file in runner.catalog.files()] == ["waiting"] * DAYS


def test_sigkill_of_the_command_leaves_no_worker_and_no_run(tmp_path: Path) -> None:
    with run_cluster(tmp_path, workers=1) as running, open_cluster(running.address) as workers:
        left: list[psutil.Process] = []

        def kill() -> None:
            wait_for_file(tmp_path / "0.pid")
            left.extend(running.end(signal.SIGKILL, seconds=20))

        killer = threading.Thread(target=kill)
        killer.start()
        started = time.monotonic()
        with pytest.raises(ClusterError, match=rf"(scheduler {running.address} ended|worker \S+ at \S+ ended)"):
            workers.run(wait_to_be_killed, {"waits": (str(tmp_path), 0)})
        assert time.monotonic() - started < 40
        killer.join()
        assert left == []


def test_sigint_ends_all_processes_of_the_command(tmp_path: Path) -> None:
    with run_cluster(tmp_path, workers=1) as running:
        assert running.end(signal.SIGINT) == []
        assert running.process.wait(1) == 0
    assert "Traceback" not in running.text()


def test_dask_is_not_imported_without_an_address() -> None:
    code = (
        "import sys, cryptoliq_assets.definitions\n"
        "from cryptoliq_assets.modeling import compute_on_workers, training_rows\n"
        "from cryptoliq_assets.schemas import TABLES\n"
        "from cryptoliq_assets.storage import empty_frame, validate_table\n"
        "validate_table(TABLES['labels'], empty_frame(TABLES['labels']), where='here')\n"
        "import s3fs, sklearn.ensemble, xgboost\n"
        "print(sorted(name for name in sys.modules if name.partition('.')[0] in ('dask', 'distributed')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# Training


def test_xgboost_on_the_cluster_has_the_skill_of_one_process(cluster: LocalCluster, tmp_path: Path) -> None:
    home = Home(make_settings(home_dir=tmp_path))
    # One file of all days, which is read faster than one of each day.
    market = simulate_market(coins=100, days=DAYS, end=END, seed=5)
    home.drop(f"coingecko_{END:%Y%m%d}.csv", market.to_csv(index=False).encode())
    home.bring_up_to_date()
    rows, folds = training_rows(home.settings, home.store)
    spec = CANDIDATES["xgboost"]

    def skill(model: ScoreForecaster, test: np.ndarray) -> float:
        errors = np.mean((predict_rows(model, rows, chosen=test) - rows.y[test]) ** 2)
        return 1 - errors / np.mean((rows.today[test] - rows.y[test]) ** 2)

    alone = [skill(fit_spec(spec, rows, train=fold.train), fold.test) for fold in folds.folds]
    with open_cluster(cluster.address) as workers:
        models = [fit_spec(spec, rows, train=fold.train, cluster=workers) for fold in folds.folds]
    together = [skill(model, fold.test) for model, fold in zip(models, folds.folds, strict=True)]
    # The skill of a model is its mean over the folds. That of one fold differs more, as with another seed.
    assert abs(np.mean(alone) - np.mean(together)) < 0.002, (alone, together)
    # It is stored as every other model, and predicts without a cluster.
    stored = pickle.loads(pickle.dumps(models[-1]))
    test = folds.folds[-1].test
    np.testing.assert_array_equal(predict_rows(stored, rows, chosen=test), predict_rows(models[-1], rows, chosen=test))


def test_a_training_on_the_cluster_is_recorded_in_the_metadata(
    cluster: LocalCluster, local: TableStore, tmp_path: Path
) -> None:
    shutil.copytree(local.settings.home_dir, tmp_path / "home")
    settings = make_settings(home_dir=tmp_path / "home", dask_address=cluster.address, cv__n_splits=2)
    messages: list[str] = []
    runner = Runner(settings, on_message=lambda message, level: messages.append(message))
    runner.train()
    assert sum(bool(re.match(r"fold \d of \w+: \d+ s", message)) for message in messages) == 2 * len(CANDIDATES)
    champion = open_model_store(settings).load()
    assert champion.metadata["training"]["computed_on"] == "cluster"
    # Folds of a linear model are the same arithmetic wherever they are computed.
    rows, folds = training_rows(settings, runner.store)
    stored = load_candidate(settings.models_dir / "candidates", "linear_regression")
    assert stored.computed_on == "cluster"
    alone = evaluate(CANDIDATES["linear_regression"], rows, folds, seed=settings.seed)
    np.testing.assert_allclose(stored.evaluation.predicted, alone.predicted, rtol=0, atol=1e-9)
    assert stored.evaluation.skill() == pytest.approx(alone.skill(), abs=1e-9)
