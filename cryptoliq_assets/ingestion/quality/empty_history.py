"""Compare the share of empty cells of a file's columns with the preceding days.

While `ingestion.max_empty_fraction` is at most the rise that counts, each such column is an issue already: nothing is read then.
"""

import datetime as dt
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptoliq_assets.ingestion.reports import read_report, report_path
from cryptoliq_assets.schemas import CONTRACT_COLUMNS

# A column that is empty in so many more of a file's rows than on the preceding days is an issue. Of shares, not of a share.
MIN_RISE = 0.2
# Preceding days that are compared with.
PRECEDING_DAYS = 7


@dataclass
class EmptyCellHistory:
    """The shares of empty cells by day: of the files taken in by this run, and of those with a report in `folder`."""

    folder: Path
    max_share: float
    _by_file: dict[str, Mapping[str, float]] = field(default_factory=dict)

    def compare(self, report: Mapping[str, Any]) -> list[str]:
        """Return a sentence for each column that is empty far more often than on the days before an accepted file.

        Columns above `max_share` are left out: they have a sentence of their own.
        """
        if self.max_share <= MIN_RISE:
            return []
        shares: Mapping[str, float] = report["empty_shares"]
        self._by_file[report["file"]] = shares
        risen = [name for name in CONTRACT_COLUMNS if MIN_RISE < shares.get(name, 0.0) <= self.max_share]
        if not risen:
            return []
        earlier = self._preceding(dt.date.fromisoformat(report["max_date"]))
        issues = []
        for name in risen if earlier else []:
            usual = statistics.median(day.get(name, 0.0) for day in earlier)
            if shares[name] - usual > MIN_RISE:
                issues.append(
                    f"{name} is empty in {shares[name]:.0%} of the rows; in the {len(earlier)} snapshots of the "
                    f"{PRECEDING_DAYS} days before, in {usual:.0%} (median)"
                )
        return issues

    def _preceding(self, date: dt.date) -> list[Mapping[str, float]]:
        """Return the shares of the files named after the days before a date."""
        found = []
        for back in range(1, PRECEDING_DAYS + 1):
            day = date - dt.timedelta(days=back)
            for name in (f"coingecko_{day:%Y%m%d}.csv", f"coin_gecko_{day}.csv"):
                shares = self._by_file.get(name)
                if shares is None:
                    stored = read_report(report_path(self.folder, name))
                    # Reports of earlier versions of this program do not have the shares.
                    shares = stored.get("empty_shares") if stored.get("accepted") else None
                if shares is not None:
                    found.append(shares)
        return found
