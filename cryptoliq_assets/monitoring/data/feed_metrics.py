"""The vital signs of a feed: a few numbers a snapshot, each against the snapshots before it.

What a fault and a market move look like is told by `feed_faults.py`, from these numbers alone.
"""

import datetime as dt

import numpy as np
import pandas as pd

from cryptoliq_assets.ingestion.quality import (
    MAX_PREVIOUS_AGE_DAYS,
    SCALED_COLUMNS,
    compute_realized_slopes,
    log_ratios,
    ratio_quartiles,
)
from cryptoliq_assets.labels import CLIP_7D, CLIP_24H, daily_volatility, log_return

FEED_COLUMNS = ["coin", "date", "price", "24h", "7d", "24h_volume", "mkt_cap"]
# The oldest day that a vital sign of a snapshot reaches back to.
REACH_DAYS = 8
# Fits that a clock which is off would have, by what it means. The first of each pair is how it should be.
FIT_24H, COLUMN_BEHIND, PRICES_BEHIND = "fit_24h", "fit_24h_column_behind", "fit_24h_prices_behind"
SAME_WEEK, FIT_6D, WEEK_OF_8 = "fit_7d", "fit_7d_of_6_days", "fit_7d_of_8_days"
# A share or a median of fewer coins says nothing.
MIN_COINS = 10
# A price that moved by less may have a change that was rounded to 0.
_MOVED = 0.01
# Quartiles of the log ratios of a column to the snapshot before, by column.
RATIOS = {column: tuple(f"{column}_ratio_q{part}" for part in (1, 2, 3)) for column in SCALED_COLUMNS}


def measure_feed(rows: pd.DataFrame) -> pd.DataFrame:
    """One row a snapshot, indexed by date, of raw rows with COLUMNS: price in USD, 24h and 7d in percent; sorted by
    (coin, date), `coin` categorical.

    coins: rows, with or without a price
    coins_kept: coins / coins of the snapshot before (at most 7 days older); frozen: share of the priced coins of both that
    traded and repeat price and volume to the last digit (a coin that nobody trades always repeats)
    prices_, volumes_, changes_24h_, changes_7d_ and caps_missing: share of the coins whose price, volume or cap is not above
    0, or whose change is empty; …_lost: share of the coins of both snapshots whose value was known then and is not now
    changes_24h_zero and changes_7d_zero: share of the coins whose price moved and whose change says 0
    RATIOS: quartiles of ln(value / value in the snapshot before) over the coins of both, by column (`ingestion.quality.scale_changes`)
    slope: of the realised change on the 24h column (`ingestion.quality.realized_change`)
    fit_*: 1 - median |told - realised| / median |realised| of log changes: 1 where told and realised agree, 0 where they
    have nothing to do with each other. fit_24h holds the 24h column against the change since the day before; …_column_behind
    the column against the change realised a day earlier; …_prices_behind the column of the day before against the change
    realised today. fit_7d holds the 7d column against the price 7 days back, …_of_6_days and …_of_8_days against the
    prices 6 and 8 days back: a file that is ahead or behind as a whole
    price: median log change of 24 hours as told; volume: median log change of the volume since the day before, of coins
    that traded on both; volatility: median ln of the daily volatility, as in the score
    NaN wherever there is nothing to go by.
    """
    if rows.empty:
        return pd.DataFrame(index=pd.DatetimeIndex([], name="date"))
    dates = rows["date"].to_numpy().astype("datetime64[D]")
    days = (dates - dates.min()).astype(np.int64)
    span = int(days.max()) + 1
    _, coins = np.unique(rows["coin"].cat.codes.to_numpy(), return_inverse=True)

    def grid(name: str) -> np.ndarray:
        """A column as (days, coins), NaN where a coin has no row."""
        values = np.full((span, coins.max() + 1), np.nan)
        values[days, coins] = rows[name].to_numpy(dtype=float)
        return values

    present = np.zeros((span, coins.max() + 1), dtype=bool)
    present[days, coins] = True
    price, volume, cap = (
        np.where(values > 0, values, np.nan) for values in map(grid, ("price", "24h_volume", "mkt_cap"))
    )
    price_log, volume_log = np.log(price), np.log(volume)
    change_day, change_week = grid("24h"), grid("7d")
    told_day, told_week = log_return(change_day, clip=CLIP_24H), log_return(change_week, clip=CLIP_7D)
    volatility_log = np.log(daily_volatility(change_day, change_week).value)
    realised = price_log - _back(price_log, 1)
    snapshots = np.flatnonzero(present.any(axis=1))
    before = _snapshot_before(snapshots, span)
    found = {
        "coins": present.sum(axis=1).astype(float),
        **_against_before(present, price, volume, before=before),
        **_ratios({"price": price, "24h_volume": volume, "mkt_cap": cap}, before),
        FIT_24H: _fits(told_day, realised),
        COLUMN_BEHIND: _fits(told_day, _back(realised, 1)),
        PRICES_BEHIND: _fits(_back(told_day, 1), realised),
        SAME_WEEK: _fits(told_week, price_log - _back(price_log, 7)),
        FIT_6D: _fits(told_week, price_log - _back(price_log, 6)),
        WEEK_OF_8: _fits(told_week, price_log - _back(price_log, 8)),
        "price": _medians(told_day),
        "volume": _medians(volume_log - _back(volume_log, 1)),
        "volatility": _medians(volatility_log),
    }
    columns = {"prices": price, "volumes": volume, "changes_24h": change_day, "changes_7d": change_week, "caps": cap}
    for name, values in columns.items():
        found |= _missing(name, present, known=np.isfinite(values), before=before)
    found["changes_24h_zero"] = _zeros(change_day, realised)
    found["changes_7d_zero"] = _zeros(change_week, price_log - _back(price_log, 7))
    index = pd.DatetimeIndex(dates.min() + np.arange(span), name="date").as_unit("ns")
    frame = pd.DataFrame(found, index=index)
    slopes = compute_realized_slopes(rows)
    return frame.assign(slope=slopes.reindex(index)).iloc[snapshots]


