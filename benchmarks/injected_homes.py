"""Injected faults through files: a healthy home, a copy of it for each fault, and what one run of the monitor raises there.

The real pipeline: the fault is in files of the drop folder, or in the home's model or record of predictions; `refresh` and
`monitor` run, and `monitoring.collect_findings` lists what is wrong.
"""

import datetime as dt
import json
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from injected import FEED

from cryptoliq_assets.core import Settings, encode_line
from cryptoliq_assets.modeling.registry import open_model_store
from cryptoliq_assets.monitoring import OK, collect_findings
from cryptoliq_assets.monitoring.feed import FEED_COLUMNS, diagnose_feed, measure_feed
from cryptoliq_assets.orchestration import Runner
from cryptoliq_assets.simulation import write_snapshots
from cryptoliq_assets.storage import sort_rows

NOTHING = "nothing"
# Enough days for folds over time, and coins of all sizes.
HOME_DAYS, HOME_COINS = 100, 150
PREDICTIONS_A_DAY, PREDICTION_DAYS = 48, 10


def through_files(
    market: pd.DataFrame, folder: Path, *, seed: int, chosen: Sequence[str]
) -> tuple[dict[str, Counter], list[str]]:
    """What one run of the monitor raises for each of the chosen faults in a home of its own; and what is wrong with that."""
    rng = np.random.default_rng(seed)
    market, last = _brought_up(market)
    dates = [day.date() for day in sorted(market["date"].unique()) if day <= last]
    healthy, table, wrong = folder / "healthy", {}, []
    settings = Settings(home_dir=healthy, cv={"n_splits": 2})
    write_snapshots(market, settings.raw_dir, dates=dates[:-2])
    runner = Runner(settings)
    runner.register_files()
    runner.refresh(runner.plan().ranges)
    runner.train()
    runner.forecast()
    now = dt.datetime.now(dt.UTC)
    _predictions(settings, now=now, until=now)
    table[NOTHING] = _raised(_copy(healthy, NOTHING), market, dates[-2:], now=now)
    for name, (kind, inject) in FEED.items():
        if name not in chosen:
            continue
        changed = inject(market, last, rng)
        table[name] = _raised(_copy(healthy, name), changed, dates[-2:], now=now)
        _expect(name, kind, table[name], wrong)
    for name, (kind, harm) in HOME_FAULTS.items():
        if name not in chosen:
            continue
        table[name] = _raised(_copy(healthy, name), market, dates[-2:], now=now, harm=harm)
        _expect(name, kind, table[name], wrong)
    if set(table[NOTHING]) != {NOTHING}:
        wrong.append(f"through files, {NOTHING}: {dict(table[NOTHING])}")
    return table, wrong


def _truncate_model(settings: Settings, now: dt.datetime) -> None:
    path = settings.models_dir / f"{open_model_store(settings).current_version()}.pkl"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _stop_predictions(settings: Settings, now: dt.datetime) -> None:
    """A deploy two days ago, after which no request was answered."""
    shutil.rmtree(settings.predictions_dir)
    _predictions(settings, now=now, until=now - dt.timedelta(days=2))


HOME_FAULTS: dict[str, tuple[str, Callable[[Settings, dt.datetime], None]]] = {
    "model file truncated": ("model_broken", _truncate_model),
    "broken deploy": ("predictions_stopped", _stop_predictions),
}


def _predictions(settings: Settings, *, now: dt.datetime, until: dt.datetime) -> None:
    """The service's record of single predictions, evenly over the last days, as `core.jsonl` writes it."""
    version = open_model_store(settings).current_version()
    settings.predictions_dir.mkdir(parents=True, exist_ok=True)
    settings.logs_dir.mkdir(parents=True, exist_ok=True)
    inputs = {"coin": "Bitcoin", "price": 40_000.0, "24h": -1.0, "7d": 2.0, "24h_volume": 2e10, "mkt_cap": 8e11}
    result = {"liquidity_score": 0.8, "lower": 0.75, "upper": 0.85, "flags": {"out_of_range": []}}
    step = dt.timedelta(days=1) / PREDICTIONS_A_DAY
    at = now - dt.timedelta(days=PREDICTION_DAYS)
    while at <= until:
        line = {"at": at.timestamp(), "event": "prediction", "mode": "single", "inputs": inputs, "output": result}
        content = encode_line({**line, "version": version, "seconds": 0.002})
        for path in (settings.predictions_dir / f"{at:%Y-%m-%d}.jsonl", settings.logs_dir / "app.log"):
            with path.open("ab") as handle:
                handle.write(content)
        at += step


