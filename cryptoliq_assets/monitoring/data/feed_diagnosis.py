"""Fault or market: what a snapshot's vital signs say of the feed.

Classes are disjoint: one cause, one class. Where one thing would show in several signs, the sign nearest to the cause counts:

- A frozen snapshot repeats prices, so realised changes are nothing and fit no column: it explains clock, unit, step and move.
- A column that changed its scale makes its realised changes anything on that day and on the day that it returns: prices
  explain slopes, and fits of the 7d column for a week; volumes explain a step of volumes and a move. It stands for the
  snapshots that follow until the scale returns or, after seven, is the usual one.
- A slope near 100 or 0.01 is another unit; any other slope that is not near 1 is changes that contradict the prices.
- A clock that is off leaves told and realised changes unrelated, so the slope is anything: it explains the unit's slope. A
  slope also says nothing against a snapshot that was frozen or off itself.
- Where coins are gone, the values that are left are other coins': only values lost by coins that stayed count then.
- An empty column leaves coins as they are: a coin without a price is there, and its price is missing.
- A market that moves takes volumes with it, and for three days gives them back: it explains a step of volumes.
- A market move is called so only where no fault stands; a step of volumes is no move, for nothing else moved.
"""

import datetime as dt
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cryptoliq_assets.core import Settings, robust_deviation, robust_z, weekday_effects
from cryptoliq_assets.ingestion.quality import classify_slope
from cryptoliq_assets.monitoring import FAIL, OK, WARN, Finding, Level
from cryptoliq_assets.monitoring.data import feed_metrics as signs
from cryptoliq_assets.monitoring.data.feed_scale import find_scale_change, has_rescaled
from cryptoliq_assets.monitoring.data.missing_columns import COLUMNS_OF, USUAL_SNAPSHOTS, find_missing_columns

FEED_FAULT_KINDS = (
    "feed_frozen",
    "clock_off",
    "unit_switched",
    "scale_changed",
    "changes_contradict",
    "coins_lost",
    *COLUMNS_OF,
)
FEED_KINDS = (*FEED_FAULT_KINDS, "volume_step", "market_move")
WHERE = "raw_snapshots"
# Snapshots that say which unit a feed has.
_UNIT_SNAPSHOTS = 7
# A fit a day off counts where it misses at most half of what its own day misses, and that is more than rounding.
_CLEARLY, _LEAST_MISS = 0.5, 0.05
# A step is also beyond this many of the usual deviations of a day.
_STEP_DEVIATIONS = 3.0
# Days for which a move explains that volumes fall back.
_ECHO_DAYS = 3
_OFF = {
    signs.COLUMN_BEHIND: "the 24h column is that of the day before",
    signs.PRICES_BEHIND: "prices are those of the day before their 24h column",
    signs.FIT_6D: "the snapshot is a day ahead of its date",
    signs.WEEK_OF_8: "the snapshot is a day behind its date",
}
_OWN = {
    signs.COLUMN_BEHIND: signs.FIT_24H,
    signs.PRICES_BEHIND: signs.FIT_24H,
    signs.FIT_6D: signs.SAME_WEEK,
    signs.WEEK_OF_8: signs.SAME_WEEK,
}


@dataclass(frozen=True)
class FeedDiagnosis:
    """What one snapshot shows: by kind, a sentence where it stands, None where not; and the figures behind each."""

    date: dt.date
    found: dict[str, str | None]
    figures: dict[str, dict[str, Any]]

    @property
    def faults(self) -> list[str]:
        """Kinds of data fault that stand."""
        return [kind for kind in FEED_FAULT_KINDS if self.found[kind]]

    @property
    def spoilt(self) -> list[str]:
        """Those that leave rows which say nothing: all but a unit that was seen to switch, and converted."""
        return [kind for kind in self.faults if not _only_warns(kind, str(self.found[kind]))]

    @property
    def raised(self) -> list[str]:
        return [kind for kind in FEED_KINDS if self.found[kind]]


