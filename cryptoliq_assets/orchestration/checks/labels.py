"""Checks of `labels`."""

import pandas as pd

from cryptoliq_assets.core import Settings
from cryptoliq_assets.orchestration.checks.daily_fractions import (
    BASELINE_DAYS,
    find_unusual_days,
    read_daily_fractions,
)
from cryptoliq_assets.orchestration.checks.registry import CheckOutcome, asset_check
from cryptoliq_assets.storage import TableStore


@asset_check(
    "labels",
    description=lambda settings: f"target_date is date + {settings.horizon_days} day(s).",
    blocking=True,
)
def target_date_exact(settings: Settings, store: TableStore, months: list[str]) -> CheckOutcome:
    """Find rows whose target date is not exactly one horizon ahead."""
    dates = store.read("labels", months, columns=["coin", "date", "target_date", "trainable"])
    wrong = dates[dates["target_date"] - dates["date"] != pd.Timedelta(days=settings.horizon_days)]
    samples = [f"{row.coin} {row.date.date()} → {row.target_date.date()}" for row in wrong.head(10).itertuples()]
    counts = {"rows": len(dates), "trainable": int(dates["trainable"].sum()), "wrong": len(wrong)}
    return CheckOutcome(wrong.empty, {**counts, "samples": samples})


@asset_check(
    "labels",
    description=lambda settings: (
        f"On no day is the fraction of valid rows {settings.feed.max_missing_value_increase:.0%} lower than usual in the "
        f"{BASELINE_DAYS} days before."
    ),
    restates=("changes_missing", "prices_missing", "volumes_missing"),
)
def sound_share(settings: Settings, store: TableStore, months: list[str]) -> CheckOutcome:
    """Find days on which fewer rows than usual may train a model, score it or serve as a target."""
    if not months:
        return CheckOutcome(True, {"count": 0})
    fractions = read_daily_fractions(store, "labels", months, {"sound": ["sound"]})
    return find_unusual_days(fractions, "sound", months, limit=settings.feed.max_missing_value_increase, decrease=True)
