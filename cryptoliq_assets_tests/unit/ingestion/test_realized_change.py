"""Realized change: the 24h column compared with the prices, and each snapshot with the previous one."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryptoliq_assets.ingestion.quality.realized_change import classify_slope, compute_realized_slopes
from cryptoliq_assets.orchestration.checks.raw import unit_consistent
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.frames import day, raw_rows, received
from cryptoliq_assets_tests.support.markets import Home
from cryptoliq_assets_tests.support.settings import make_settings


def two_days(*, scale: float = 1.0, coins: int = 40) -> pd.DataFrame:
    """Make two days: all prices 100 USD on day 1, changed on day 2 by the 24h value divided by `scale`."""
    moves = np.linspace(-9.5, 10.5, coins)
    rows = [{"coin": f"coin {position}", "day": 1, "price": 100.0} for position in range(coins)]
    rows += [
        {"coin": f"coin {position}", "day": 2, "price": 100.0 + move, "24h": move * scale}
        for position, move in enumerate(moves)
    ]
    return received(raw_rows(rows))


@pytest.mark.parametrize(("scale", "slope"), [(1.0, 1.0), (0.01, 100.0), (100.0, 0.01)])
def test_the_slope_is_1_in_percent_and_100_off_otherwise(scale: float, slope: float):
    assert compute_realized_slopes(two_days(scale=scale)).to_dict() == {day(2): pytest.approx(slope)}


def test_one_absurd_price_does_not_move_the_slope():
    rows = two_days()
    rows.loc[(rows["coin"] == "coin 0") & (rows["date"] == day(2)), "price"] = 1e9
    assert compute_realized_slopes(rows)[day(2)] == pytest.approx(1.0)


def test_too_little_data_gives_no_slope():
    still = two_days()
    still["price"] = 100.0
    apart = two_days()
    apart.loc[apart["date"] == day(2), "date"] = day(3)
    for rows in (two_days(coins=6), still, apart):
        assert compute_realized_slopes(rows).empty


@pytest.mark.parametrize(("scale", "passed"), [(1.0, True), (0.01, False)])
def test_the_check_fails_for_a_day_in_another_unit(tmp_path: Path, scale: float, passed: bool):
    store = TableStore(make_settings(home_dir=tmp_path))
    store.write("raw_snapshots", two_days(scale=scale), ["2025-03"])
    finding = unit_consistent(store.settings, store, ["2025-03"])
    assert (finding.passed, finding.metadata["dates"]) == (passed, 1)
    assert list(finding.metadata["off"]) == ([] if passed else ["2025-03-02"])


HEADER = "coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date\n"


def test_the_report_lists_new_missing_and_renamed_coins(tmp_path: Path):
    home = Home.at(tmp_path)
    first = "Bitcoin,BTC,40000,0.1,-2,-5,1e9,7e11,2022-03-16\nMatic,MATIC,1.40,0.1,-2,-5,1e8,9e9,2022-03-16\n"
    second = "Bitcoin,BTC,41000,0.1,-2,-5,1e9,7e11,2022-03-17\nPolygon,MATIC,1.45,0.1,-2,-5,1e8,9e9,2022-03-17\n"
    for number, text in (("16", first), ("17", second)):
        home.drop(f"coingecko_202203{number}.csv", (HEADER + text).encode())
        home.bring_up_to_date()
    report = json.loads((home.settings.validation_dir / "coingecko_20220317.csv.json").read_text(encoding="utf-8"))
    assert report["previous_snapshot"] == "2022-03-16"
    assert report["coins_new"] == {"count": 1, "coins": ["Polygon"]}
    assert report["coins_gone"] == {"count": 1, "coins": ["Matic"]}
    assert report["likely_renames"] == [{"old": "Matic", "new": "Polygon"}]
    assert set(home.store.read("raw_snapshots")["coin"]) == {"Bitcoin", "Matic", "Polygon"}


@pytest.mark.parametrize(
    ("slope", "expected"),
    [
        (1.0, "agrees"),
        (0.5, "agrees"),
        (2.0, "agrees"),
        (100.0, "unit"),
        (60.0, "unit"),
        (0.012, "unit"),
        (5.0, "contradicts"),
        (0.0, "contradicts"),
        (-1.0, "contradicts"),
        (1e6, "contradicts"),
    ],
)
def test_only_a_slope_near_100_or_0_01_is_another_unit(slope: float, expected: str):
    assert classify_slope(slope, 2.0) == expected
