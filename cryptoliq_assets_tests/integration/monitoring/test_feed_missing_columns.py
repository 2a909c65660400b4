"""Diagnosis of a feed with empty columns, changes of zero, missing market caps or coins."""

import numpy as np
import pandas as pd
import pytest

from cryptoliq_assets.monitoring.feed.diagnosis import diagnose_feed, make_feed_findings
from cryptoliq_assets.monitoring.feed.metrics import FEED_COLUMNS, measure_feed
from cryptoliq_assets.monitoring.findings import FAIL
from cryptoliq_assets.storage import sort_rows
from cryptoliq_assets_tests.support.feed import DAY, diagnose, newest, raised
from cryptoliq_assets_tests.support.frames import raw_rows


def test_without_a_snapshot_there_is_no_diagnosis_or_finding(settings):
    assert diagnose_feed(measure_feed(sort_rows(raw_rows([{"day": 1}])[FEED_COLUMNS].head(0))), settings) is None
    assert make_feed_findings(None) == []


def emptied(rows: pd.DataFrame, columns: list[str], *, days: int = 1, with_: float = np.nan) -> pd.DataFrame:
    """Return the rows with these columns empty in the last snapshots."""
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
def test_an_empty_column_raises_only_its_own_kind_while_it_lasts(feed, settings, kind, columns, value, days):
    found = diagnose(emptied(feed, columns, days=days, with_=value), settings)
    assert raised(found) == {kind: FAIL}
    assert found[kind].since == "2025-07-31"
    assert all(
        f"no {'price' if name == 'price' else name.removeprefix('24h_')}" in found[kind].what for name in columns
    )


@pytest.mark.parametrize("columns", [["24h", "7d"], ["24h"], ["7d"]])
@pytest.mark.parametrize("days", [1, 2, 40])
def test_changes_of_zero_where_prices_moved_are_missing(feed, settings, columns, days):
    found = diagnose(emptied(feed, columns, days=days, with_=0.0), settings)
    assert raised(found) == {"changes_missing": FAIL}
    assert all(f"have a {name} of 0" in found["changes_missing"].what for name in columns)


def test_changes_of_zero_are_valid_if_no_price_moved(feed, settings):
    unchanged = feed.assign(price=feed.groupby("coin", observed=True)["price"].transform("first"), **{"24h": 0.0})
    assert "changes_missing" not in raised(diagnose(unchanged.assign(**{"7d": 0.0}), settings))


@pytest.mark.parametrize("value", [np.nan, 0.0])
def test_the_day_after_an_empty_column_is_valid_again(feed, settings, value):
    for columns in (["price"], ["24h_volume"], ["24h", "7d"]):
        rows = emptied(feed, columns, days=2, with_=value)
        rows.loc[newest(rows), columns] = feed.loc[newest(feed), columns]
        assert raised(diagnose(rows, settings)) == {}


@pytest.mark.parametrize(("share", "kinds"), [(0.03, []), (0.1, ["prices_missing"])])
def test_a_column_is_missing_if_too_many_coins_lost_it(feed, settings, share, kinds):
    rows = feed.copy()
    rows.loc[rows.index[newest(rows)][: round(share * newest(rows).sum())], "price"] = np.nan
    assert list(raised(diagnose(rows, settings))) == kinds
    tolerant = settings.with_values(feed={"max_missing_value_increase": 0.2})
    assert raised(diagnose(rows, tolerant)) == {}


def test_two_empty_columns_are_two_faults_and_1h_is_not_checked(feed, settings):
    assert set(raised(diagnose(emptied(feed, ["price", "24h_volume"]), settings))) == {
        "prices_missing",
        "volumes_missing",
    }
    assert raised(diagnose(feed.assign(**{"1h": np.nan}), settings)) == {}
    assert raised(diagnose(emptied(feed, ["1h"]), settings)) == {}


def test_changes_that_a_short_history_lacks_are_not_a_fault(feed, settings):
    first = feed["date"].min()
    without = feed.assign(**{"7d": np.nan})
    assert raised(diagnose(without[without["date"] < first + 7 * DAY], settings)) == {}
    assert raised(diagnose(without[without["date"] < first + 8 * DAY], settings)) == {"changes_missing": FAIL}


@pytest.mark.parametrize("column", ["price", "24h_volume"])
def test_an_empty_column_of_a_tiny_snapshot_is_detected(feed, settings, column):
    first = feed[feed["date"] == feed["date"].min()].assign(**{column: np.nan})
    for rows in (first, first.head(1)):
        assert list(raised(diagnose(rows, settings))) == [
            {"price": "prices_missing", "24h_volume": "volumes_missing"}[column]
        ]


def test_caps_that_became_zero_are_missing_on_both_days(feed, settings):
    for days in (1, 2):
        rows = feed.copy()
        rows.loc[rows["date"] > rows["date"].max() - days * DAY, "mkt_cap"] = 0.0
        assert raised(diagnose(rows, settings)) == {"caps_missing": FAIL}


def test_half_of_the_coins_missing_is_a_fault_on_both_days(feed, settings):
    gone = feed["coin"].isin(sorted(feed["coin"].unique())[::2])
    for days in (1, 2):
        rows = feed[~gone | (feed["date"] <= feed["date"].max() - days * DAY)]
        assert raised(diagnose(rows, settings)) == {"coins_lost": FAIL}