def diagnose_feed(
    vitals: pd.DataFrame, settings: Settings, *, units: Mapping[dt.date, str] | None = None
) -> FeedDiagnosis | None:
    """The verdict on the newest snapshot of `vitals` (see `feed_metrics.measure_feed`), all before it being its past; None of none.

    units: by date the unit of 1h, 24h and 7d in that day's file, where it was certain.
    """
    if vitals.empty:
        return None
    newest = vitals.index[-1]
    vitals = vitals[vitals.index >= newest - pd.Timedelta(days=settings.feed.baseline_days + signs.REACH_DAYS)]
    now, date = vitals.iloc[-1], newest.date()
    frozen = _frozen(now, settings)
    clock = None if frozen else _clock(vitals, settings)
    scale, scale_figures = find_scale_change(vitals, settings)
    unit = _unit(date, units or {})
    slope: dict[str, str] = {}
    if not (
        frozen or clock or has_rescaled(vitals, "price", last=1, settings=settings) or _spoilt_before(vitals, settings)
    ):
        slope = _slope(now, settings)
    coins, coins_figures = _coins(vitals, settings)
    missing = find_missing_columns(vitals, settings, coins_gone=coins is not None)
    found: dict[str, str | None] = {
        "feed_frozen": frozen,
        "clock_off": clock,
        "unit_switched": slope.get("unit") or unit,
        "scale_changed": scale,
        "changes_contradict": slope.get("contradicts"),
        "coins_lost": coins,
        **{kind: said for kind, (said, _) in missing.items()},
    }
    faulty = any(found.values())
    moved = market_moves(vitals, settings)
    echo = vitals.index >= newest - pd.Timedelta(days=_ECHO_DAYS)
    # Whether the days before were moves too is asked of their own past.
    echoing = any(_move(market_moves(vitals.loc[:day], settings), settings) for day in vitals.index[echo][:-1])
    move = _move(moved, settings)
    step, step_figures = _volume_step(vitals, settings)
    rescaled = has_rescaled(vitals, "24h_volume", last=2, settings=settings)
    found["volume_step"] = None if frozen or clock or move or echoing or rescaled else step
    found["market_move"] = None if faulty or rescaled else move
    figures = {
        "feed_frozen": {"frozen_share": _known(now["frozen"])},
        "clock_off": {name: _known(now[name]) for name in (*_OWN, signs.FIT_24H, signs.SAME_WEEK)},
        "unit_switched": {
            "slope": _known(now["slope"]),
            "unit": (units or {}).get(date),
            "unit_before": _usual_unit(date, units or {}),
        },
        "scale_changed": scale_figures,
        "changes_contradict": {"slope": _known(now["slope"])},
        "coins_lost": coins_figures,
        **{kind: measured for kind, (_, measured) in missing.items()},
        "volume_step": step_figures,
        "market_move": {f"{name}_z": _known(z) for name, z in moved.items()}
        | {name: _known(now[name]) for name in moved},
    }
    return FeedDiagnosis(date, found, figures)


def make_feed_findings(verdict: FeedDiagnosis | None) -> list[Finding]:
    """All kinds that a feed can raise, those in order too; none where there is no snapshot to look at."""
    if verdict is None:
        return []
    made = []
    for kind in FEED_KINDS:
        said = verdict.found[kind]
        level: Level = OK if said is None else WARN if _only_warns(kind, said) else FAIL
        what = f"snapshot of {verdict.date}: {said or _FINE[kind]}"
        since = None if said is None else verdict.date.isoformat()
        made.append(Finding(kind, level, WHERE, what, since=since, figures=verdict.figures[kind]))
    return made


_SWITCHED = "the file's 1h, 24h and 7d are"
_FINE = {
    "feed_frozen": "prices and volumes are new",
    "clock_off": "the change columns fit the prices of their own days",
    "unit_switched": "the changes have the unit that they had",
    "scale_changed": "prices, volumes and market caps are on the scale that they were on",
    "changes_contradict": "prices changed as the 24h column says",
    "coins_lost": "the coins are there",
    "prices_missing": "prices are as known as they were",
    "volumes_missing": "volumes are as known as they were",
    "changes_missing": "24h and 7d are as known as they were",
    "caps_missing": "market caps are as known as they were",
    "volume_step": "volumes made no step of their own",
    "market_move": "no two of price, volume and volatility moved together beyond their usual",
}


def _only_warns(kind: str, said: str) -> bool:
    """Moves and steps may be the market's own; a unit that was seen to switch was healed on the way in."""
    return kind in ("volume_step", "market_move") or said.startswith(_SWITCHED)


def market_moves(vitals: pd.DataFrame, settings: Settings) -> dict[str, float]:
    """Robust z of the newest snapshot's median price change, volume change (weekday adjusted) and change of volatility, each
    against the days before it; NaN where too little is known."""
    volume, _ = _adjusted_volume(vitals, last=1)
    days = vitals.index.to_series().diff().dt.days.to_numpy()
    # A change since a snapshot that is several days old is no day's change.
    volatility = np.where(days == 1, vitals["volatility"].diff(), np.nan)
    series = {"price": vitals["price"].to_numpy(), "volume": volume, "volatility": volatility}
    recent = vitals.index[:-1] >= vitals.index[-1] - pd.Timedelta(days=settings.feed.baseline_days)
    return {name: robust_z(values[-1], values[:-1][recent]) for name, values in series.items()}


def _move(moved: Mapping[str, float], settings: Settings) -> str | None:
    beyond = [name for name, z in moved.items() if abs(z) > settings.feed.market_move_z]
    if len(beyond) < 2:
        return None
    told = ", ".join(f"{name} by {moved[name]:+.1f}" for name in beyond)
    return f"the market moved, in deviations of the last {settings.feed.baseline_days} days: {told}"


