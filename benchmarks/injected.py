"""Faults of a feed, put into healthy snapshots: functions of (rows, date, random numbers) that give changed rows.

Rows have the raw contract's columns, changes in percent, every day of the market among them. What is changed is the snapshot
of `date`, or what leads up to it; none makes a row of its own. A crash is no fault: it is there to be distinguished from one.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

Inject = Callable[[pd.DataFrame, pd.Timestamp, np.random.Generator], pd.DataFrame]
CHANGES = ["1h", "24h", "7d"]
VOLUME_LEFT, FRACTION = 0.6, 0.01
# Fewer rows than the half from which on a file is refused whole.
SHARE_EMPTIED = 0.4
_DAY = pd.Timedelta(days=1)


def frozen(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """The snapshot of the day before, once more."""
    return _in_place(rows, date, rows[rows["date"] == date - _DAY].assign(date=date))


def in_fractions(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """Changes of one snapshot as fractions."""
    return _on(rows, date, lambda day: day.assign(**{name: day[name] * FRACTION for name in CHANGES}))


def volumes_down(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """40 % off every volume, from the day before on."""
    there = rows["date"] >= date - _DAY
    return rows.assign(**{"24h_volume": rows["24h_volume"].where(~there, rows["24h_volume"] * VOLUME_LEFT)})


def caps_zero(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """Every market cap 0."""
    return _on(rows, date, lambda day: day.assign(mkt_cap=0.0))


def zeroed(*columns: str) -> Inject:
    """Columns of one snapshot are 0."""

    def inject(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
        return _on(rows, date, lambda day: day.assign(**dict.fromkeys(columns, 0.0)))

    return inject


def emptied(*columns: str, share: float = 1.0) -> Inject:
    """Columns of one snapshot are empty, of all coins or of a share of them drawn by chance."""

    def inject(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
        def empty(day: pd.DataFrame) -> pd.DataFrame:
            chosen = rng.permutation(len(day)) < round(share * len(day))
            return day.assign(**{name: day[name].mask(chosen) for name in columns})

        return _on(rows, date, empty)

    return inject


def coins_gone(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """Half of the coins, drawn by chance."""
    return _on(rows, date, lambda day: day[rng.permutation(len(day)) < len(day) // 2])


def column_behind(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """Today's prices with the changes of the day before."""
    then = rows[rows["date"] == date - _DAY].set_index("coin")[CHANGES]
    return _on(rows, date, lambda day: day.assign(**{name: day["coin"].map(then[name]) for name in CHANGES}))


def day_ahead(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """The snapshot of tomorrow under today's date."""
    return _in_place(rows, date, rows[rows["date"] == date + _DAY].assign(date=date))


def day_behind(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """The clock went back on the day before: since then each date has the snapshot of the date before it."""
    before = _in_place(rows, date - _DAY, rows[rows["date"] == date - 2 * _DAY].assign(date=date - _DAY))
    return _in_place(before, date, rows[rows["date"] == date - _DAY].assign(date=date))


def caps_in_millions(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """Market caps in millions."""
    return _on(rows, date, lambda day: day.assign(mkt_cap=day["mkt_cap"] / 1e6))


def min_max_scaled(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """Prices and volumes between 0 and 1, as a scaler leaves them."""
    return _on(rows, date, lambda day: day.assign(**{name: _min_max(day[name]) for name in ("price", "24h_volume")}))


def volumes_in_coins(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """Volumes in coins, not USD."""
    return _on(rows, date, lambda day: day.assign(**{"24h_volume": day["24h_volume"] / day["price"]}))


def changes_divided(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """Changes a fifth of what the prices did: no unit does that."""
    return _on(rows, date, lambda day: day.assign(**{name: day[name] / 5.0 for name in CHANGES}))


def crash(rows: pd.DataFrame, date: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """The whole market falls by 20 to 40 %, each coin its own way, and twice as much is traded; pegs stay. 24h and 7d say
    so, on the day and, for 7d, on the six days after it; prices and caps stay down."""
    fall = rng.uniform(0.2, 0.4)
    names = np.sort(rows["coin"].unique())
    left = pd.Series(np.clip(1.0 - fall + 0.05 * rng.standard_normal(len(names)), 0.3, 0.95), index=names)
    traded = pd.Series(np.exp(np.log(2.0) + 0.3 * rng.standard_normal(len(names))), index=names)
    pegs = rows.groupby("coin", observed=True)["price"].median().sub(1.0).abs() < 0.02
    left[pegs[pegs].index] = 1.0
    own, more = rows["coin"].map(left).astype(float), rows["coin"].map(traded).astype(float)
    after, on_day = rows["date"] >= date, rows["date"] == date
    in_week = after & (rows["date"] < date + 7 * _DAY)
    changed = {
        "price": rows["price"].where(~after, rows["price"] * own),
        "mkt_cap": rows["mkt_cap"].where(~after, rows["mkt_cap"] * own),
        "24h_volume": rows["24h_volume"].where(~on_day, rows["24h_volume"] * more),
        "24h": rows["24h"].where(~on_day, (1.0 + rows["24h"] / 100.0) * own * 100.0 - 100.0),
        "7d": rows["7d"].where(~in_week, (1.0 + rows["7d"] / 100.0) * own * 100.0 - 100.0),
    }
    return rows.assign(**changed)


# What each one is, and the class that it belongs to.
FEED: dict[str, tuple[str, Inject]] = {
    "feed frozen": ("feed_frozen", frozen),
    "unit in fractions": ("unit_switched", in_fractions),
    "caps in millions": ("scale_changed", caps_in_millions),
    "prices and volumes min-max scaled": ("scale_changed", min_max_scaled),
    "volumes in coins": ("scale_changed", volumes_in_coins),
    "changes divided by five": ("changes_contradict", changes_divided),
    "volumes -40 %": ("volume_step", volumes_down),
    "caps all zero": ("caps_missing", caps_zero),
    "prices missing of 40 %": ("prices_missing", emptied("price", share=SHARE_EMPTIED)),
    "prices all empty": ("prices_missing", emptied("price")),
    "volumes missing of 40 %": ("volumes_missing", emptied("24h_volume", share=SHARE_EMPTIED)),
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
    """`day` instead of the rows of `date`."""
    kept = pd.concat([rows[rows["date"] < date], day, rows[rows["date"] > date]])
    return kept.sort_values(["date"], kind="stable").reset_index(drop=True)
