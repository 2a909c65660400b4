"""The year 2021: every anomaly of the real panel is found and counted, from 365 files to the raw table and its checks."""

import json
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.orchestration.checks.raw import unit_consistent, unit_found
from cryptoliq_assets.orchestration.jobs import INGEST_JOB
from cryptoliq_assets.orchestration.runner import Runner
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.markets import HEADER, file_name, quick_folder
from cryptoliq_assets_tests.support.settings import make_settings

pytestmark = pytest.mark.realdata
MONTHS = [f"2021-{month:02d}" for month in range(1, 13)]


@dataclass(frozen=True)
class Year:
    settings: Settings
    store: TableStore
    rows: pd.DataFrame
    report: dict
    metadata: dict

    def file_reports(self) -> list[dict]:
        """Return the reports of all files by day."""
        paths = sorted(self.settings.validation_dir.glob("*.json"))
        return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


@pytest.fixture(scope="module")
def year(real_data: Path):
    """A home that has ingested a file per day."""
    panel = pd.read_parquet(real_data / "coingecko_daily_2021.parquet").rename(columns={"volume_24h": "24h_volume"})
    panel["1h"] = float("nan")
    with quick_folder() as folder:
        settings = make_settings(home_dir=folder, storage__first_month="2021-01")
        settings.raw_dir.mkdir(parents=True)
        for day, rows in panel[HEADER.split(",")].groupby("date"):
            (settings.raw_dir / file_name(day)).write_text(rows.to_csv(index=False), encoding="utf-8")
        runner = Runner(settings)
        assert runner.register_files() == 365
        runner.refresh(runner.plan().raw_ranges, job=INGEST_JOB)
        (event,) = runner.instance.fetch_materializations(dg.AssetKey("raw_snapshots"), limit=1).records
        report = json.loads((settings.reports_dir / "data_validation_report.json").read_text(encoding="utf-8"))
        shown = {name: value.value for name, value in event.asset_materialization.metadata.items()}
        yield Year(settings, runner.store, runner.store.read("raw_snapshots"), report, shown)


def test_every_row_is_accepted_or_rejected_with_a_reason(year: Year) -> None:
    counted = {key: year.report[key] for key in ("files_read", "files_accepted", "files_refused", "files_unread")}
    assert counted == {"files_read": 365, "files_accepted": 365, "files_refused": {}, "files_unread": {}}
    rejected = {"negative_value": 18, "implausible_number": 108}
    assert [year.report[key] for key in ("rows_read", "rows_kept", "rows_refused")] == [674_207, 674_081, rejected]
    assert [year.metadata[key] for key in ("rows_read", "rows_accepted", "rows_rejected")] == [
        674_207,
        674_081,
        rejected,
    ]
    assert len(year.rows) == 674_081
    stamps = [year.store.stamp("raw_snapshots", month) for month in MONTHS]
    assert sum(stamp.rows for stamp in stamps) == 674_081


def test_unknown_caps_and_zero_volumes_are_counted(year: Year) -> None:
    unknown, still = year.rows["mkt_cap"].fillna(0) == 0, year.rows["24h_volume"] == 0
    assert (int(unknown.sum()), round(unknown.mean() * 100, 2)) == (65_185, 9.67)
    assert int(still.sum()) == 6_160
    reports = year.file_reports()
    assert sum(report["unknown_caps"] for report in reports) == 65_185
    assert sum(report["zero_volumes"] for report in reports) == 6_160


def test_coins_that_share_a_symbol_are_reported_and_separate(year: Year) -> None:
    coins = year.rows[["symbol", "coin"]].astype(str).drop_duplicates().groupby("symbol")["coin"].agg(set)
    shared = coins[coins.map(len) > 1]
    assert (len(shared), len(set().union(*shared))) == (85, 171)
    result = [report["shared_symbols"] for report in year.file_reports()]
    assert {symbol for each in result for symbol in each} <= set(shared.index)
    assert len(result[-1]) > 50


def test_gaps_are_counted_by_span_day_and_coin(year: Year) -> None:
    # The rejected rows, negative or implausible, cause some of the spans.
    assert year.report["gaps"] == {"spans": 1_950, "missing_days": 8_715, "coins": 305}
    shown = {name: year.metadata[name] for name in ("gaps", "gap_days", "coins_with_gaps")}
    assert shown == {"gaps": 1_950, "gap_days": 8_715, "coins_with_gaps": 305}


def test_changes_are_fractions_that_agree_with_the_prices(year: Year) -> None:
    finding = unit_consistent(year.settings, year.store, MONTHS)
    assert (finding.passed, finding.metadata["dates"], finding.metadata["count"]) == (True, 364, 0)
    units = unit_found(year.settings, year.store, MONTHS).metadata
    assert units["files_by_unit"] == {"fraction": 364, "percent": 1}
    # The first day has no previous day to compare its changes with.
    assert units["uncertain"] == ["coingecko_20210101.csv"]
