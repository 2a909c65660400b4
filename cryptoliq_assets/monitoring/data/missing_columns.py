"""Missing columns: is the price, the volume, a change or the market cap of a snapshot empty for more coins than usual?

A 0 is empty too: of a price, a volume and a market cap always, of a change where the price moved.

`feed_faults` takes what is found here into its verdict. A column is judged by its vital signs alone; a new column needs its
two signs in `feed_metrics.measure_feed`, a kind in `conditions` and a line in COLUMNS_OF. What an empty cell does to a row does not
belong here.
"""

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cryptoliq_assets.core import Settings
from cryptoliq_assets.monitoring.data.feed_metrics import MIN_COINS

# Snapshots that say what is usual of counts and shares.
USUAL_SNAPSHOTS = 30
# A column that more of the coins lack than this is missing, whatever is usual.
_MOST_MISSING = 0.5
# No coin of a history made from daily prices has a 7d before its eighth day.
_DAYS_OF_7D = 8
# Standard deviations of a share that are left to chance: cells are empty here and there in every feed.
_DEVIATIONS = 3.0
# 1 - 0.95 is a little more than 0.05.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class _Column:
    """A column that may be missing.

    sign: prefix of its vital signs; name: as a sentence has it; limit: name of the setting with the largest loss that is
    allowed; least_days: days that the feed must span before coins can have it, None where a feed may lack it for good.
    """

    sign: str
    name: str
    limit: str
    least_days: int | None


COLUMNS_OF = {
    "prices_missing": [_Column("prices", "price", "max_missing_value_increase", 1)],
    "volumes_missing": [_Column("volumes", "volume", "max_missing_value_increase", 1)],
    # 1h is not judged: live files have it, history from daily charts never does, and the score does without it.
    "changes_missing": [
        _Column("changes_24h", "24h", "max_missing_value_increase", _DAYS_OF_7D),
        _Column("changes_7d", "7d", "max_missing_value_increase", _DAYS_OF_7D),
    ],
    "caps_missing": [_Column("caps", "market cap", "max_missing_cap_increase", None)],
}


def find_missing_columns(
    vitals: pd.DataFrame, settings: Settings, *, coins_gone: bool
) -> dict[str, tuple[str | None, dict[str, Any]]]:
    """Compare the newest snapshot's empty cells with those of the snapshots before it.

    Args:
        vitals: see `feed_metrics.measure_feed`; the last row is the newest snapshot.
        coins_gone: whether coins are gone; the coins that are left then say nothing of the usual share.

    Returns:
        By kind: a sentence where the column is missing, else None; and the shares (0 to 1) behind it.
    """
    return {kind: _missing(vitals, columns, settings, coins_gone=coins_gone) for kind, columns in COLUMNS_OF.items()}


def _missing(
    vitals: pd.DataFrame, columns: list[_Column], settings: Settings, *, coins_gone: bool
) -> tuple[str | None, dict[str, Any]]:
    said, figures = [], {}
    for column in columns:
        sentence, measured = _missing_column(vitals, column, settings, coins_gone=coins_gone)
        said += [sentence] if sentence else []
        figures |= measured if len(columns) == 1 else {f"{column.name}_{name}": of for name, of in measured.items()}
    return "; ".join(said) or None, figures


def _missing_column(
    vitals: pd.DataFrame, column: _Column, settings: Settings, *, coins_gone: bool
) -> tuple[str | None, dict[str, Any]]:
    now, before = vitals.iloc[-1], vitals.iloc[-1 - USUAL_SNAPSHOTS : -1]
    missing, lost = now[f"{column.sign}_missing"], now[f"{column.sign}_lost"]
    usual, usually_lost = before[f"{column.sign}_missing"], before[f"{column.sign}_lost"]
    figures = {
        "missing": _known(missing),
        "usually_missing": _known(usual.median()),
        "lost_by_known": _known(lost),
    }
    limit, many = getattr(settings.feed, column.limit) + _ROUNDING, now["coins"] >= MIN_COINS
    spanned = (vitals.index[-1] - vitals.index[0]).days + 1
    if column.least_days and spanned >= column.least_days and missing > (_MOST_MISSING if many else 1.0 - _ROUNDING):
        return f"{missing:.1%} of the {int(now['coins']):,} coins have no {column.name}", figures
    zeros = now.get(f"{column.sign}_zero", math.nan)
    if zeros > _MOST_MISSING:
        return f"{zeros:.1%} of the coins whose price moved have a {column.name} of 0", figures
    if lost > limit + _chance(usually_lost, now["coins"]):
        return f"{lost:.1%} of the coins whose {column.name} was known have none now", figures
    if missing - usual.median() > limit + _chance(usual, now["coins"]) and many and not coins_gone:
        return f"{missing:.1%} of the coins have no {column.name}, usually {usual.median():.1%}", figures
    return None, figures


def _chance(usual: pd.Series, coins: float) -> float:
    """What chance adds to a share of so many coins whose usual values are these: nothing for 2,000, much for 30."""
    share = usual.mean()
    return _DEVIATIONS * math.sqrt(share * (1.0 - share) / coins) if share > 0 else 0.0


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
