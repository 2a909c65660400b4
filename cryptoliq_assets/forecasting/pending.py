"""What is pending: training when no champion exists for the configured formula and horizon, and forecasts of the newest snapshot.

The sensors that act on it belong in `orchestration`.
"""

import datetime as dt

from cryptoliq_assets.core import Settings
from cryptoliq_assets.modeling import describe_task_mismatch
from cryptoliq_assets.modeling.estimators import normalize_model_versions
from cryptoliq_assets.modeling.registry import ModelRejectedError, open_model_store
from cryptoliq_assets.storage import TableStore

_FEATURES = "engineered_features"


def newest_date(store: TableStore, table: str = _FEATURES) -> dt.date | None:
    """Return the date of the newest snapshot in a table; None if it is empty."""
    for month in reversed(store.months(table)):
        stamp = store.stamp(table, month)
        if stamp and stamp.days:
            return dt.date.fromisoformat(max(stamp.days))
    return None


def month_to_forecast(settings: Settings, store: TableStore) -> str | None:
    """Return the month of the newest snapshot if the current champion has not forecast it yet, else None."""
    models = open_model_store(settings)
    # If the current model is damaged, an earlier one forecasts; if all are, the run has to report it.
    champion = models.latest_valid_version()[0] or models.current_version()
    newest = newest_date(store)
    if champion is None or newest is None or describe_champion_mismatch(settings):
        return None
    month = f"{newest:%Y-%m}"
    stored = store.read("forecasts", [month], columns=["coin", "date", "model_version"])
    by_champion = normalize_model_versions(stored["model_version"]).eq(models.model_version(champion))
    done = stored["date"].eq(newest.isoformat()) & by_champion
    return None if done.any() else month


def is_training_due(settings: Settings, store: TableStore, *, provisional_too: bool) -> bool:
    """Return whether training would provide a missing champion, or replace a provisional one.

    A champion is missing if there is none, none loads, or it has another task (formula, horizon) than the settings.

    Args:
        settings: Settings of the data directory.
        store: Its tables.
        provisional_too: Whether a first champion may be provisional, with too few dates for rolling-origin folds.
    """
    models = open_model_store(settings)
    version, _ = models.latest_valid_version()
    try:
        models.current()
        champion = models.metadata(version) if version and not describe_champion_mismatch(settings) else None
    except ModelRejectedError:
        # The metadata of the current model are missing or unreadable: training provides a valid champion.
        champion = None
    if champion is not None and champion["evaluation"] == "over_time":
        return False
    dates = count_labelled_dates(store)
    if dates >= settings.cv.min_train_dates:
        return True
    return provisional_too and champion is None and dates > 0


def describe_champion_mismatch(settings: Settings) -> str | None:
    """Return how formula or horizon of the serving model differ from the settings; None if they do not.

    With a difference nothing is forecast, because the tables have the features of the configured formula.
    """
    models = open_model_store(settings)
    version = models.latest_valid_version()[0]
    if version is None:
        return None
    return describe_task_mismatch(
        models.metadata(version), formula=settings.formula, horizon_days=settings.horizon_days
    )


def describe_stale_features(store: TableStore, month: str) -> str | None:
    """Return what to do if a month's features are outdated; None if they are fresh.

    They may be of another formula, whose values a model must not use.
    """
    if store.is_fresh(_FEATURES, month):
        return None
    return (
        f"{_FEATURES} of {month} are of another formula than the configured {store.settings.formula}, of other snapshots "
        "than the current ones, or of an earlier version: `cryptoliq materialize` recomputes them"
    )


def describe_missing_days(settings: Settings, store: TableStore) -> str | None:
    """Return how many more days of snapshots training needs; None if some date has labels."""
    if count_labelled_dates(store):
        return None
    horizon = settings.horizon_days
    days = sum(len(stamp.days) for month in store.months(_FEATURES) if (stamp := store.stamp(_FEATURES, month)))
    # The newest days get labels when as many more days have arrived as the horizon is long.
    waiting = min(days, horizon)
    return (
        f"no day has a label, which is a valid row followed by one {horizon} day(s) later: a provisional champion needs at "
        f"least {1 + horizon - waiting} more day(s) of snapshots, one evaluated over time at least "
        f"{settings.cv.min_train_dates + horizon - waiting}"
    )


def count_labelled_dates(store: TableStore) -> int:
    """Return the number of dates with at least one trainable row."""
    labels = store.read("labels", columns=["coin", "date", "trainable"])
    return int(labels.loc[labels["trainable"], "date"].nunique())
