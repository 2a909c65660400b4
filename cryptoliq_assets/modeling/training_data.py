"""The training rows of a data directory and their folds; cached while the tables are unchanged."""

import json
from functools import lru_cache

from cryptoliq_assets.core import Settings
from cryptoliq_assets.modeling.datasets import Folds, TrainingRows, make_folds, open_training_rows
from cryptoliq_assets.modeling.estimators import TableCache
from cryptoliq_assets.modeling.views_table import update_views
from cryptoliq_assets.storage import TableStore, release_memory

_TABLES = ("engineered_features", "labels", "feature_views")


def training_rows(settings: Settings, store: TableStore) -> tuple[TrainingRows, Folds]:
    """Return all trainable rows of the data directory and the folds on them; cached while the tables are unchanged.

    The table of views is brought up to date first, which requires the run lock if it is not.

    Raises:
        ValueError: Nothing can be trained on; the message states what is missing.
    """
    update_views(settings, store)
    stamps = tuple(
        (table, month, stamp.inputs)
        for table in _TABLES
        for month in store.months(table)
        if (stamp := store.stamp(table, month))
    )
    return _rows(json.dumps(settings.public_values()), stamps)


@lru_cache(maxsize=1)
def _rows(settings_json: str, stamps: tuple[object, ...]) -> tuple[TrainingRows, Folds]:
    settings = Settings.model_validate_json(settings_json)
    store = TableStore(settings)
    rows = open_training_rows(store, formula=settings.formula, folder=settings.scratch_dir)
    if rows.horizon_days != settings.horizon_days:
        raise ValueError(
            f"the labels are {rows.horizon_days} day(s) ahead, CRYPTOLIQ_HORIZON_DAYS is {settings.horizon_days}: "
            "`cryptoliq materialize` recomputes them"
        )
    folds = make_folds(
        rows,
        count=settings.cv.n_splits,
        first_origin=settings.cv.first_test_date,
        min_train_dates=settings.cv.min_train_dates,
    )
    release_memory()
    return rows, folds


def table_cache(settings: Settings) -> TableCache:
    """Return where xgboost keeps large tables."""
    return TableCache(settings.scratch_dir, settings.xgboost_rows_in_memory)
