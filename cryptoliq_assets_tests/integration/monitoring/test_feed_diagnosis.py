"""Fault or market: vital signs of snapshots by hand, and each fault called what it is."""

import datetime as dt
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.ingestion.quality.scale_changes import SCALED_COLUMNS
from cryptoliq_assets.monitoring.feed.diagnosis import (
    FEED_FAULT_KINDS,
    FEED_KINDS,
    diagnose_feed,
    make_feed_findings,
)
from cryptoliq_assets.monitoring.feed.metrics import FEED_COLUMNS, measure_feed
from cryptoliq_assets.monitoring.findings import FAIL, OK, WARN, Finding
from cryptoliq_assets.simulation.market import simulate_market
from cryptoliq_assets.storage import sort_rows
from cryptoliq_assets_tests.support.frames import day, raw_rows
from cryptoliq_assets_tests.support.paths import ROOT
from cryptoliq_assets_tests.support.settings import make_settings

DAY = pd.Timedelta(days=1)


@pytest.fixture(scope="module")
def market() -> pd.DataFrame:
    """60 coins on 90 days up to 31 July 2025, none of which raises anything at its end."""
    return simulate_market(coins=60, days=90, end=dt.date(2025, 7, 31), seed=3)


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> Settings:
    return make_settings(home_dir=tmp_path_factory.mktemp("home"))


def look(rows: pd.DataFrame, settings: Settings, **said) -> dict[str, Finding]:
    """The findings of the newest snapshot, by kind."""
    signs = measure_feed(sort_rows(rows[FEED_COLUMNS].reset_index(drop=True)))
    return {finding.kind: finding for finding in make_feed_findings(diagnose_feed(signs, settings, **said))}


def raised(found: dict[str, Finding]) -> dict[str, str]:
    return {kind: finding.level for kind, finding in found.items() if finding.level != OK}


def newest(rows: pd.DataFrame) -> pd.Series:
    return rows["date"] == rows["date"].max()


