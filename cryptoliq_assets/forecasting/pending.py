"""What is due: a champion where there is none of the task asked for, forecasts of the newest snapshot by the present one."""

import datetime as dt

from cryptoliq_assets.core import Settings
from cryptoliq_assets.modeling import describe_task_mismatch
from cryptoliq_assets.modeling.estimators import normalize_model_versions
from cryptoliq_assets.modeling.registry import ModelRejectedError, open_model_store
from cryptoliq_assets.storage import TableStore

_FEATURES = "engineered_features"


def newest_date(store: TableStore, table: str = _FEATURES) -> dt.date | None:
    """Date of the newest snapshot in a table; None while it is empty."""
    for month in reversed(store.months(table)):
        stamp = store.stamp(table, month)
        if stamp and stamp.days:
            return dt.date.fromisoformat(max(stamp.days))
    return None


def month_to_forecast(settings: Settings, store: TableStore) -> str | None:
    """The month of the newest snapshot when the present champion has not forecast it yet, else None."""
    models = open_model_store(settings)
    # Where the current one is broken, an earlier one forecasts in its place; where all are, the run has to say so.
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
    """True when training would give a champion where there is none, or none that loads, or one of another task (formula,
    horizon) than the settings', or a sound one in place of a provisional one.

    With `provisional_too` a first champion may be provisional: too few dates for rolling-origin folds are no obstacle.
    """
    models = open_model_store(settings)
    version, _ = models.latest_valid_version()
    try:
        models.current()
        champion = models.metadata(version) if version and not describe_champion_mismatch(settings) else None
    except ModelRejectedError:
        # What is known of the current one is gone or unreadable: no sound champion, and training gives one.
        champion = None
    if champion is not None and champion["evaluation"] == "over_time":
        return False
    dates = count_labelled_dates(store)
    if dates >= settings.cv.min_train_dates:
        return True
    return provisional_too and champion is None and dates > 0


def describe_champion_mismatch(settings: Settings) -> str | None:
    """Where the model that serves has another formula or horizon than the settings: both in words, else None.

    It forecasts nothing then, for the tables hold the features of the settings' formula.
    """
    models = open_model_store(settings)
    version = models.latest_valid_version()[0]
    if version is None:
        return None
    return describe_task_mismatch(
        models.metadata(version), formula=settings.formula, horizon_days=settings.horizon_days
    )


def describe_stale_features(store: TableStore, month: str) -> str | None:
    """Where a month's features are not made from what there is now, by the formula of the settings: what to do, else None.

    They may be of another formula, whose numbers a model of this one would take for its own.
    """
    if store.is_fresh(_FEATURES, month):
        return None
    return (
        f"{_FEATURES} of {month} are of another formula ({store.settings.formula} is asked for), of other snapshots than "
        "there are now, or of an earlier version: `cryptoliq materialize` makes them again"
    )


def describe_missing_days(settings: Settings, store: TableStore) -> str | None:
    """Where nothing can be trained, how many more days of snapshots that takes; None where some date is labelled."""
    if count_labelled_dates(store):
        return None
    horizon = settings.horizon_days
    days = sum(len(stamp.days) for month in store.months(_FEATURES) if (stamp := store.stamp(_FEATURES, month)))
    # The newest days have no label before as many more have come as the horizon is long.
    waiting = min(days, horizon)
    return (
        f"no day has a label, which is a sound row followed by one {horizon} day(s) later: at least "
        f"{1 + horizon - waiting} more day(s) of snapshots make a provisional champion, at least "
        f"{settings.cv.min_train_dates + horizon - waiting} one that is judged over time"
    )


def count_labelled_dates(store: TableStore) -> int:
    """Dates that have at least one trainable row."""
    labels = store.read("labels", columns=["coin", "date", "trainable"])
    return int(labels.loc[labels["trainable"], "date"].nunique())
