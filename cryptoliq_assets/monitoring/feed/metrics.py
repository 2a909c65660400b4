"""Feed metrics: a few numbers per snapshot, each compared with the previous snapshots.

Add a metric that a rule in `diagnosis` needs. Whether its value is a fault or a market move is not decided here.
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
# The oldest day, before a snapshot, that its metrics read.
LOOKBACK_DAYS = 8
# Metrics of the fit between reported and realized changes, by alignment; FIT_24H and FIT_7D are the correct alignments.
FIT_24H, COLUMN_BEHIND, PRICES_BEHIND = "fit_24h", "fit_24h_column_behind", "fit_24h_prices_behind"
FIT_7D, FIT_6D, FIT_8D = "fit_7d", "fit_7d_of_6_days", "fit_7d_of_8_days"
# A fraction or median over fewer coins is not meaningful.
MIN_COINS = 10
# A smaller move of the price may be reported as a change that was rounded to 0.
_MIN_MOVE = 0.01
# Metrics with the quartiles of the log ratios of a column to the previous snapshot, by column.
RATIOS = {column: tuple(f"{column}_ratio_q{part}" for part in (1, 2, 3)) for column in SCALED_COLUMNS}


def measure_feed(rows: pd.DataFrame) -> pd.DataFrame:
    """Measure every snapshot.

    A metric is NaN if there are too few observations.

    Args:
        rows: Raw rows with FEED_COLUMNS: price in USD, 24h and 7d in percent; sorted by (coin, date), `coin` categorical.

    Returns:
        One row per snapshot, indexed by date, with the columns:

        - coins: number of rows, with or without a price.
        - coins_kept: coins / coins of the previous snapshot (at most 7 days older).
        - frozen: fraction of the coins with a price in both snapshots that were traded and repeat price and volume to the
          last digit. (A coin that is not traded always repeats its values.)
        - prices_missing, volumes_missing, caps_missing: fraction of the coins whose price, volume or market cap is not
          above 0; changes_24h_missing, changes_7d_missing: fraction of the coins whose change is empty.
        - prices_lost, …, caps_lost: fraction of the coins of both snapshots that had a value and now have none.
        - changes_24h_zero, changes_7d_zero: fraction of the coins whose price moved and whose change is 0.
        - RATIOS: by column, quartiles of ln(value / value in the previous snapshot) over the coins of both
          (`ingestion.quality.scale_changes`).
        - slope: of the realized change on the 24h column (`ingestion.quality.realized_change`).
        - fit_*: 1 - median |reported - realized| / median |realized| of log changes: 1 if both agree, 0 if they are
          unrelated. fit_24h compares the 24h column with the change since the previous day, …_column_behind with the
          change realized a day earlier, and …_prices_behind compares the column of the previous day with the change
          realized today. fit_7d compares the 7d column with the price 7 days ago, …_of_6_days and …_of_8_days with the
          prices 6 and 8 days ago, which fit if the complete file is ahead of or behind its date.
        - price: median reported 24-hour log change; volume: median log change of the volume since the previous day, of
          coins that traded on both; volatility: median ln of the daily volatility, as in the score.
    """
    if rows.empty:
        return pd.DataFrame(index=pd.DatetimeIndex([], name="date"))
    dates = rows["date"].to_numpy().astype("datetime64[D]")
    days = (dates - dates.min()).astype(np.int64)
    span = int(days.max()) + 1
    _, coins = np.unique(rows["coin"].cat.codes.to_numpy(), return_inverse=True)

    def grid(name: str) -> np.ndarray:
        """Return a column as (days, coins), NaN where a coin has no row."""
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
    reported_day, reported_week = log_return(change_day, clip=CLIP_24H), log_return(change_week, clip=CLIP_7D)
    volatility_log = np.log(daily_volatility(change_day, change_week).value)
    realized = price_log - _shift_back(price_log, 1)
    snapshots = np.flatnonzero(present.any(axis=1))
    before = _previous_snapshots(snapshots, span)
    metrics = {
        "coins": present.sum(axis=1).astype(float),
        **_compare_with_previous(present, price, volume, before=before),
        **_ratio_quartiles({"price": price, "24h_volume": volume, "mkt_cap": cap}, before),
        FIT_24H: _fits(reported_day, realized),
        COLUMN_BEHIND: _fits(reported_day, _shift_back(realized, 1)),
        PRICES_BEHIND: _fits(_shift_back(reported_day, 1), realized),
        FIT_7D: _fits(reported_week, price_log - _shift_back(price_log, 7)),
        FIT_6D: _fits(reported_week, price_log - _shift_back(price_log, 6)),
        FIT_8D: _fits(reported_week, price_log - _shift_back(price_log, 8)),
        "price": _medians(reported_day),
        "volume": _medians(volume_log - _shift_back(volume_log, 1)),
        "volatility": _medians(volatility_log),
    }
    columns = {"prices": price, "volumes": volume, "changes_24h": change_day, "changes_7d": change_week, "caps": cap}
    for name, values in columns.items():
        metrics |= _missing_fractions(name, present, known=np.isfinite(values), before=before)
    metrics["changes_24h_zero"] = _zero_fractions(change_day, realized)
    metrics["changes_7d_zero"] = _zero_fractions(change_week, price_log - _shift_back(price_log, 7))
    index = pd.DatetimeIndex(dates.min() + np.arange(span), name="date").as_unit("ns")
    frame = pd.DataFrame(metrics, index=index)
    slopes = compute_realized_slopes(rows)
    return frame.assign(slope=slopes.reindex(index)).iloc[snapshots]


def first_date_needed(newest: dt.date, *, usual_days: int) -> dt.date:
    """Return the oldest day whose rows the diagnosis of a snapshot needs.

    Args:
        newest: Date of the snapshot.
        usual_days: Days before it that define its usual values.
    """
    return newest - dt.timedelta(days=usual_days + LOOKBACK_DAYS)


def _shift_back(values: np.ndarray, days: int) -> np.ndarray:
    """Shift (days, coins) values by some days; NaN where there is no earlier day."""
    earlier = np.full_like(values, np.nan)
    earlier[days:] = values[:-days]
    return earlier


def _previous_snapshots(snapshots: np.ndarray, span: int) -> np.ndarray:
    """Return the day of the snapshot before each day, at most 7 days older, else -1."""
    place = np.searchsorted(snapshots, np.arange(span)) - 1
    before = np.where(place >= 0, snapshots[place], -1)
    return np.where(np.arange(span) - before <= MAX_PREVIOUS_AGE_DAYS, before, -1)


def _compare_with_previous(
    present: np.ndarray, price: np.ndarray, volume: np.ndarray, *, before: np.ndarray
) -> dict[str, np.ndarray]:
    price_before, volume_before = price[before], volume[before]
    both = (before >= 0)[:, None] & np.isfinite(price) & np.isfinite(price_before)
    coins_before = np.where(before >= 0, present[before].sum(axis=1), 0)
    return {
        "coins_kept": np.where(coins_before > 0, present.sum(axis=1) / np.maximum(coins_before, 1), np.nan),
        "frozen": _fraction(both & (price == price_before) & (volume == volume_before), of=both),
    }


def _ratio_quartiles(grids: dict[str, np.ndarray], before: np.ndarray) -> dict[str, np.ndarray]:
    """Return the quartiles of the log ratios of each column to the previous snapshot, by day."""
    metrics: dict[str, np.ndarray] = {}
    for column, values in grids.items():
        earlier = np.where((before >= 0)[:, None], values[before], np.nan)
        metrics |= dict(zip(RATIOS[column], ratio_quartiles(log_ratios(values, earlier)).T, strict=True))
    return metrics


def _missing_fractions(
    name: str, present: np.ndarray, *, known: np.ndarray, before: np.ndarray
) -> dict[str, np.ndarray]:
    """Return by day the fraction of rows without a value, and of coins in both snapshots that lost theirs."""
    known_before = (before >= 0)[:, None] & present & known[before]
    return {
        f"{name}_missing": _fraction(present & ~known, of=present, min_count=1),
        f"{name}_lost": _fraction(known_before & ~known, of=known_before),
    }


def _zero_fractions(reported: np.ndarray, realized: np.ndarray) -> np.ndarray:
    """Return by day the fraction of coins with a moved price whose reported change is 0."""
    moved = np.isfinite(reported) & (np.abs(realized) > _MIN_MOVE)
    return _fraction(moved & (reported == 0), of=moved)


def _fraction(which: np.ndarray, *, of: np.ndarray, min_count: int = MIN_COINS) -> np.ndarray:
    """Return by day the fraction of `of` that is `which`; NaN if `of` has fewer than `min_count`."""
    count = of.sum(axis=1)
    return np.where(count >= min_count, which.sum(axis=1) / np.maximum(count, 1), np.nan)


def _fits(reported: np.ndarray, realized: np.ndarray) -> np.ndarray:
    both = np.isfinite(reported) & np.isfinite(realized) & (reported != 0)
    error = _medians(np.where(both, np.abs(reported - realized), np.nan))
    size = _medians(np.where(both, np.abs(realized), np.nan))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(size > 0, 1.0 - error / size, np.nan)


def _medians(values: np.ndarray) -> np.ndarray:
    """Return the median over coins by day; NaN if fewer than MIN_COINS are known."""
    known = np.isfinite(values).sum(axis=1) >= MIN_COINS
    medians = np.full(len(values), np.nan)
    if known.any():
        medians[known] = np.nanmedian(values[known], axis=1)
    return medians