def of_day_before(rows: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """The columns of the newest snapshot's rows as the same coins had them the day before."""
    then = rows[rows["date"] == rows["date"].max() - DAY].set_index("coin")[columns]
    return then.reindex(rows.loc[newest(rows), "coin"])


def test_a_healthy_feed_is_ok_with_values_for_every_kind(market, settings):
    found = look(market, settings)
    assert list(found) == list(FEED_KINDS)
    assert raised(found) == {}
    assert found["feed_frozen"].figures == {"frozen_share": 0.0}
    assert found["unit_switched"].figures["slope"] == pytest.approx(1.0, abs=0.01)
    assert found["clock_off"].figures["fit_24h"] > 0.99
    assert all(finding.where == "raw_snapshots" and finding.since is None for finding in found.values())


def test_without_a_snapshot_there_is_no_diagnosis_or_finding(settings):
    assert diagnose_feed(measure_feed(sort_rows(raw_rows([{"day": 1}])[FEED_COLUMNS].head(0))), settings) is None
    assert make_feed_findings(None) == []


def emptied(rows: pd.DataFrame, columns: list[str], *, days: int = 1, with_: float = np.nan) -> pd.DataFrame:
    """The rows with these columns empty in the last snapshots."""
    return rows.assign(
        **{name: rows[name].where(rows["date"] <= rows["date"].max() - days * DAY, with_) for name in columns}
    )


@pytest.mark.parametrize(
    ("kind", "columns", "value"),
    [
        ("prices_missing", ["price"], np.nan),
        ("prices_missing", ["price"], 0.0),
        ("volumes_missing", ["24h_volume"], np.nan),
        ("volumes_missing", ["24h_volume"], 0.0),
        ("changes_missing", ["24h", "7d"], np.nan),
        ("changes_missing", ["24h"], np.nan),
        ("changes_missing", ["7d"], np.nan),
    ],
)
@pytest.mark.parametrize("days", [1, 2, 40])
def test_an_empty_column_raises_only_its_own_kind_while_it_lasts(market, settings, kind, columns, value, days):
    found = look(emptied(market, columns, days=days, with_=value), settings)
    assert raised(found) == {kind: FAIL}
    assert found[kind].since == "2025-07-31"
    assert all(
        f"no {'price' if name == 'price' else name.removeprefix('24h_')}" in found[kind].what for name in columns
    )


@pytest.mark.parametrize("columns", [["24h", "7d"], ["24h"], ["7d"]])
@pytest.mark.parametrize("days", [1, 2, 40])
def test_changes_of_zero_where_prices_moved_are_missing(market, settings, columns, days):
    found = look(emptied(market, columns, days=days, with_=0.0), settings)
    assert raised(found) == {"changes_missing": FAIL}
    assert all(f"have a {name} of 0" in found["changes_missing"].what for name in columns)


def test_changes_of_zero_are_valid_if_no_price_moved(market, settings):
    still = market.assign(price=market.groupby("coin", observed=True)["price"].transform("first"), **{"24h": 0.0})
    assert "changes_missing" not in raised(look(still.assign(**{"7d": 0.0}), settings))


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_the_day_after_an_empty_column_is_valid_again(market, settings, value):
    for columns in (["price"], ["24h_volume"], ["24h", "7d"]):
        rows = emptied(market, columns, days=2, with_=value)
        rows.loc[newest(rows), columns] = market.loc[newest(market), columns]
        assert raised(look(rows, settings)) == {}


@pytest.mark.parametrize(("share", "kinds"), [(0.03, []), (0.1, ["prices_missing"])])
def test_a_column_is_missing_if_too_many_coins_lost_it(market, settings, share, kinds):
    rows = market.copy()
    rows.loc[rows.index[newest(rows)][: round(share * newest(rows).sum())], "price"] = np.nan
    assert list(raised(look(rows, settings))) == kinds
    tolerant = settings.with_values(feed={"max_missing_value_increase": 0.2})
    assert raised(look(rows, tolerant)) == {}


def test_two_empty_columns_are_two_faults_and_1h_is_not_checked(market, settings):
    assert set(raised(look(emptied(market, ["price", "24h_volume"]), settings))) == {
        "prices_missing",
        "volumes_missing",
    }
    assert raised(look(market.assign(**{"1h": np.nan}), settings)) == {}
    assert raised(look(emptied(market, ["1h"]), settings)) == {}


def test_changes_that_a_short_history_lacks_are_not_a_fault(market, settings):
    first = market["date"].min()
    without = market.assign(**{"7d": np.nan})
    assert raised(look(without[without["date"] < first + 7 * DAY], settings)) == {}
    assert raised(look(without[without["date"] < first + 8 * DAY], settings)) == {"changes_missing": FAIL}


@pytest.mark.parametrize("column", ["price", "24h_volume"])
def test_an_empty_column_of_a_tiny_snapshot_is_detected(market, settings, column):
    first = market[market["date"] == market["date"].min()].assign(**{column: np.nan})
    for rows in (first, first.head(1)):
        assert list(raised(look(rows, settings))) == [
            {"price": "prices_missing", "24h_volume": "volumes_missing"}[column]
        ]


def test_a_first_snapshot_raises_nothing(market, settings):
    first = market[market["date"] == market["date"].min()]
    assert raised(look(first, settings)) == {}


def test_a_repeated_snapshot_is_frozen_and_nothing_else(market, settings):
    repeated = market[market["date"] == market["date"].max() - DAY].assign(date=market["date"].max())
    found = look(pd.concat([market[~newest(market)], repeated]), settings)
    assert raised(found) == {"feed_frozen": FAIL}
    assert found["feed_frozen"].since == "2025-07-31"
    assert found["feed_frozen"].figures["frozen_share"] > 0.9


@pytest.mark.parametrize(("share", "levels"), [(0.05, {}), (0.2, {"feed_frozen": FAIL})])
def test_5_percent_of_coins_may_repeat_but_20_percent_may_not(market, settings, share, levels):
    rows, columns = market.copy(), ["price", "24h_volume"]
    there = of_day_before(rows, columns)
    chosen = rows.index[newest(rows)][: round(share * newest(rows).sum())]
    rows.loc[chosen, columns] = there[: len(chosen)].to_numpy()
    assert {kind: level for kind, level in raised(look(rows, settings)).items() if kind == "feed_frozen"} == levels


def test_coins_that_nobody_trades_are_not_frozen():
    rows = raw_rows([{"coin": f"C{n}", "day": d, "24h_volume": 0.0} for n in range(30) for d in (1, 2)])
    assert measure_feed(rows[FEED_COLUMNS])["frozen"].iloc[-1] == 0.0


def test_a_converted_file_in_another_unit_is_a_warning(market, settings):
    days = [date.date() for date in sorted(market["date"].unique())]
    units = dict.fromkeys(days, "percent") | {days[-1]: "fraction"}
    found = look(market, settings, units=units)
    assert raised(found) == {"unit_switched": WARN}
    assert found["unit_switched"].figures["unit_before"] == "percent"
    # Once most of the last seven files have the new unit it is the feed's.
    units |= dict.fromkeys(days[-5:], "fraction")
    assert raised(look(market, settings, units=units)) == {}


@pytest.mark.parametrize("factor", [0.01, 100.0])
def test_changes_read_in_the_wrong_unit_fail_by_their_slope(market, settings, factor):
    rows = market.copy()
    rows.loc[newest(rows), ["24h", "7d"]] *= factor
    assert raised(look(rows, settings)) == {"unit_switched": FAIL}


@pytest.mark.parametrize("factor", [1 / 5, 5.0, 20.0, 0.001])
def test_changes_that_fit_nothing_contradict_the_prices(market, settings, factor):
    rows = market.copy()
    rows.loc[newest(rows), ["24h", "7d"]] *= factor
    assert raised(look(rows, settings)) == {"changes_contradict": FAIL}


@pytest.mark.parametrize("column", list(SCALED_COLUMNS))
@pytest.mark.parametrize("factor", [1e-6, 25.0])
def test_a_rescaled_column_is_one_alert_until_it_returns(market, settings, column, factor):
    last = market["date"].max()
    for ago in range(10):
        rows = market.assign(
            **{column: market[column].where(market["date"] < last - ago * DAY, market[column] * factor)}
        )
        found = look(rows, settings)
        if ago < 7:
            assert raised(found) == {"scale_changed": FAIL}, ago
            assert column in found["scale_changed"].what
            assert f"those before {last - ago * DAY:%Y-%m-%d}" in found["scale_changed"].what
        else:
            assert raised(found) == {}, ago
    assert found["scale_changed"].figures[f"{column}_factor"] == pytest.approx(1.0, rel=0.5)


@pytest.mark.parametrize("column", list(SCALED_COLUMNS))
def test_a_column_that_returned_to_its_scale_raises_nothing(market, settings, column):
    last = market["date"].max()
    for ago in range(1, 9):
        on_day = market["date"] == last - ago * DAY
        rows = market.assign(**{column: market[column].where(~on_day, market[column] * 1e5)})
        assert raised(look(rows, settings)) == {}, ago


def test_columns_without_a_common_factor_are_a_change_of_scale(market, settings):
    rows = market.copy()
    rows.loc[newest(rows), "24h_volume"] /= rows.loc[newest(rows), "price"]
    found = look(rows, settings)
    assert raised(found) == {"scale_changed": FAIL}
    for name in ("price", "24h_volume"):
        values = market.loc[newest(market), name]
        rows.loc[newest(rows), name] = (values - values.min()) / (values.max() - values.min())
    found = look(rows, settings)
    assert raised(found) == {"scale_changed": FAIL}
    assert "price" in found["scale_changed"].what
    assert "24h_volume" in found["scale_changed"].what


def test_caps_that_became_zero_are_missing_on_both_days(market, settings):
    for days in (1, 2):
        rows = market.copy()
        rows.loc[rows["date"] > rows["date"].max() - days * DAY, "mkt_cap"] = 0.0
        assert raised(look(rows, settings)) == {"caps_missing": FAIL}


def test_half_of_the_coins_missing_is_a_fault_on_both_days(market, settings):
    gone = market["coin"].isin(sorted(market["coin"].unique())[::2])
    for days in (1, 2):
        rows = market[~gone | (market["date"] <= market["date"].max() - days * DAY)]
        assert raised(look(rows, settings)) == {"coins_lost": FAIL}


def test_changes_of_the_previous_day_are_a_clock_shift(market, settings):
    rows = market.copy()
    rows.loc[newest(rows), ["24h", "7d"]] = of_day_before(rows, ["24h", "7d"]).to_numpy()
    found = look(rows, settings)
    assert raised(found) == {"clock_off": FAIL}
    assert "24h column is that of the previous day" in found["clock_off"].what


def test_prices_of_the_previous_day_are_a_clock_shift(market, settings):
    columns = ["price", "24h_volume", "mkt_cap"]
    rows, late = market.copy(), market.copy()
    for back in (1, 0):
        date = rows["date"].max() - back * DAY
        then = rows[rows["date"] == date - DAY].set_index("coin")[columns]
        late.loc[late["date"] == date, columns] = then.reindex(rows.loc[rows["date"] == date, "coin"]).to_numpy()
    assert raised(look(late, settings)) == {"clock_off": FAIL}


def test_a_snapshot_dated_tomorrow_is_a_timestamp_mismatch(market, settings):
    last = market["date"].max()
    rows = pd.concat([market[market["date"] < last - DAY], market[newest(market)].assign(date=last - DAY)])
    found = look(rows, settings)
    assert raised(found) == {"clock_off": FAIL}
    assert "a day ahead" in found["clock_off"].what


def test_the_day_after_a_frozen_one_is_valid_again(market, settings):
    before = market["date"].max() - DAY
    repeated = market[market["date"] == before - DAY].assign(date=before)
    rows = pd.concat([market[market["date"] != before], repeated])
    assert raised(look(rows, settings)) == {}


def volumes_down(market: pd.DataFrame, days: int, factor: float) -> pd.DataFrame:
    there = market["date"] > market["date"].max() - days * DAY
    return market.assign(**{"24h_volume": market["24h_volume"].where(~there, market["24h_volume"] * factor)})


def test_a_volume_step_needs_two_snapshots_and_nothing_else(market, settings):
    assert raised(look(volumes_down(market, 2, 0.5), settings)) == {"volume_step": WARN}
    assert raised(look(volumes_down(market, 1, 0.5), settings)) == {}


def crashed(market: pd.DataFrame, days_ago: int = 0, *, left: float = 0.65) -> pd.DataFrame:
    """All prices fell at once, and three times as much was traded that day."""
    date = market["date"].max() - days_ago * DAY
    after, then = market["date"] >= date, market["date"] == date
    week = after & (market["date"] < date + 7 * DAY)
    return market.assign(
        **{name: market[name].where(~after, market[name] * left) for name in ("price", "mkt_cap")},
        **{"24h_volume": market["24h_volume"].where(~then, market["24h_volume"] * 3.0)},
        **{"24h": market["24h"].where(~then, (100.0 + market["24h"]) * left - 100.0)},
        **{"7d": market["7d"].where(~week, (100.0 + market["7d"]) * left - 100.0)},
    )


def test_a_market_crash_is_no_feed_fault(market, settings):
    found = look(crashed(market), settings)
    assert raised(found) == {"market_move": WARN}
    assert found["market_move"].figures["price_z"] < -5.0
    assert found["market_move"].figures["volatility_z"] > 5.0


@pytest.mark.parametrize("days_ago", [1, 2])
def test_volumes_that_fall_back_after_a_crash_are_no_step(market, settings, days_ago):
    assert "volume_step" not in raised(look(crashed(market, days_ago), settings))
    assert not set(raised(look(crashed(market, days_ago), settings))) & set(FEED_FAULT_KINDS)


def test_a_fault_hides_no_other_that_it_does_not_explain(market, settings):
    rows = market.copy()
    rows.loc[newest(rows), "mkt_cap"] = 0.0
    kept = rows[~newest(rows) | ~rows["coin"].isin(sorted(rows["coin"].unique())[::2])]
    assert raised(look(kept, settings)) == {"coins_lost": FAIL, "caps_missing": FAIL}


def test_a_gap_of_days_compares_with_the_snapshot_before_it(market, settings):
    rows = market[~market["date"].isin([market["date"].max() - n * DAY for n in (1, 2)])]
    found = look(rows, settings)
    assert raised(found) == {}
    assert found["unit_switched"].figures["slope"] is None
    assert found["coins_lost"].figures["of_snapshot_before"] > 0.9


def test_thresholds_are_settings(market, tmp_path):
    assert "coins_lost" in raised(look(market, make_settings(home_dir=tmp_path, feed__min_coin_retention=0.999)))
    assert "market_move" in raised(look(market, make_settings(home_dir=tmp_path, feed__market_move_z=0.01)))


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
    signs = measure_feed(frame).loc[day(3)]
    assert signs["coins"] == 12
    assert signs["coins_kept"] == 1.0
    assert signs["caps_lost"] == signs["caps_missing"] == pytest.approx(1 / 12)
    assert signs["slope"] == pytest.approx(1.0)
    assert signs["fit_24h"] == pytest.approx(1.0)
    assert signs["price"] == pytest.approx(np.log(1.1))
    assert signs["volume"] == pytest.approx(np.log(150.0 / 100.0))
    assert signs["volatility"] == pytest.approx(np.log(np.log(1.1)))
    assert np.isnan(signs["fit_7d"])


@pytest.mark.realdata
def test_no_real_day_of_2021_is_a_feed_fault(real_data, settings):
    panel = pd.read_parquet(real_data / "coingecko_daily_2021.parquet").rename(columns={"volume_24h": "24h_volume"})
    panel = panel[panel["price"] > 0]
    signs = measure_feed(
        sort_rows(panel.assign(**{"24h": panel["24h"] * 100.0, "7d": panel["7d"] * 100.0})[FEED_COLUMNS])
    )
    verdicts = [diagnose_feed(signs.iloc[: place + 1], settings) for place in range(0, len(signs), 3)]
    assert [(verdict.date, verdict.faults) for verdict in verdicts if verdict.faults] == []
    assert signs["frozen"].max() == pytest.approx(0.0223, abs=0.0001)
    # The crash of 19 May, stamped at the end of the day, is a move.
    (crash,) = np.flatnonzero(signs.index == "2021-05-20")
    assert diagnose_feed(signs.iloc[: crash + 1], settings).raised_kinds == ["market_move"]


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
    assert "all on the diagonal" in done.stdout
