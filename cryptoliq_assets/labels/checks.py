"""Checks of the labels: the target lies exactly a horizon ahead."""

import dagster as dg
import pandas as pd

from cryptoliq_assets.io.check_kit import Finding, TableCheck, table_checks
from cryptoliq_assets.io.tables import TableStore
from cryptoliq_assets.settings import Settings


def label_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    def target_date_exact(store: TableStore, months: list[str]) -> Finding:
        dates = store.read("labels", months, columns=["coin", "date", "target_date", "trainable"])
        wrong = dates[dates["target_date"] - dates["date"] != pd.Timedelta(days=settings.horizon_days)]
        samples = [f"{row.coin} {row.date.date()} → {row.target_date.date()}" for row in wrong.head(10).itertuples()]
        counts = {"rows": len(dates), "trainable": int(dates["trainable"].sum()), "wrong": len(wrong)}
        return Finding(wrong.empty, {**counts, "samples": samples})

    description = f"target_date is date + {settings.horizon_days} day(s)."
    check = TableCheck("target_date_exact", description, target_date_exact, blocking=True)
    return [table_checks("labels", checks=[check])]
