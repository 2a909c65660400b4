"""Logs of a service: lines of predictions and failures, written by hand."""

import datetime as dt
import json
from pathlib import Path

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.monitoring.service import app_log

TODAY = dt.datetime(2025, 8, 20, 12, 30, tzinfo=dt.UTC)


def prediction_line(
    at: dt.datetime, *, score: float = 0.5, mode: str = "single", seconds: float = 0.01, outside=()
) -> dict:
    """Return the log line of a prediction; `outside` are the inputs outside the training range."""
    output = {"liquidity_score": score, "flags": {"out_of_range": list(outside)}}
    fields = {"mode": mode, "inputs": {"price": 1.0}, "output": output, "version": "v1", "seconds": seconds}
    return {"at": at.timestamp(), "event": "prediction", **fields}


def append(path: Path, *lines: dict | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as handle:
        for each in lines:
            content = each if isinstance(each, bytes) else json.dumps(each, separators=(",", ":")).encode() + b"\n"
            handle.write(content)


def log_predictions(settings: Settings, *lines: dict | bytes, day: dt.datetime = TODAY) -> None:
    append(settings.predictions_dir / f"{day.date()}.jsonl", *lines)


def log_event(settings: Settings, event: str, at: dt.datetime, **fields: object) -> None:
    append(settings.logs_dir / "app.log", {"at": at.timestamp(), "event": event, **fields})


def clear_caches() -> None:
    """Clear the caches of the process, as at its start: only the stored report remains."""
    app_log._DAYS.clear()
    app_log._LOGS.clear()
