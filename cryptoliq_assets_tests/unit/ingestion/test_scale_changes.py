"""Scale changes and single-coin faults in the report of each ingested file."""

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies as st

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.ingestion.quality.scale_changes import SCALED_COLUMNS, ScaleChange, find_scale_changes
from cryptoliq_assets.simulation.market import simulate_market
from cryptoliq_assets_tests.support.markets import Home, file_name

FACTOR = Settings().feed.scale_ratio
LAST = dt.date(2022, 4, 4)
COLUMNS = ["coin", "symbol", "price", "1h", "24h", "7d", "24h_volume", "mkt_cap", "date"]


@pytest.fixture(scope="module")
def market() -> pd.DataFrame:
    """Simulate 60 coins on 6 days across the end of a month."""
    return simulate_market(coins=60, days=6, end=LAST, seed=5)[COLUMNS]


def snapshots(market: pd.DataFrame) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return the last two days, of the coins present on both."""
    days = [market[market["date"] == pd.Timestamp(LAST - dt.timedelta(days=back))].set_index("coin") for back in (0, 1)]
    both = days[0].index.intersection(days[1].index)
    return tuple({name: day.loc[both, name].to_numpy() for name in (*SCALED_COLUMNS, "24h")} for day in days)


def find_changes(now: dict[str, np.ndarray], before: dict[str, np.ndarray]) -> dict[str, ScaleChange]:
    return {change.column: change for change in find_scale_changes(now, before, factor=FACTOR)}


def reports(folder: Path, market: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the reports of all days, one file each, in order."""
    home = Home.at(folder)
    for date, rows in market.groupby("date"):
        content = rows.assign(date=rows["date"].dt.strftime("%Y-%m-%d")).to_csv(index=False)
        home.drop(file_name(date.date()), content)
    home.look()
    return home.intake.ingest(["2022-03", "2022-04"]).reports


def on_last(market: pd.DataFrame) -> np.ndarray:
    return (market["date"] == pd.Timestamp(LAST)).to_numpy()


def test_a_healthy_day_has_no_scale_change(market):
    assert find_changes(*snapshots(market)) == {}


@settings(max_examples=60)
@given(st.floats(20.0, 1e6), st.booleans(), st.sampled_from(list(SCALED_COLUMNS)))
def test_a_scaled_column_is_reported_with_its_factor(market, factor, down, column):
    now, before = snapshots(market)
    usual = np.nanmedian(now[column][before[column] > 0] / before[column][before[column] > 0])
    factor = 1.0 / factor if down else factor
    (change,) = find_changes(now | {column: now[column] * factor}, before).values()
    assert change.column == column
    assert change.factor == pytest.approx(factor * usual, rel=0.05)


@given(st.permutations(range(10)))
def test_the_order_of_the_coins_changes_no_scale(market, order):
    now, before = snapshots(market)
    now["mkt_cap"] = now["mkt_cap"] / 1e6
    positions = np.concatenate([order, np.arange(10, len(now["price"]))])
    shuffled = find_changes(
        {name: now[name][positions] for name in now}, {name: before[name][positions] for name in before}
    )
    assert shuffled == find_changes(now, before)


def test_values_scaled_to_0_and_1_are_a_change_of_scale(market):
    now, before = snapshots(market)
    for name in ("price", "24h_volume"):
        now[name] = (now[name] - np.nanmin(now[name])) / (np.nanmax(now[name]) - np.nanmin(now[name]))
    assert list(find_changes(now, before)) == ["price", "24h_volume"]


def test_logarithms_and_ranks_are_a_change_of_scale(market):
    now, before = snapshots(market)
    logs = {name: np.log1p(now[name]) for name in ("24h_volume", "mkt_cap")}
    assert list(find_changes(now | logs, before)) == ["24h_volume", "mkt_cap"]
    ranks = pd.Series(now["price"]).rank().to_numpy()
    assert list(find_changes(now | {"price": ranks}, before)) == ["price"]