def _raised(
    settings: Settings,
    market: pd.DataFrame,
    dates: list[dt.date],
    *,
    now: dt.datetime,
    harm: Callable[[Settings, dt.datetime], None] | None = None,
) -> Counter:
    """Drop the files of these dates, take them in, do what harm there is, run the monitor once, and see what is not OK."""
    runner = Runner(settings)
    write_snapshots(market, settings.raw_dir, dates=dates)
    runner.register_files()
    runner.refresh(runner.plan().ranges)
    if harm:
        harm(settings, now)
    runner.run("monitor")
    found = collect_findings(settings, now)
    last = json.loads((settings.reports_dir / "prediction_metrics.json").read_text(encoding="utf-8"))["last"]
    # A record that the monitor cannot read would make every service a silent one from the first day on.
    if not last or last["foreign_lines"] or not last["predictions"]:
        raise SystemExit(f"the record of predictions is not read: {last}")
    return Counter({finding.kind for finding in found if finding.level != OK} or {NOTHING})


def _copy(healthy: Path, place: str) -> Settings:
    """A home of its own: what was read of one home's record is kept by its path, for as long as the process lives."""
    home = healthy.with_name(place)
    shutil.copytree(healthy, home, symlinks=True)
    # A file is let in whatever its rows lack, as it was before the whole file was refused for that.
    return Settings(home_dir=home, cv={"n_splits": 2}, ingestion={"max_rejected_fraction": 1.0})


def _expect(name: str, kind: str, raised: Counter, wrong: list[str]) -> None:
    if set(raised) != {kind}:
        wrong.append(f"through files, {name}: {', '.join(raised)}, expected {kind} alone")


def _brought_up(market: pd.DataFrame) -> tuple[pd.DataFrame, pd.Timestamp]:
    """HOME_COINS coins of all sizes on HOME_DAYS days, so dated that the newest snapshot is yesterday's, on its own weekday,
    with a day to come; and the date of that snapshot.

    The latest such days at whose end the feed shows nothing and volumes changed by less than usual: a step that a wild week
    hides is counted in the rate of steps seen, day by day.
    """
    settings = Settings()
    yesterday = pd.Timestamp(dt.datetime.now(dt.UTC).date()) - pd.Timedelta(days=1)
    last = market["date"].max() - pd.Timedelta(days=1)
    last -= pd.Timedelta(days=(last.dayofweek - yesterday.dayofweek) % 7)
    while True:
        near = market["date"].between(last - pd.Timedelta(days=HOME_DAYS), last + pd.Timedelta(days=1))
        ranked = market[market["date"] == last].sort_values("mkt_cap", ascending=False)["coin"]
        chosen = ranked.iloc[np.linspace(0, len(ranked) - 1, min(HOME_COINS, len(ranked))).astype(int)]
        kept = market[near & market["coin"].isin(chosen)]
        verdict = diagnose_feed(measure_feed(in_order(kept[kept["date"] <= last])), settings)
        steps = verdict.figures["volume_step"]
        if not verdict.raised_kinds and max(abs(steps["first"]), abs(steps["second"])) <= steps["usual_deviation"]:
            return kept.assign(date=kept["date"] + (yesterday - last)).reset_index(drop=True), yesterday
        last -= pd.Timedelta(days=7)
        if last - pd.Timedelta(days=HOME_DAYS) < market["date"].min():
            raise SystemExit(f"no calm day of this weekday ({yesterday:%A}) in the market")


def in_order(rows: pd.DataFrame) -> pd.DataFrame:
    return sort_rows(rows[FEED_COLUMNS].reset_index(drop=True))
