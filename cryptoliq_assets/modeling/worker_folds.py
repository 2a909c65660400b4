"""Folds of a candidate on the workers of a cluster, one task each: a worker reads the training rows itself, and returns the forecasts."""

from cryptoliq_assets.core import Settings
from cryptoliq_assets.core.cluster import Cluster, worker_folder, worker_threads
from cryptoliq_assets.modeling.datasets import Folds, TrainingRows
from cryptoliq_assets.modeling.estimators import ModelSpec, TableCache
from cryptoliq_assets.modeling.evaluation import Evaluation, FoldResult, Progress, combine_folds, evaluate_fold
from cryptoliq_assets.modeling.training_data import training_rows
from cryptoliq_assets.storage import WorkerAccess, open_shared_store, release_memory, share_store


def evaluate_on_workers(
    spec: ModelSpec, rows: TrainingRows, folds: Folds, *, settings: Settings, cluster: Cluster, progress: Progress
) -> Evaluation:
    """Evaluate a specification like `evaluate`, all folds at the same time; each is fitted by one worker.

    Args:
        spec: The specification.
        rows: The training rows.
        folds: The folds.
        settings: Settings of the data directory.
        cluster: The workers.
        progress: Receives a line per fold.

    Raises:
        ClusterError: A worker was lost.
    """
    access = share_store(settings)
    labels = {f"fold {fold.number} of {spec.name}": fold.number for fold in folds.folds}
    results = cluster.run(
        _evaluate_fold,
        {label: (access, spec, number, rows.fingerprint) for label, number in labels.items()},
        on_result=lambda label, result: progress(f"{label}: {result.seconds:.0f} s"),
    )
    return combine_folds(spec.name, rows, folds, list(results.values()), spec=spec.to_dict())


def worker_cache(settings: Settings) -> TableCache:
    """Return where the worker that runs this task keeps large tables of xgboost.

    Not in the data directory, which workers on one machine share: each removes what killed trainings left in its folder.
    """
    return TableCache(worker_folder(), settings.xgboost_rows_in_memory)


def _evaluate_fold(access: WorkerAccess, spec: ModelSpec, number: int, fingerprint: str) -> FoldResult:
    """The task: runs on a worker."""
    with open_shared_store(access) as store:
        settings = store.settings
        rows, folds = training_rows(settings, store)
        if rows.fingerprint != fingerprint:
            raise RuntimeError("the tables changed while the training was at work: run `cryptoliq train` again")
        (fold,) = [fold for fold in folds.folds if fold.number == number]
        result = evaluate_fold(
            spec,
            rows,
            folds,
            fold,
            seed=settings.seed,
            threads=worker_threads(),
            device=settings.xgboost_device,
            cache=worker_cache(settings),
        )
    release_memory()
    return result
