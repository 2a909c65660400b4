"""Diagnosis of a feed: each fault is detected as its own kind, and healthy snapshots raise nothing."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from cryptoliq_assets.ingestion.quality.scale_changes import SCALED_COLUMNS
from cryptoliq_assets.monitoring.feed.diagnosis import FEED_KINDS, diagnose_feed
from cryptoliq_assets.monitoring.feed.metrics import FEED_COLUMNS, measure_feed
from cryptoliq_assets.monitoring.findings import FAIL, WARN
from cryptoliq_assets.storage import sort_rows
from cryptoliq_assets_tests.support.feed import DAY, diagnose, newest, previous_values, raised
from cryptoliq_assets_tests.support.frames import day, raw_rows
from cryptoliq_assets_tests.support.paths import ROOT
from cryptoliq_assets_tests.support.settings import make_settings


def test_a_healthy_feed_is_ok_with_values_for_every_kind(feed, settings):
    found = diagnose(feed, settings)
    assert list(found) == list(FEED_KINDS)
    assert raised(found) == {}
    assert found["feed_frozen"].figures == {"frozen_share": 0.0}
    assert found["unit_switched"].figures["slope"] == pytest.approx(1.0, abs=0.01)
    assert found["clock_off"].figures["fit_24h"] > 0.99
    assert all(finding.where == "raw_snapshots" and finding.since is None for finding in found.values())


def test_a_first_snapshot_raises_nothing(feed, settings):
    first = feed[feed["date"] == feed["date"].min()]
    assert raised(diagnose(first, settings)) == {}


def test_a_repeated_snapshot_is_frozen_and_nothing_else(feed, settings):
    repeated = feed[feed["date"] == feed["date"].max() - DAY].assign(date=feed["date"].max())
    found = diagnose(pd.concat([feed[~newest(feed)], repeated]), settings)
    assert raised(found) == {"feed_frozen": FAIL}
    assert found["feed_frozen"].since == "2025-07-31"
    assert found["feed_frozen"].figures["frozen_share"] > 0.9


@pytest.mark.parametrize(("share", "levels"), [(0.05, {}), (0.2, {"feed_frozen": FAIL})])
def test_5_percent_of_coins_may_repeat_but_20_percent_may_not(feed, settings, share, levels):
    rows, columns = feed.copy(), ["price", "24h_volume"]
    previous = previous_values(rows, columns)
    chosen = rows.index[newest(rows)][: round(share * newest(rows).sum())]
    rows.loc[chosen, columns] = previous[: len(chosen)].to_numpy()
    assert {kind: level for kind, level in raised(diagnose(rows, settings)).items() if kind == "feed_frozen"} == levels


def test_coins_without_trades_are_not_frozen():
    rows = raw_rows([{"coin": f"C{n}", "day": d, "24h_volume": 0.0} for n in range(30) for d in (1, 2)])
    assert measure_feed(rows[FEED_COLUMNS])["frozen"].iloc[-1] == 0.0


def test_a_converted_file_in_another_unit_is_a_warning(feed, settings):
    days = [date.date() for date in sorted(feed["date"].unique())]
    units = dict.fromkeys(days, "percent") | {days[-1]: "fraction"}
    found = diagnose(feed, settings, units=units)
    assert raised(found) == {"unit_switched": WARN}
    assert found["unit_switched"].figures["unit_before"] == "percent"
    # Once most of the last seven files have the new unit, it is the unit of the feed.
    units |= dict.fromkeys(days[-5:], "fraction")
    assert raised(diagnose(feed, settings, units=units)) == {}


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_changes_read_in_the_wrong_unit_fail_by_their_slope(feed, settings, factor):
    rows = feed.copy()
    rows.loc[newest(rows), ["24h", "7d"]] *= factor
    assert raised(diagnose(rows, settings)) == {"unit_switched": FAIL}


@pytest.mark.parametrize("factor", [1 / 5, 5.0, 20.0, 0.001])
def test_changes_that_fit_nothing_contradict_the_prices(feed, settings, factor):
    rows = feed.copy()
    rows.loc[newest(rows), ["24h", "7d"]] *= factor
    assert raised(diagnose(rows, settings)) == {"changes_contradict": FAIL}


@pytest.mark.parametrize("column", list(SCALED_COLUMNS))
@pytest.mark.parametrize("factor", [1e-6, 25.0])
def test_a_rescaled_column_is_one_alert_until_it_returns(feed, settings, column, factor):
    last = feed["date"].max()
    for ago in range(10):
        rows = feed.assign(**{column: feed[column].where(feed["date"] < last - ago * DAY, feed[column] * factor)})
        found = diagnose(rows, settings)
        if ago < 7:
            assert raised(found) == {"scale_changed": FAIL}, ago
            assert column in found["scale_changed"].what
            assert f"those before {last - ago * DAY:%Y-%m-%d}" in found["scale_changed"].what
        else:
            assert raised(found) == {}, ago
    assert found["scale_changed"].figures[f"{column}_factor"] == pytest.approx(1.0, rel=0.5)


@pytest.mark.parametrize("column", list(SCALED_COLUMNS))
def test_a_column_that_returned_to_its_scale_raises_nothing(feed, settings, column):
    last = feed["date"].max()
    for ago in range(1, 9):
        on_day = feed["date"] == last - ago * DAY
        rows = feed.assign(**{column: feed[column].where(~on_day, feed[column] * 1e5)})
        assert raised(diagnose(rows, settings)) == {}, ago


def test_columns_without_a_common_factor_are_a_change_of_scale(feed, settings):
    rows = feed.copy()
    rows.loc[newest(rows), "24h_volume"] /= rows.loc[newest(rows), "price"]
    found = diagnose(rows, settings)
    assert raised(found) == {"scale_changed": FAIL}
    for name in ("price", "24h_volume"):
        values = feed.loc[newest(feed), name]
        rows.loc[newest(rows), name] = (values - values.min()) / (values.max() - values.min())
    found = diagnose(rows, settings)
    assert raised(found) == {"scale_changed": FAIL}
    assert "price" in found["scale_changed"].what
    assert "24h_volume" in found["scale_changed"].what


def test_changes_of_the_previous_day_are_a_clock_shift(feed, settings):
    rows = feed.copy()
    rows.loc[newest(rows), ["24h", "7d"]] = previous_values(rows, ["24h", "7d"]).to_numpy()
    found = diagnose(rows, settings)
    assert raised(found) == {"clock_off": FAIL}
    assert "24h column is that of the previous day" in found["clock_off"].what


def test_prices_of_the_previous_day_are_a_clock_shift(feed, settings):
    columns = ["price", "24h_volume", "mkt_cap"]
    rows, late = feed.copy(), feed.copy()
    for back in (1, 0):
        date = rows["date"].max() - back * DAY
        previous = rows[rows["date"] == date - DAY].set_index("coin")[columns]
        late.loc[late["date"] == date, columns] = previous.reindex(rows.loc[rows["date"] == date, "coin"]).to_numpy()
    assert raised(diagnose(late, settings)) == {"clock_off": FAIL}


def test_a_snapshot_dated_tomorrow_is_a_timestamp_mismatch(feed, settings):
    last = feed["date"].max()
    rows = pd.concat([feed[feed["date"] < last - DAY], feed[newest(feed)].assign(date=last - DAY)])
    found = diagnose(rows, settings)
    assert raised(found) == {"clock_off": FAIL}
    assert "a day ahead" in found["clock_off"].what


def test_the_day_after_a_frozen_one_is_valid_again(feed, settings):
    before = feed["date"].max() - DAY
    repeated = feed[feed["date"] == before - DAY].assign(date=before)
    rows = pd.concat([feed[feed["date"] != before], repeated])
    assert raised(diagnose(rows, settings)) == {}


def test_a_fault_hides_no_other_that_it_does_not_explain(feed, settings):
    rows = feed.copy()
    rows.loc[newest(rows), "mkt_cap"] = 0.0
    remaining = rows[~newest(rows) | ~rows["coin"].isin(sorted(rows["coin"].unique())[::2])]
    assert raised(diagnose(remaining, settings)) == {"coins_lost": FAIL, "caps_missing": FAIL}


def test_a_gap_of_days_compares_with_the_snapshot_before_it(feed, settings):
    rows = feed[~feed["date"].isin([feed["date"].max() - n * DAY for n in (1, 2)])]
    found = diagnose(rows, settings)
    assert raised(found) == {}
    assert found["unit_switched"].figures["slope"] is None
    assert found["coins_lost"].figures["of_snapshot_before"] > 0.9


def test_thresholds_are_settings(feed, tmp_path):
    assert "coins_lost" in raised(diagnose(feed, make_settings(home_dir=tmp_path, feed__min_coin_retention=0.999)))
    assert "market_move" in raised(diagnose(feed, make_settings(home_dir=tmp_path, feed__market_move_z=0.01)))


def test_feed_metrics_equal_a_calculation_by_hand():
    rows = [
        {
            "coin": f"C{n:02}",
            "day": d,
            "price": 100.0 * 1.1 ** (d - 1),
            "24h": 10.0,
            "7d": np.nan,
            "24h_volume": 50.0 * d,
        }
        for n in range(12)
        for d in (1, 2, 3)
    ]
    frame = raw_rows(rows)[FEED_COLUMNS]
    frame.loc[(frame["coin"] == "C00") & (frame["date"] == day(3)), "mkt_cap"] = 0.0
    metrics = measure_feed(frame).loc[day(3)]
    assert metrics["coins"] == 12
    assert metrics["coins_kept"] == 1.0
    assert metrics["caps_lost"] == metrics["caps_missing"] == pytest.approx(1 / 12)
    assert metrics["slope"] == pytest.approx(1.0)
    assert metrics["fit_24h"] == pytest.approx(1.0)
    assert metrics["price"] == pytest.approx(np.log(1.1))
    assert metrics["volume"] == pytest.approx(np.log(150.0 / 100.0))
    assert metrics["volatility"] == pytest.approx(np.log(np.log(1.1)))
    assert np.isnan(metrics["fit_7d"])


@pytest.mark.realdata
def test_no_real_day_of_2021_is_a_feed_fault(real_data, settings):
    panel = pd.read_parquet(real_data / "coingecko_daily_2021.parquet").rename(columns={"volume_24h": "24h_volume"})
    panel = panel[panel["price"] > 0]
    metrics = measure_feed(
        sort_rows(panel.assign(**{"24h": panel["24h"] * 100.0, "7d": panel["7d"] * 100.0})[FEED_COLUMNS])
    )
    diagnoses = [diagnose_feed(metrics.iloc[: position + 1], settings) for position in range(0, len(metrics), 3)]
    assert [(diagnosis.date, diagnosis.faults) for diagnosis in diagnoses if diagnosis.faults] == []
    assert metrics["frozen"].max() == pytest.approx(0.0223, abs=0.0001)
    # The crash of 19 May, whose snapshot is dated the next day, is a market move.
    (crash,) = np.flatnonzero(metrics.index == "2021-05-20")
    assert diagnose_feed(metrics.iloc[: crash + 1], settings).raised_kinds == ["market_move"]


def test_each_simulated_fault_is_detected_as_its_own_kind(tmp_path):
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "faults.py"), "--without-files", "--coins", "80", "--days", "2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "everything is on the diagonal" in done.stdout
