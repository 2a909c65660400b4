"""Compare the fraction of empty cells in the columns of a file with the preceding days.

While `ingestion.max_empty_fraction` is not above MIN_RISE, `empty_columns.py` reports each such column: nothing is read then.
"""

import datetime as dt
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptoliq_assets.core import Location
from cryptoliq_assets.ingestion.reports import read_report, report_path
from cryptoliq_assets.schemas import CONTRACT_COLUMNS

# Rise of the fraction of empty cells of a column, over the preceding days, that is an issue; absolute, not relative.
MIN_RISE = 0.2
# Preceding days that are compared with.
PRECEDING_DAYS = 7


@dataclass
class EmptyCellHistory:
    """Fractions of empty cells by day, of the files of this run and of those with a report.

    Attributes:
        folder: Folder of the validation reports.
        max_fraction: Maximum fraction of empty cells that needs no comparison.
    """

    folder: Location
    max_fraction: float
    _by_file: dict[str, Mapping[str, float]] = field(default_factory=dict)

    def compare(self, report: Mapping[str, Any]) -> list[str]:
        """Compare an accepted file with the days before it.

        Args:
            report: Report of the file.

        Returns:
            A sentence for each column that is empty far more often than before. Columns above `max_fraction` are left out,
            because they have a sentence of their own.
        """
        if self.max_fraction <= MIN_RISE:
            return []
        fractions: Mapping[str, float] = report["empty_shares"]
        self._by_file[report["file"]] = fractions
        risen = [name for name in CONTRACT_COLUMNS if MIN_RISE < fractions.get(name, 0.0) <= self.max_fraction]
        if not risen:
            return []
        earlier = self._preceding(dt.date.fromisoformat(report["max_date"]))
        issues = []
        for name in risen if earlier else []:
            usual = statistics.median(day.get(name, 0.0) for day in earlier)
            if fractions[name] - usual > MIN_RISE:
                issues.append(
                    f"{name} is empty in {fractions[name]:.0%} of the rows; in the {len(earlier)} snapshots of the "
                    f"{PRECEDING_DAYS} days before, in {usual:.0%} (median)"
                )
        return issues

    def _preceding(self, date: dt.date) -> list[Mapping[str, float]]:
        """Return the fractions of the files named after the days before a date."""
        results = []
        for back in range(1, PRECEDING_DAYS + 1):
            day = date - dt.timedelta(days=back)
            for name in (f"coingecko_{day:%Y%m%d}.csv", f"coin_gecko_{day}.csv"):
                fractions = self._by_file.get(name)
                if fractions is None:
                    stored = read_report(report_path(self.folder, name))
                    # Reports of earlier versions of this program lack the fractions.
                    fractions = stored.get("empty_shares") if stored.get("accepted") else None
                if fractions is not None:
                    results.append(fractions)
        return results