def _frozen(now: pd.Series, settings: Settings) -> str | None:
    if not now["frozen"] > settings.feed.max_stale_fraction:
        return None
    return (
        f"{now['frozen']:.1%} of the coins repeat price and volume of the snapshot before "
        f"(at most {settings.feed.max_stale_fraction:.0%} may)"
    )


def _clock(vitals: pd.DataFrame, settings: Settings) -> str | None:
    now = vitals.iloc[-1]
    # Prices 6 to 8 days back may be on another scale.
    weeks = not has_rescaled(vitals, "price", last=signs.REACH_DAYS, settings=settings)
    for shifted, own in _OWN.items():
        if own == signs.SAME_WEEK and not weeks:
            continue
        miss, own_miss = 1.0 - now[shifted], 1.0 - now[own]
        if now[shifted] >= settings.feed.clock_shift_fit and own_miss > _LEAST_MISS and miss <= _CLEARLY * own_miss:
            return f"{_OFF[shifted]} (fit {now[shifted]:.2f}, of its own day {now[own]:.2f})"
    return None


def _spoilt_before(vitals: pd.DataFrame, settings: Settings) -> bool:
    """Whether the snapshot before is one that no change can be told from."""
    before = vitals.iloc[:-1]
    return not before.empty and bool(_frozen(before.iloc[-1], settings) or _clock(before, settings))


def _slope(now: pd.Series, settings: Settings) -> dict[str, str]:
    """A sentence under the class of the slope; none where changes and prices agree or nothing is known."""
    slope, factor = now["slope"], settings.feed.unit_slope_ratio
    if not math.isfinite(slope) or (kind := classify_slope(slope, factor)) == "agrees":
        return {}
    return {
        kind: f"prices changed {slope:.3g} times as much as the 24h column says "
        f"({1 / factor:.3g} to {factor:.3g} are usual, about 100 or 0.01 is another unit)"
    }


def _usual_unit(date: dt.date, units: Mapping[dt.date, str]) -> str | None:
    before = [units[day] for day in sorted(units) if day < date][-_UNIT_SNAPSHOTS:]
    return Counter(before).most_common(1)[0][0] if before else None


def _unit(date: dt.date, units: Mapping[dt.date, str]) -> str | None:
    unit, usual = units.get(date), _usual_unit(date, units)
    if unit is None or usual is None or unit == usual:
        return None
    return f"{_SWITCHED} {unit}, those before were {usual}; they were converted on the way in"


def _coins(vitals: pd.DataFrame, settings: Settings) -> tuple[str | None, dict[str, Any]]:
    now, before = vitals.iloc[-1], vitals.iloc[-1 - USUAL_SNAPSHOTS : -1]
    # Against the usual as well: half of the coins are still gone on the second day.
    usual = float(before["coins"].median()) if len(before) else math.nan
    kept = {"of the snapshot before": now["coins_kept"], "of the usual number": now["coins"] / usual}
    figures = {
        "coins": int(now["coins"]),
        "of_snapshot_before": _known(now["coins_kept"]),
        "of_usual": _known(now["coins"] / usual),
    }
    for of, share in kept.items():
        if share < settings.feed.min_coin_retention:
            return (
                f"{int(now['coins']):,} coins, {share:.1%} {of} (at least {settings.feed.min_coin_retention:.0%} should be)",
                figures,
            )
    return None, figures


def _adjusted_volume(vitals: pd.DataFrame, *, last: int) -> tuple[np.ndarray, np.ndarray]:
    """Volume changes without the weekday's part, which is learnt from all but the `last` snapshots; and those of the past."""
    values, weekdays = vitals["volume"].to_numpy(), vitals.index.dayofweek.to_numpy()
    adjusted = values - weekday_effects(values[:-last], weekdays[:-last])[weekdays]
    return adjusted, adjusted[:-last]


def _volume_step(vitals: pd.DataFrame, settings: Settings) -> tuple[str | None, dict[str, Any]]:
    """The two newest snapshots, on days in a row, lie both below the day before them."""
    adjusted, past = _adjusted_volume(vitals, last=2)
    days = vitals.index[-3:]
    if len(days) < 3 or (days[-1] - days[0]).days != 2 or not np.isfinite(adjusted[-2:]).all():
        return None, {"first": None, "second": None}
    steps = np.cumsum(adjusted[-2:])
    deviation = robust_deviation(past)
    first, second = (float(math.expm1(step)) for step in steps)
    figures = {"first": first, "second": second, "usual_deviation": _known(deviation)}
    limit = min(math.log1p(-settings.feed.volume_drop_fraction), -_STEP_DEVIATIONS * deviation)
    if not (steps < limit).all():
        return None, figures
    return (
        f"volumes lie {-first:.0%} and now {-second:.0%} below the day before them, weekday adjusted, while "
        "prices and volatility stay as usual",
        figures,
    )


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
