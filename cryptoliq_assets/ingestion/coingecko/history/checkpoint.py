"""Checkpoint of an unfinished history on disk: start time, coins, and the charts fetched so far.

Everything is stored in `data/fetch/history-<days>/`, each file durable before the next request. The days of a history are
fixed when it starts. Each chart records the first midnight that it covers, because it may be fetched on a later day.
"""

import datetime as dt
import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptoliq_assets.core import read_json, write_json

_DAY = 86_400.0
# CoinGecko serves a midnight from 00:35 UTC; five more minutes allow for differences between clocks.
_AVAILABLE_AFTER_SECONDS = 40 * 60.0
# An unfinished history older than this is restarted: its last day is too long ago.
_MAX_AGE_SECONDS = 7 * _DAY


@dataclass(frozen=True)
class HistoryCheckpoint:
    """Progress of one history.

    Attributes:
        folder: Folder of the checkpoint.
        days: Number of days of the history.
        began: Start, in seconds since 1970.
    """

    folder: Path
    days: int
    began: float

    @classmethod
    def find(cls, folder: Path, *, days: int, now: float) -> "HistoryCheckpoint":
        """Return the stored checkpoint if it can be resumed, else a new one. Writes nothing.

        Args:
            folder: Folder of the checkpoint.
            days: Number of days of the history.
            now: Seconds since 1970.

        Returns:
            The checkpoint to work with.
        """
        stored = read_if_exists(folder / "job.json") or {}
        if "began" in stored and 0 <= now - stored["began"] <= _MAX_AGE_SECONDS:
            # Without a chart, or with nothing left to request, the history can as well end today.
            resumable = not stored["asked_all"] and any((folder / "charts").glob("*.json"))
            if resumable or _last_available_day(stored["began"]) == _last_available_day(now):
                return cls(folder, days, stored["began"])
        return cls(folder, days, now)

    @property
    def last(self) -> dt.date:
        """Last day of the history: the last midnight that was certainly available at the start."""
        return _last_available_day(self.began)

    @property
    def first(self) -> dt.date:
        """First day of the history."""
        return self.last - dt.timedelta(days=self.days - 1)

    def start(self) -> bool:
        """Create the folder, without the files of another history.

        Returns:
            Whether an earlier run is resumed.
        """
        stored = read_if_exists(self.folder / "job.json") or {}
        if stored.get("began") == self.began:
            return True
        self.discard()
        # First, so that every later file has a start time.
        write_json(self.folder / "job.json", {"began": self.began, "asked_all": False})
        return False

    def mark_complete(self) -> None:
        """Record that all charts are present and every possible day was written."""
        write_json(self.folder / "job.json", {"began": self.began, "asked_all": True})

    def discard(self) -> None:
        """Delete the checkpoint."""
        if self.folder.exists():
            # First, so that an interrupted removal is not resumed.
            (self.folder / "job.json").unlink(missing_ok=True)
            shutil.rmtree(self.folder)

    def page_path(self, number: int, *, top: int) -> Path:
        """Return the file of page `number` of the market list of the `top` largest coins."""
        return self.folder / f"{top}-list-{number}.json"

    @property
    def list_path(self) -> Path:
        """File of the complete list of coins."""
        return self.folder / "coins.json"

    def chart_path(self, coin: str) -> Path:
        """Return the file of a coin's chart."""
        # Hashed, because an id is external text and not a safe file name.
        return self.folder / "charts" / f"{hashlib.sha256(coin.encode()).hexdigest()[:24]}.json"

    def save_chart(
        self, coin: str, points: dict[str, Any] | None, *, days: int, fetched_at: float, error: str | None = None
    ) -> None:
        """Store the chart of a coin.

        Args:
            coin: Id of the coin.
            points: Values by ISO day; None if the coin no longer exists.
            days: Requested number of days.
            fetched_at: Seconds since 1970.
            error: What is wrong with the chart, if anything.
        """
        # The service counts days back from the time of its response.
        reaches = utc_date(fetched_at) - dt.timedelta(days=days - 1)
        write_json(self.chart_path(coin), {"id": coin, "reaches": reaches, "days": points, "error": error})


def read_if_exists(path: Path) -> Any:
    """Read a JSON file of a checkpoint; the files are written atomically.

    Args:
        path: File to read.

    Returns:
        Its content, None if it does not exist.
    """
    try:
        return read_json(path)
    except FileNotFoundError:
        return None


def utc_date(moment: float) -> dt.date:
    """Return the UTC date of a time in seconds since 1970.

    Example:
        >>> utc_date(86_400.0)
        datetime.date(1970, 1, 2)
    """
    return dt.datetime.fromtimestamp(moment, dt.UTC).date()


def _last_available_day(moment: float) -> dt.date:
    """Return the last day whose midnight is certainly available at a time."""
    return utc_date(moment - _AVAILABLE_AFTER_SECONDS)
