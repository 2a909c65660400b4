"""Injected faults through files: a healthy home, a copy of it for each fault, and the alert kinds that one run of the monitor raises.

The jobs are the real ones. The fault is in files of the drop folder, or in the model or the prediction log of the home; `refresh` and
`monitor` run, and `monitoring.collect_findings` returns the findings.
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
PREDICTIONS_PER_DAY, PREDICTION_DAYS = 48, 10


def through_files(
    market: pd.DataFrame, folder: Path, *, seed: int, chosen: Sequence[str]
) -> tuple[dict[str, Counter], list[str]]:
    """Run the monitor once per chosen fault, in a copy of the home.

    Args:
        market: Rows of all days.
        folder: Folder for the homes.
        seed: Seed of the faults.
        chosen: Names of the faults.

    Returns:
        The raised kinds by fault; and the errors, as text.
    """
    rng = np.random.default_rng(seed)
    market, last = _shift_to_yesterday(market)
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
    _write_predictions(settings, now=now, until=now)
    table[NOTHING] = _raised_kinds(_copy_home(healthy, NOTHING), market, dates[-2:], now=now)
    for name, (kind, inject) in FEED.items():
        if name not in chosen:
            continue
        changed = inject(market, last, rng)
        table[name] = _raised_kinds(_copy_home(healthy, name), changed, dates[-2:], now=now)
        _expect(name, kind, table[name], wrong)
    for name, (kind, damage) in HOME_FAULTS.items():
        if name not in chosen:
            continue
        table[name] = _raised_kinds(_copy_home(healthy, name), market, dates[-2:], now=now, damage=damage)
        _expect(name, kind, table[name], wrong)
    if set(table[NOTHING]) != {NOTHING}:
        wrong.append(f"through files, {NOTHING}: {dict(table[NOTHING])}")
    return table, wrong


def _truncate_model(settings: Settings, now: dt.datetime) -> None:
    path = settings.models_dir / f"{open_model_store(settings).current_version()}.pkl"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _stop_predictions(settings: Settings, now: dt.datetime) -> None:
    """Simulate a deployment two days ago, after which no request was answered."""
    shutil.rmtree(settings.predictions_dir)
    _write_predictions(settings, now=now, until=now - dt.timedelta(days=2))


HOME_FAULTS: dict[str, tuple[str, Callable[[Settings, dt.datetime], None]]] = {
    "model file truncated": ("model_broken", _truncate_model),
    "broken deploy": ("predictions_stopped", _stop_predictions),
}


def _write_predictions(settings: Settings, *, now: dt.datetime, until: dt.datetime) -> None:
    """Write the prediction log of a service: single predictions at equal intervals over the last days, as `core.jsonl` writes them."""
    version = open_model_store(settings).current_version()
    settings.predictions_dir.mkdir(parents=True, exist_ok=True)
    settings.logs_dir.mkdir(parents=True, exist_ok=True)
    inputs = {"coin": "Bitcoin", "price": 40_000.0, "24h": -1.0, "7d": 2.0, "24h_volume": 2e10, "mkt_cap": 8e11}
    result = {"liquidity_score": 0.8, "lower": 0.75, "upper": 0.85, "flags": {"out_of_range": []}}
    step = dt.timedelta(days=1) / PREDICTIONS_PER_DAY
    at = now - dt.timedelta(days=PREDICTION_DAYS)
    while at <= until:
        line = {"at": at.timestamp(), "event": "prediction", "mode": "single", "inputs": inputs, "output": result}
        content = encode_line({**line, "version": version, "seconds": 0.002})
        for path in (settings.predictions_dir / f"{at:%Y-%m-%d}.jsonl", settings.logs_dir / "app.log"):
            with path.open("ab") as handle:
                handle.write(content)
        at += step


def _raised_kinds(
    settings: Settings,
    market: pd.DataFrame,
    dates: list[dt.date],
    *,
    now: dt.datetime,
    damage: Callable[[Settings, dt.datetime], None] | None = None,
) -> Counter:
    """Ingest the files of these dates, apply the damage, run the monitor once, and return the kinds that are not OK."""
    runner = Runner(settings)
    write_snapshots(market, settings.raw_dir, dates=dates)
    runner.register_files()
    runner.refresh(runner.plan().ranges)
    if damage:
        damage(settings, now)
    runner.run("monitor")
    findings = collect_findings(settings, now)
    last = json.loads((settings.reports_dir / "prediction_metrics.json").read_text(encoding="utf-8"))["last"]
    # If the monitor cannot read the prediction log, it would report `predictions_stopped` for every home.
    if not last or last["foreign_lines"] or not last["predictions"]:
        raise SystemExit(f"the prediction log was not read: {last}")
    return Counter({finding.kind for finding in findings if finding.level != OK} or {NOTHING})


def _copy_home(healthy: Path, name: str) -> Settings:
    """Copy the home for one fault: this process caches what it has read of a prediction log by path."""
    home = healthy.with_name(name)
    shutil.copytree(healthy, home, symlinks=True)
    # Files are accepted even if many rows are rejected; otherwise a file with empty columns would not reach the monitor.
    return Settings(home_dir=home, cv={"n_splits": 2}, ingestion={"max_rejected_fraction": 1.0})


def _expect(name: str, kind: str, raised: Counter, wrong: list[str]) -> None:
    if set(raised) != {kind}:
        wrong.append(f"through files, {name}: {', '.join(raised)}, expected only {kind}")


def _shift_to_yesterday(market: pd.DataFrame) -> tuple[pd.DataFrame, pd.Timestamp]:
    """Select HOME_COINS coins of all sizes on HOME_DAYS days and one day more, and shift their dates to the present.

    The newest snapshot is then yesterday's, on its original weekday. These are the latest days at whose end the feed shows no fault
    and volumes changed by less than usual: whether a shift is detected in an unusual week is measured day by day.

    Returns:
        The rows, and the date of the newest snapshot.
    """
    settings = Settings()
    yesterday = pd.Timestamp(dt.datetime.now(dt.UTC).date()) - pd.Timedelta(days=1)
    last = market["date"].max() - pd.Timedelta(days=1)
    last -= pd.Timedelta(days=(last.dayofweek - yesterday.dayofweek) % 7)
    while True:
        near = market["date"].between(last - pd.Timedelta(days=HOME_DAYS), last + pd.Timedelta(days=1))
        ranked = market[market["date"] == last].sort_values("mkt_cap", ascending=False)["coin"]
        chosen = ranked.iloc[np.linspace(0, len(ranked) - 1, min(HOME_COINS, len(ranked))).astype(int)]
        selected = market[near & market["coin"].isin(chosen)]
        diagnosis = diagnose_feed(measure_feed(in_order(selected[selected["date"] <= last])), settings)
        shifts = diagnosis.figures["volume_step"]
        if not diagnosis.raised_kinds and max(abs(shifts["first"]), abs(shifts["second"])) <= shifts["usual_deviation"]:
            return selected.assign(date=selected["date"] + (yesterday - last)).reset_index(drop=True), yesterday
        last -= pd.Timedelta(days=7)
        if last - pd.Timedelta(days=HOME_DAYS) < market["date"].min():
            raise SystemExit(f"no quiet day of this weekday ({yesterday:%A}) in the market")


def in_order(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of the feed metrics, sorted."""
    return sort_rows(rows[FEED_COLUMNS].reset_index(drop=True))
