"""What is due: a champion where there is none, forecasts of the newest snapshot by the present one."""

import datetime as dt

from cryptoliq_assets.io.tables import TableStore
from cryptoliq_assets.models.loading import ModelRefused
from cryptoliq_assets.models.store import store_of
from cryptoliq_assets.settings import Settings


def newest_date(store: TableStore, table: str = "engineered_features") -> dt.date | None:
    """Date of the newest snapshot in a table; None while it is empty."""
    for month in reversed(store.months(table)):
        stamp = store.stamp(table, month)
        if stamp and stamp.days:
            return dt.date.fromisoformat(max(stamp.days))
    return None


def forecasts_due(settings: Settings, store: TableStore) -> str | None:
    """The month of the newest snapshot when the present champion has not forecast it yet, else None."""
    models = store_of(settings)
    # Where the current one is broken, an earlier one forecasts in its place; where all are, the run has to say so.
    champion = models.newest_intact()[0] or models.current_version()
    newest = newest_date(store)
    if champion is None or newest is None:
        return None
    month = f"{newest:%Y-%m}"
    stored = store.read("forecasts", [month], columns=["coin", "date", "model_version"])
    done = stored["date"].eq(newest.isoformat()) & stored["model_version"].eq(champion)
    return None if done.any() else month


def training_due(settings: Settings, store: TableStore, *, provisional_too: bool) -> bool:
    """True when training would give a champion where there is none, or none that loads, or a sound one in place of a
    provisional one.

    With `provisional_too` a first champion may be provisional: too few dates for rolling-origin folds are no obstacle.
    """
    models = store_of(settings)
    version, _ = models.newest_intact()
    try:
        models.current()
        champion = models.metadata(version) if version else None
    except ModelRefused:
        # What is known of the current one is gone or unreadable: no sound champion, and training gives one.
        champion = None
    if champion is not None and champion["evaluation"] == "over_time":
        return False
    dates = labelled_dates(store)
    if dates >= settings.min_train_dates:
        return True
    return provisional_too and champion is None and dates > 0


def labelled_dates(store: TableStore) -> int:
    """Dates that have at least one trainable row."""
    labels = store.read("labels", columns=["coin", "date", "trainable"])
    return int(labels.loc[labels["trainable"], "date"].nunique())
