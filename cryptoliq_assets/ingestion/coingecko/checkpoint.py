"""A history that is not over, on disk: when it began, its coins, and the charts that came.

All of it lies in `data/fetch/history-<days>/`, each file durable before the next request. The days it writes are fixed when
it begins; each chart knows the first midnight that it reaches, so that charts asked for on other days make no ragged ones.
"""

import datetime as dt
import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptoliq_assets.core import read_json, write_json

_DAY = 86_400.0
# The service has a midnight from 00:35 UTC on; five minutes more for its clock and ours.
_SERVED_SECONDS = 40 * 60.0
# An unfinished history older than this is begun anew: its days end too early.
_OLDEST_SECONDS = 7 * _DAY


@dataclass(frozen=True)
class HistoryCheckpoint:
    """One history of `days` days, begun at `began` (seconds since 1970)."""

    folder: Path
    days: int
    began: float

    @classmethod
    def find(cls, folder: Path, *, days: int, now: float) -> "HistoryCheckpoint":
        """The kept one where it goes on, else a new one; nothing is written."""
        kept = read_if_exists(folder / "job.json") or {}
        if "began" in kept and 0 <= now - kept["began"] <= _OLDEST_SECONDS:
            # One without a chart, or with nothing left to ask for, has no reason to end on another day than today.
            going_on = not kept["asked_all"] and any((folder / "charts").glob("*.json"))
            if going_on or _complete_day(kept["began"]) == _complete_day(now):
                return cls(folder, days, kept["began"])
        return cls(folder, days, now)

    @property
    def last(self) -> dt.date:
        """The last midnight that was served for sure when the job began."""
        return _complete_day(self.began)

    @property
    def first(self) -> dt.date:
        return self.last - dt.timedelta(days=self.days - 1)

    def start(self) -> bool:
        """Make the folder this job's, without what another left there; True where the job goes on."""
        kept = read_if_exists(self.folder / "job.json") or {}
        if kept.get("began") == self.began:
            return True
        self.discard()
        # Before anything else, so that all that follows has an age.
        write_json(self.folder / "job.json", {"began": self.began, "asked_all": False})
        return False

    def mark_complete(self) -> None:
        """Note that all charts are there and were used as far as they can be."""
        write_json(self.folder / "job.json", {"began": self.began, "asked_all": True})

    def discard(self) -> None:
        if self.folder.exists():
            # First, so that of a removal that stops halfway nothing goes on.
            (self.folder / "job.json").unlink(missing_ok=True)
            shutil.rmtree(self.folder)

    def page_path(self, number: int, *, top: int) -> Path:
        return self.folder / f"{top}-list-{number}.json"

    @property
    def list_path(self) -> Path:
        return self.folder / "coins.json"

    def chart_path(self, coin: str) -> Path:
        # An id is the service's own text: no name for a file.
        return self.folder / "charts" / f"{hashlib.sha256(coin.encode()).hexdigest()[:24]}.json"

    def save_chart(
        self, coin: str, points: dict[str, Any] | None, *, asked: int, came: float, error: str | None = None
    ) -> None:
        """Keep a chart's days (None: the coin is gone), of which `asked` were asked for and came at `came`.

        `error` is what was wrong with the chart.
        """
        # The service counts back from the moment of its answer.
        reaches = utc_date(came) - dt.timedelta(days=asked - 1)
        write_json(self.chart_path(coin), {"id": coin, "reaches": reaches, "days": points, "error": error})


def read_if_exists(path: Path) -> Any:
    """A kept file, written whole or not at all; None where it is not there."""
    try:
        return read_json(path)
    except FileNotFoundError:
        return None


def utc_date(moment: float) -> dt.date:
    return dt.datetime.fromtimestamp(moment, dt.UTC).date()


def _complete_day(moment: float) -> dt.date:
    """The newest midnight that the service has for sure at a moment."""
    return utc_date(moment - _SERVED_SECONDS)