def first_date_needed(newest: dt.date, *, usual_days: int) -> dt.date:
    """The oldest day whose rows the vital signs of `newest` need, what is usual before it included."""
    return newest - dt.timedelta(days=usual_days + REACH_DAYS)


def _back(values: np.ndarray, days: int) -> np.ndarray:
    """The values of so many days before, (days, coins); NaN where there are none."""
    earlier = np.full_like(values, np.nan)
    earlier[days:] = values[:-days]
    return earlier


def _snapshot_before(snapshots: np.ndarray, span: int) -> np.ndarray:
    """The day of the snapshot before each day, at most 7 days older; -1 where there is none."""
    place = np.searchsorted(snapshots, np.arange(span)) - 1
    before = np.where(place >= 0, snapshots[place], -1)
    return np.where(np.arange(span) - before <= MAX_PREVIOUS_AGE_DAYS, before, -1)


def _against_before(
    present: np.ndarray, price: np.ndarray, volume: np.ndarray, *, before: np.ndarray
) -> dict[str, np.ndarray]:
    was, then = price[before], volume[before]
    both = (before >= 0)[:, None] & np.isfinite(price) & np.isfinite(was)
    coins_before = np.where(before >= 0, present[before].sum(axis=1), 0)
    return {
        "coins_kept": np.where(coins_before > 0, present.sum(axis=1) / np.maximum(coins_before, 1), np.nan),
        "frozen": _share(both & (price == was) & (volume == then), of=both),
    }


def _ratios(grids: dict[str, np.ndarray], before: np.ndarray) -> dict[str, np.ndarray]:
    """Quartiles of the log ratios of each column to the snapshot before, by day."""
    found: dict[str, np.ndarray] = {}
    for column, values in grids.items():
        earlier = np.where((before >= 0)[:, None], values[before], np.nan)
        found |= dict(zip(RATIOS[column], ratio_quartiles(log_ratios(values, earlier)).T, strict=True))
    return found


def _missing(name: str, present: np.ndarray, *, known: np.ndarray, before: np.ndarray) -> dict[str, np.ndarray]:
    """Share of the rows without a value of a column, and of the coins of both snapshots that lost theirs, by day."""
    known_before = (before >= 0)[:, None] & present & known[before]
    return {
        f"{name}_missing": _share(present & ~known, of=present, least=1),
        f"{name}_lost": _share(known_before & ~known, of=known_before),
    }


def _zeros(told: np.ndarray, realised: np.ndarray) -> np.ndarray:
    """Share of the coins whose price moved (log change) that a column of changes says did not, by day."""
    moved = np.isfinite(told) & (np.abs(realised) > _MOVED)
    return _share(moved & (told == 0), of=moved)


def _share(which: np.ndarray, *, of: np.ndarray, least: int = MIN_COINS) -> np.ndarray:
    """By day, how many of `of` are `which`; NaN where `of` are fewer than `least`."""
    count = of.sum(axis=1)
    return np.where(count >= least, which.sum(axis=1) / np.maximum(count, 1), np.nan)


def _fits(told: np.ndarray, realised: np.ndarray) -> np.ndarray:
    both = np.isfinite(told) & np.isfinite(realised) & (told != 0)
    missed = _medians(np.where(both, np.abs(told - realised), np.nan))
    size = _medians(np.where(both, np.abs(realised), np.nan))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(size > 0, 1.0 - missed / size, np.nan)


def _medians(values: np.ndarray) -> np.ndarray:
    """Median of the coins by day; NaN where too few are known."""
    known = np.isfinite(values).sum(axis=1) >= MIN_COINS
    medians = np.full(len(values), np.nan)
    if known.any():
        medians[known] = np.nanmedian(values[known], axis=1)
    return medians
