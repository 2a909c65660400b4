"""What the predictor serves from: the champion, the last months of history and the latest forecasts, and how they are loaded.

A snapshot is immutable: new data makes a new one. Answering requests belongs in `predictor`.
"""

import datetime as dt
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from cryptoliq_assets.core import HISTORY_DAYS, Location, Settings, file_state, first_day, month_of, months_between
from cryptoliq_assets.features import INPUT_COLUMNS, StoredHistory
from cryptoliq_assets.modeling import Champion
from cryptoliq_assets.modeling.evaluation import SplitConformalIntervals
from cryptoliq_assets.modeling.registry import open_model_store
from cryptoliq_assets.schemas import DERIVED_COLUMNS, RANGE_COLUMNS
from cryptoliq_assets.serving.views import read_newest_forecasts
from cryptoliq_assets.storage import InvalidTableError, TableStore

# Maximum days that a request may be dated before the newest stored snapshot: the history covers the 90 days before it as well.
OLDEST_REQUEST_DAYS = 31
NUMBER_FIELDS = (*INPUT_COLUMNS, *DERIVED_COLUMNS, *RANGE_COLUMNS)


@dataclass(frozen=True)
class ServingSnapshot:
    """Everything that responses are computed from.

    Args:
        champion: The model.
        intervals: Its prediction intervals.
        history: Stored rows that requests may see.
        latest: (n,) scores of the latest forecasts, ascending.
        newest: Date of the newest stored snapshot.
        old_coins: Coins of the months before `history`: their last stored row is older than any that a request may see.
        key: Versions of the files that it was loaded from; another key means that there is new data.
    """

    champion: Champion
    intervals: SplitConformalIntervals
    history: StoredHistory
    latest: np.ndarray
    newest: dt.date | None
    old_coins: frozenset[str]
    key: tuple[Any, ...]

    @cached_property
    def ranges(self) -> list[tuple[str, float, float]]:
        """Fields of a request with their training range, ±infinity if it is unknown."""
        ranges = self.champion.metadata.get("input_ranges", {})
        return [(name, *ranges.get(name, (-np.inf, np.inf))) for name in NUMBER_FIELDS]

    def history_from(self, first: dt.date) -> StoredHistory | None:
        """Return the history if it covers everything that requests dated from `first` on may see, else None."""
        return self.history if self.oldest and first >= self.oldest else None

    @property
    def oldest(self) -> dt.date | None:
        """First date that a request may have; None if no snapshot is stored."""
        return self.newest - dt.timedelta(days=OLDEST_REQUEST_DAYS) if self.newest else None


class SnapshotLoader:
    """Loads serving snapshots of one data directory.

    Args:
        settings: Settings of the data directory.
        store: Its tables.
    """

    def __init__(self, settings: Settings, store: TableStore) -> None:
        self._settings, self._store = settings, store
        # Coins by version of a month.
        self._coins: dict[tuple[Any, ...], frozenset[str]] = {}

    def key(self) -> tuple[Any, ...]:
        """Return the versions of all files that a snapshot is loaded from."""
        months = self._months()
        stamps = [self._store.stamp("cleaned_snapshots", month) for month in months]
        forecasts = self._store.months("forecasts")[-1:]
        latest = [self._store.stamp("forecasts", month) for month in forecasts]
        models = open_model_store(self._settings)
        pointer = models.pointer()
        # A lost or repaired pointer is a change as well: `Predictor.problem` reports it.
        return (
            pointer,
            _artifact_state(models.folder / f"{pointer.version}.pkl"),
            *months,
            *stamps,
            *forecasts,
            *latest,
        )

    def load(self, champion: Champion, key: tuple[Any, ...]) -> ServingSnapshot:
        """Load history and latest forecasts for a champion.

        Args:
            champion: The champion.
            key: The key that was read before.

        Returns:
            The snapshot. If the latest forecasts cannot be read, it has none, and its champion states the reason in
            `passed_over`.

        Raises:
            InvalidTableError: If the history cannot be read.
        """
        months = self._months()
        newest = self._newest_date(months)
        formula = champion.metadata["formula"]
        rows = self._store.read("cleaned_snapshots", months, columns=StoredHistory.columns_for(formula))
        history = StoredHistory.from_rows(rows, formula=formula)
        try:
            latest = self._latest_scores()
        except InvalidTableError as error:
            # Only the percentile needs them: everything else is answered.
            latest, champion = np.array([]), Champion(champion.loaded, (*champion.passed_over, str(error)))
        return ServingSnapshot(
            champion=champion,
            intervals=SplitConformalIntervals.from_dict(champion.metadata["intervals"]),
            history=history,
            latest=latest,
            newest=newest,
            old_coins=self._coins_before(months),
            key=key,
        )

    def _months(self) -> list[str]:
        """Months of the newest snapshot, and of what requests up to OLDEST_REQUEST_DAYS before it may see."""
        stored = self._store.months("cleaned_snapshots")
        if not stored:
            return []
        since = first_day(stored[-1]) - dt.timedelta(days=HISTORY_DAYS + OLDEST_REQUEST_DAYS)
        required = set(months_between(month_of(since), stored[-1]))
        return [month for month in stored if month in required]

    def _coins_before(self, months: list[str]) -> frozenset[str]:
        """Coins with a row in earlier months; a month is read again only if its file changes."""
        earlier = [month for month in self._store.months("cleaned_snapshots") if months and month < months[0]]
        stamps = {month: self._store.stamp("cleaned_snapshots", month) for month in earlier}
        versions = {(month, stamp.inputs if stamp else None): month for month, stamp in stamps.items()}
        self._coins = {
            version: self._coins[version] if version in self._coins else self._read_coins(month)
            for version, month in versions.items()
        }
        return frozenset().union(*self._coins.values())

    def _read_coins(self, month: str) -> frozenset[str]:
        rows = self._store.read("cleaned_snapshots", [month], columns=["coin"])
        return frozenset(map(str, rows["coin"].cat.remove_unused_categories().cat.categories))

    def _newest_date(self, months: list[str]) -> dt.date | None:
        for month in reversed(months):
            stamp = self._store.stamp("cleaned_snapshots", month)
            if stamp and stamp.days:
                return dt.date.fromisoformat(max(stamp.days))
        return None

    def _latest_scores(self) -> np.ndarray:
        forecasts = read_newest_forecasts(self._settings, self._store)
        return np.array([]) if forecasts is None else np.sort(forecasts["liquidity_score"].to_numpy())


def _artifact_state(artifact: Location) -> tuple[Any, ...]:
    """What changes when the current artifact is rewritten in place: a restored one is loaded again."""
    try:
        state: tuple[Any, ...] = file_state(artifact)
    except OSError:
        return ()
    return state
