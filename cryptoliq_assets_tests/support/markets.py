"""Small markets as raw files, and a home that ingests them by the stage functions, called as the assets call them.

This works without Dagster, so that a property test can check hundreds of arrivals in a minute; `test_incremental.py`
shows that Dagster runs give the same tables.
"""

import datetime as dt
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from cryptoliq_assets.core.calendar import months_between
from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.ingestion.landing.catalog import Catalog, open_catalog
from cryptoliq_assets.ingestion.landing.drop_folder import find_new_files, list_folder, register_files
from cryptoliq_assets.ingestion.landing.intake import Intake, IntakeResult
from cryptoliq_assets.ingestion.landing.refresh_plan import RefreshPlan, make_plan
from cryptoliq_assets.modeling.table_months import write_computed
from cryptoliq_assets.schemas.tables import DERIVED_TABLES
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.settings import make_settings

HEADER = "coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date"
COINS = ("Bitcoin", "Ether", "Tether", "Rune", "THORChain")
TODAY = dt.date(2022, 12, 31)
NOW = dt.datetime(2022, 12, 31, 12, tzinfo=dt.UTC)
# Columns that depend only on the order of arrival.
ARRIVAL_COLUMNS = ["arrival", "source_file"]


def file_name(date: dt.date) -> str:
    return f"coingecko_{date:%Y%m%d}.csv"


def snapshot(
    dates: Iterable[dt.date], *, seed: int = 0, coins: Iterable[str] = COINS[:3], missing: float = 0.15
) -> bytes:
    """Return a raw file in percent, with a row per coin and date; some rows and cells are missing; deterministic by seed."""
    lines = [HEADER]
    for date in sorted(dates):
        for place, coin in enumerate(coins):
            chance = np.random.default_rng([seed, date.toordinal(), place])
            price, volume, cap = np.exp(chance.normal((3.0, 12.0, 16.0), 1.0))
            # Well below -1, so that the unit of each file is certainly percent.
            day, week = -3.0 - chance.exponential(2.0), -8.0 + chance.normal(0.0, 4.0)
            cells = [
                f"{price:.6g}",
                f"{chance.normal():.3g}",
                f"{day:.4g}",
                f"{week:.4g}",
                f"{volume:.6g}",
                f"{cap:.6g}",
            ]
            gone = chance.random(6) < missing
            # Only one coin may lack price or volume: a file in which more than half of the rows lack one is rejected.
            gone[[0, 4]] &= place == 1
            cells = ["" if empty else cell for cell, empty in zip(cells, gone, strict=True)]
            if chance.random() < missing and place:
                continue
            lines.append(",".join([coin, coin[:3].upper(), *cells, date.isoformat()]))
    return "\n".join([*lines, ""]).encode()


def read_back(store: TableStore, table: str) -> pd.DataFrame:
    """Return a complete table without columns that depend on the order of arrival, and with categories as text."""
    frame = store.read(table)
    frame = frame.drop(columns=[name for name in ARRIVAL_COLUMNS if table == "raw_snapshots"])
    return frame.astype({name: object for name in frame.columns if isinstance(frame[name].dtype, pd.CategoricalDtype)})


def assert_same_tables(one: TableStore, other: TableStore, tables: Iterable[str] = DERIVED_TABLES) -> None:
    """Compare all months, rows and cells; floats bit by bit."""
    for table in tables:
        assert one.months(table) == other.months(table), table
        left, right = read_back(one, table), read_back(other, table)
        # Making keys takes longer than the comparison.
        if len(left) != len(right):
            assert _row_keys(left) == _row_keys(right), table
        for name in left.columns:
            assert left[name].dtype == right[name].dtype, (table, name)
            a, b = left[name].to_numpy(), right[name].to_numpy()
            if a.dtype.kind == "f":
                a, b = (values.view(f"i{values.dtype.itemsize}") for values in (a, b))
            different = np.flatnonzero(~_equal(a, b))
            if different.size:
                keys = _row_keys(left)
                wrong = [f"{keys[i]}: {left[name][i]} and {right[name][i]}" for i in different[:5]]
                assert not wrong, (table, name, wrong)


def _row_keys(frame: pd.DataFrame) -> list[str]:
    return [f"{row.coin} {row.date.date()}" for row in frame.itertuples()]


def _equal(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    # A missing text is not equal to itself.
    return (a == b) | ((a != a) & (b != b))


@contextmanager
def quick_folder() -> Iterator[Path]:
    """Return a temporary folder, in memory if possible: no test needs durable writes."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="cryptoliq-", dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@dataclass
class Home:
    """A home with a drop folder; each dropped file has a later time than the previous one."""

    settings: Settings
    today: dt.date = TODAY
    now: dt.datetime = NOW
    refreshed: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def at(cls, folder: Path, **options: object) -> "Home":
        return cls(make_settings(**({"home_dir": folder, "storage__first_month": "2021-01"} | options)))

    @property
    def store(self) -> TableStore:
        return TableStore(self.settings)

    @property
    def catalog(self) -> Catalog:
        return open_catalog(self.settings)

    @property
    def intake(self) -> Intake:
        return Intake(self.settings, self.store)

    def drop(self, name: str, content: bytes | str, *, moment: int | None = None) -> Path:
        """Put a file into the drop folder; `moment` (seconds) is its time, later than every other by default."""
        folder = self.settings.raw_dir
        folder.mkdir(parents=True, exist_ok=True)
        times = [entry.stat(follow_symlinks=False).st_mtime for entry in os.scandir(folder)]
        known = [file.mtime_ns // 10**9 for file in self.catalog.files()]
        moment = moment if moment is not None else int(max([*times, *known], default=1_000_000)) + 10
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        os.utime(path, (moment, moment))
        return path

    def look(self) -> int:
        """Register new versions in the catalog, as sensor and command line do first; return their number."""
        unknown = find_new_files(list_folder(self.settings.raw_dir), self.catalog)
        return register_files(unknown, self.settings, catalog=self.catalog, now=self.now).new

    def plan(self) -> RefreshPlan:
        return make_plan(self.settings, self.catalog, store=self.store, today=self.today)

    def bring_up_to_date(self) -> RefreshPlan:
        """Register files, and refresh each range of the plan; return the plan."""
        self.look()
        plan = self.plan()
        for first, last in plan.ranges:
            self.refresh(months_between(first, last))
        return plan

    def refresh(self, months: list[str]) -> IntakeResult:
        """Refresh these months from raw rows to labels, as one run does."""
        self.refreshed.append((months[0], months[-1]))
        store = self.store
        taken = Intake(self.settings, store).ingest(months)
        store.write("raw_snapshots", taken.frame, months, sources=taken.sources)
        for table in ("cleaned_snapshots", "engineered_features", "labels"):
            # A run opens the tables again for each asset.
            write_computed(table, months, self.store)
        return taken
