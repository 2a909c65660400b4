"""Feed faults to inject into healthy snapshots: functions of (rows, date, random generator) that return changed rows.

The rows have the columns of the raw contract, changes in percent, for all days of the market. A fault changes the snapshot of `date`,
or also the days before it; it does not invent rows. A market crash is not a fault; it is included because it must not be reported as one.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

Inject = Callable[[pd.DataFrame, pd.Timestamp, np.random.Generator], pd.DataFrame]
CHANGES = ["1h", "24h", "7d"]
VOLUME_LEFT, FRACTION = 0.6, 0.01
# Below the half above which the complete file is rejected.
FRACTION_EMPTIED = 0.4
_DAY = pd.Timedelta(days=1)


def frozen(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """Repeat the snapshot of the day before."""
    return _in_place(rows, date, rows[rows["date"] == date - _DAY].assign(date=date))


def in_fractions(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """Give the changes of one snapshot as fractions."""
    return _on(rows, date, lambda day: day.assign(**{name: day[name] * FRACTION for name in CHANGES}))


def volumes_down(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """Reduce every volume by 40 % from the day before on."""
    affected = rows["date"] >= date - _DAY
    return rows.assign(**{"24h_volume": rows["24h_volume"].where(~affected, rows["24h_volume"] * VOLUME_LEFT)})


def caps_zero(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """Set every market cap to 0."""
    return _on(rows, date, lambda day: day.assign(mkt_cap=0.0))


def zeroed(*columns: str) -> Inject:
    """Return a fault that sets columns of one snapshot to 0."""

    def inject(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
        return _on(rows, date, lambda day: day.assign(**dict.fromkeys(columns, 0.0)))

    return inject


def emptied(*columns: str, fraction: float = 1.0) -> Inject:
    """Return a fault that empties columns of one snapshot, for all coins or for a random fraction of them."""

    def inject(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
        def empty(day: pd.DataFrame) -> pd.DataFrame:
            chosen = rng.permutation(len(day)) < round(fraction * len(day))
            return day.assign(**{name: day[name].mask(chosen) for name in columns})

        return _on(rows, date, empty)

    return inject


def coins_gone(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """Remove a random half of the coins."""
    return _on(rows, date, lambda day: day[rng.permutation(len(day)) < len(day) // 2])


def column_behind(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """Combine the prices of the day with the changes of the day before."""
    earlier = rows[rows["date"] == date - _DAY].set_index("coin")[CHANGES]
    return _on(rows, date, lambda day: day.assign(**{name: day["coin"].map(earlier[name]) for name in CHANGES}))


def day_ahead(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """Publish the snapshot of the next day under the date."""
    return _in_place(rows, date, rows[rows["date"] == date + _DAY].assign(date=date))


def day_behind(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """Shift the clock back on the day before: since then each date has the snapshot of the previous date."""
    before = _in_place(rows, date - _DAY, rows[rows["date"] == date - 2 * _DAY].assign(date=date - _DAY))
    return _in_place(before, date, rows[rows["date"] == date - _DAY].assign(date=date))


def caps_in_millions(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """Give market caps in millions."""
    return _on(rows, date, lambda day: day.assign(mkt_cap=day["mkt_cap"] / 1e6))


def min_max_scaled(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """Scale prices and volumes to [0, 1], as a min-max scaler does."""
    return _on(rows, date, lambda day: day.assign(**{name: _min_max(day[name]) for name in ("price", "24h_volume")}))


def volumes_in_coins(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """Give volumes in coins instead of USD."""
    return _on(rows, date, lambda day: day.assign(**{"24h_volume": day["24h_volume"] / day["price"]}))


def changes_divided(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """Divide the changes by five, which no unit explains."""
    return _on(rows, date, lambda day: day.assign(**{name: day[name] / 5.0 for name in CHANGES}))


def crash(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """Let the market fall by 20 to 40 %, each coin differently, at twice the volume; pegged coins do not move.

    24h on the day, and 7d on the day and the six days after it, show the fall. Prices and market caps remain lower.
    """
    fall = rng.uniform(0.2, 0.4)
    names = np.sort(rows["coin"].unique())
    remaining = pd.Series(np.clip(1.0 - fall + 0.05 * rng.standard_normal(len(names)), 0.3, 0.95), index=names)
    traded = pd.Series(np.exp(np.log(2.0) + 0.3 * rng.standard_normal(len(names))), index=names)
    pegs = rows.groupby("coin", observed=True)["price"].median().sub(1.0).abs() < 0.02
    remaining[pegs[pegs].index] = 1.0
    factor, volume_factor = rows["coin"].map(remaining).astype(float), rows["coin"].map(traded).astype(float)
    after, on_day = rows["date"] >= date, rows["date"] == date
    in_week = after & (rows["date"] < date + 7 * _DAY)
    changed = {
        "price": rows["price"].where(~after, rows["price"] * factor),
        "mkt_cap": rows["mkt_cap"].where(~after, rows["mkt_cap"] * factor),
        "24h_volume": rows["24h_volume"].where(~on_day, rows["24h_volume"] * volume_factor),
        "24h": rows["24h"].where(~on_day, (1.0 + rows["24h"] / 100.0) * factor * 100.0 - 100.0),
        "7d": rows["7d"].where(~in_week, (1.0 + rows["7d"] / 100.0) * factor * 100.0 - 100.0),
    }
    return rows.assign(**changed)


# By description: the alert kind that it must raise, and the fault.
FEED: dict[str, tuple[str, Inject]] = {
    "feed frozen": ("feed_frozen", frozen),
    "unit in fractions": ("unit_switched", in_fractions),
    "caps in millions": ("scale_changed", caps_in_millions),
    "prices and volumes min-max scaled": ("scale_changed", min_max_scaled),
    "volumes in coins": ("scale_changed", volumes_in_coins),
    "changes divided by five": ("changes_contradict", changes_divided),
    "volumes -40 %": ("volume_step", volumes_down),
    "caps all zero": ("caps_missing", caps_zero),
    "prices missing of 40 %": ("prices_missing", emptied("price", fraction=FRACTION_EMPTIED)),
    "prices all empty": ("prices_missing", emptied("price")),
    "volumes missing of 40 %": ("volumes_missing", emptied("24h_volume", fraction=FRACTION_EMPTIED)),
    "volumes all empty": ("volumes_missing", emptied("24h_volume")),
    "changes all zero": ("changes_missing", zeroed(*CHANGES)),
    "changes all empty": ("changes_missing", emptied(*CHANGES)),
    "half of the coins gone": ("coins_lost", coins_gone),
    "clock: changes a day behind": ("clock_off", column_behind),
    "clock: a day ahead": ("clock_off", day_ahead),
    "clock: a day behind": ("clock_off", day_behind),
    "market crash (real)": ("market_move", crash),
}


def _min_max(values: pd.Series) -> pd.Series:
    return (values - values.min()) / (values.max() - values.min())


def _on(rows: pd.DataFrame, date: pd.Timestamp, change: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.DataFrame:
    return _in_place(rows, date, change(rows[rows["date"] == date]))


def _in_place(rows: pd.DataFrame, date: pd.Timestamp, day: pd.DataFrame) -> pd.DataFrame:
    """Replace the rows of `date` by `day`."""
    replaced = pd.concat([rows[rows["date"] < date], day, rows[rows["date"] > date]])
    return replaced.sort_values(["date"], kind="stable").reset_index(drop=True)
