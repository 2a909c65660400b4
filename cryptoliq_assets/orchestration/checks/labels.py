"""Checks of the labels: the target lies exactly a horizon ahead, and as many rows as usual are sound."""

import dagster as dg
import pandas as pd

from cryptoliq_assets.core import Settings
from cryptoliq_assets.orchestration import Finding, TableCheck, build_table_checks
from cryptoliq_assets.orchestration.checks.daily_fractions import USUAL_DAYS, find_unusual_days, read_daily_fractions
from cryptoliq_assets.storage import TableStore


def label_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    def target_date_exact(store: TableStore, months: list[str]) -> Finding:
        dates = store.read("labels", months, columns=["coin", "date", "target_date", "trainable"])
        wrong = dates[dates["target_date"] - dates["date"] != pd.Timedelta(days=settings.horizon_days)]
        samples = [f"{row.coin} {row.date.date()} → {row.target_date.date()}" for row in wrong.head(10).itertuples()]
        counts = {"rows": len(dates), "trainable": int(dates["trainable"].sum()), "wrong": len(wrong)}
        return Finding(wrong.empty, {**counts, "samples": samples})

    description = f"target_date is date + {settings.horizon_days} day(s)."
    check = TableCheck("target_date_exact", description, target_date_exact, blocking=True)
    sound = TableCheck(
        "sound_share",
        f"Of no day are {settings.feed.max_missing_value_increase:.0%} fewer of the rows sound than usual in the {USUAL_DAYS} days before.",
        lambda store, months: sound_share(settings, store, months),
        restates=("changes_missing", "prices_missing", "volumes_missing"),
    )
    return [build_table_checks("labels", checks=[check, sound])]


def sound_share(settings: Settings, store: TableStore, months: list[str]) -> Finding:
    """Days of these months on which fewer rows than usual may train, score a model or serve as a target."""
    if not months:
        return Finding(True, {"count": 0})
    shares = read_daily_fractions(store, "labels", months, {"sound": ["sound"]})
    return find_unusual_days(shares, "sound", months, limit=settings.feed.max_missing_value_increase, falls=True)
