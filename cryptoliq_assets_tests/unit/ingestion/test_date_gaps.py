"""Date gaps: spans, days and coins."""

import datetime as dt
from pathlib import Path

import pandas as pd

from cryptoliq_assets.ingestion.quality.date_gaps import count_gaps, count_month_gaps
from cryptoliq_assets_tests.support.markets import HEADER, Home


def observed(**days: list[str]) -> pd.DataFrame:
    """Make rows of coins from the days on which each was observed."""
    rows = [(coin, pd.Timestamp(day)) for coin, its in sorted(days.items()) for day in its]
    frame = pd.DataFrame(rows, columns=["coin", "date"])
    return frame.astype({"coin": "category"})


def test_gaps_are_counted_by_span_day_and_coin() -> None:
    rows = observed(
        A=["2022-03-01", "2022-03-04", "2022-03-06"],
        B=["2022-03-10", "2022-03-11"],
        C=["2022-03-01", "2022-03-31"],
    )
    counted = count_gaps(rows, since=dt.date(2022, 3, 1), until=dt.date(2022, 3, 31))
    assert counted == {"spans": 3, "missing_days": 2 + 1 + 29, "coins": 2}


def test_only_requested_days_of_a_gap_count() -> None:
    rows = observed(A=["2022-02-26", "2022-03-03"], B=["2022-02-01", "2022-02-20"], C=["2022-03-30", "2022-04-05"])
    counted = count_gaps(rows, since=dt.date(2022, 3, 1), until=dt.date(2022, 3, 31))
    assert counted == {"spans": 2, "missing_days": 2 + 1, "coins": 2}


def test_a_run_counts_gaps_across_month_boundaries(tmp_path: Path) -> None:
    home = Home.at(tmp_path)

    def ingest(date: str) -> dict[str, int]:
        home.drop(f"coin_gecko_{date}.csv", f"{HEADER}\nBitcoin,BTC,1,-0.5,-2.5,-4,1e6,1e9,{date}\n")
        home.look()
        months = [date[:7]]
        result = home.intake.ingest(months)
        home.store.write("raw_snapshots", result.frame, months, sources=result.sources)
        return result.gaps

    assert ingest("2022-02-27") == {"spans": 0, "missing_days": 0, "coins": 0}
    assert ingest("2022-03-04") == {"spans": 1, "missing_days": 3, "coins": 1}
    # An unreadable month does not fail the check.
    home.store.path("raw_snapshots", "2022-02").write_bytes(b"damaged")
    assert ingest("2022-03-06") == {"spans": 1, "missing_days": 1, "coins": 1}


def test_no_rows_have_no_gaps(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    none = home.store.read("raw_snapshots", [])
    assert count_month_gaps(home.store, none, ["2022-03"]) == {"spans": 0, "missing_days": 0, "coins": 0}