def test_volumes_in_coins_are_recognized(market):
    now, before = snapshots(market)
    (change,) = find_changes(now | {"24h_volume": now["24h_volume"] / now["price"]}, before).values()
    assert (change.column, change.in_coins) == ("24h_volume", True)
    assert "stated in coins" in change.sentence


def test_values_of_other_coins_have_no_common_factor(market):
    now, before = snapshots(market)
    (change,) = find_changes(now | {"price": np.random.default_rng(1).permutation(now["price"])}, before).values()
    assert "no common factor" in change.sentence


def test_fewer_than_ten_coins_show_no_scale(market):
    now, before = ({name: values[:9] for name, values in side.items()} for side in snapshots(market))
    assert find_changes(now | {"price": now["price"] * 1e6}, before) == {}


# Report of a file


def test_the_report_states_column_factor_and_snapshot(tmp_path, market):
    rows = market.assign(mkt_cap=market["mkt_cap"].where(~on_last(market), market["mkt_cap"] / 50))
    *before, report = reports(tmp_path, rows)
    (change,) = report["scale_changes"]
    assert (change["column"], change["factor"]) == ("mkt_cap", pytest.approx(0.02, rel=0.2))
    (issue,) = [issue for issue in report["issues"] if "scale" in issue]
    assert issue.startswith("mkt_cap: market caps are")
    assert "2022-04-03" in issue
    assert report["accepted"]
    assert [other["scale_changes"] for other in before] == [[]] * len(before)
    assert report["outliers"]["count"] == 0
    assert report["reused_names"] == []


def test_the_report_lists_the_coin_with_an_outlier_volume(tmp_path, market):
    coin = market.loc[on_last(market), "coin"].iloc[3]
    chosen = on_last(market) & (market["coin"] == coin).to_numpy()
    rows = market.assign(**{"24h_volume": market["24h_volume"].where(~chosen, market["24h_volume"] * 1e6)})
    *before, report = reports(tmp_path, rows)
    assert report["outliers"]["count"] == 1
    (cell,) = report["outliers"]["cells"]
    assert (cell["coin"], cell["date"], cell["column"]) == (coin, "2022-04-04", "24h_volume")
    assert cell["value"] / cell["usual"] > 1e5
    (issue,) = [issue for issue in report["issues"] if "outlier" in issue]
    assert coin in issue
    assert report["accepted"]
    assert report["scale_changes"] == []
    assert [other["outliers"]["count"] for other in before] == [0] * len(before)


def test_the_report_lists_renamed_and_reused_names(tmp_path, market):
    names = market.loc[on_last(market) & (market["mkt_cap"] > 0) & (market["24h_volume"] > 0), "coin"].tolist()
    days_present = market.groupby("coin")["date"].nunique()
    old, reused, other = [name for name in names if days_present[name] == 6][:3]
    rows = market.copy()
    chosen = on_last(market) & (market["coin"] == old).to_numpy()
    yesterday = (market["coin"] == old) & (market["date"] == pd.Timestamp(LAST - dt.timedelta(days=1)))
    rows.loc[chosen, ["price", "mkt_cap", "24h_volume"]] = rows.loc[
        yesterday, ["price", "mkt_cap", "24h_volume"]
    ].to_numpy()
    rows.loc[chosen, ["coin", "symbol"]] = ["Brand New", "BRND"]
    swapped = on_last(market) & (market["coin"] == reused).to_numpy()
    rows.loc[swapped, "price"] *= 40.0
    rows.loc[swapped, "mkt_cap"] /= 40.0
    report = reports(tmp_path, rows)[-1]
    assert report["likely_renames"] == [{"old": old, "new": "Brand New"}]
    assert report["reused_names"] == [reused]
    assert any("Brand New" in issue and old in issue for issue in report["issues"])
    assert any(reused in issue and "another coin" in issue for issue in report["issues"])
    assert other not in " ".join(report["issues"])
