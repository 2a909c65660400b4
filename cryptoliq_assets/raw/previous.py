"""The newest snapshot held against the one before it: coins gone, market caps gone, values that did not change."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cryptoliq_assets.io.tables import TableStore
from cryptoliq_assets.partitions import months_reached, shift
from cryptoliq_assets.raw.neighbours import OLDEST_DAYS
from cryptoliq_assets.settings import Settings

_COLUMNS = ["coin", "date", "price", "24h_volume", "mkt_cap"]
_LISTED = 20
# 1 - 0.9 is a little less than 0.1.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Comparison:
    """Two dates (ISO), and shares of the earlier one's coins: gone; without the cap that they had; with the same price and
    volume as before (of those that are in both). NaN where there is nothing to take a share of."""

    date: str
    previous: str
    gone: float
    caps_lost: float
    unchanged: float
    coins_gone: list[str]

    def faults(self, settings: Settings) -> list[str]:
        """A sentence for each share beyond what the monitor allows a feed: the same limits, seen at once instead of at its next
        look."""
        said = [
            ("coins of the snapshot before are gone", self.gone, 1.0 - settings.feed_coins_kept),
            ("known market caps are missing", self.caps_lost, settings.feed_caps_lost),
            ("coins repeat price and volume", self.unchanged, settings.feed_frozen_share),
        ]
        return [
            f"{share:.1%} of the {what} (at most {most:.0%})" for what, share, most in said if share > most + _ROUNDING
        ]


def compare_newest(rows: pd.DataFrame) -> Comparison | None:
    """The last date of raw rows against the one before it, at most 7 days earlier; None where there is none."""
    dates = np.unique(rows["date"].to_numpy())
    if len(dates) < 2 or dates[-1] - dates[-2] > np.timedelta64(OLDEST_DAYS, "D"):
        return None
    before, now = (rows[rows["date"] == date].set_index("coin").drop(columns="date") for date in dates[-2:])
    gone = before.index.difference(now.index)
    both = before.index.intersection(now.index)
    old, new = before.loc[both], now.loc[both]
    known = old["mkt_cap"] > 0
    told = old["price"].notna() & old["24h_volume"].gt(0)
    same = (old["price"] == new["price"]) & (old["24h_volume"] == new["24h_volume"])
    return Comparison(
        date=str(dates[-1].astype("datetime64[D]")),
        previous=str(dates[-2].astype("datetime64[D]")),
        gone=len(gone) / len(before),
        caps_lost=float((~(new.loc[known, "mkt_cap"] > 0)).mean()),
        unchanged=float(same[told].mean()),
        coins_gone=sorted(map(str, gone))[:_LISTED],
    )


def read_newest(store: TableStore, months: list[str]) -> pd.DataFrame:
    """Raw rows of the last of these months that has any, and of as far back as a previous snapshot may lie."""
    there = [month for month in store.months("raw_snapshots") if month in months]
    if not there:
        return store.read("raw_snapshots", [], columns=_COLUMNS)
    reach = [shift(there[-1], -back) for back in range(months_reached(OLDEST_DAYS), 0, -1)]
    return store.read("raw_snapshots", [*reach, there[-1]], columns=_COLUMNS)
