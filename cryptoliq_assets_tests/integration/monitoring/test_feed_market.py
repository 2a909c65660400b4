"""Market moves in a feed: crashes and volume steps are no feed faults."""

import pandas as pd
import pytest

from cryptoliq_assets.monitoring.feed.diagnosis import FEED_FAULT_KINDS
from cryptoliq_assets.monitoring.findings import WARN
from cryptoliq_assets_tests.support.feed import DAY, diagnose, raised


def volumes_down(feed: pd.DataFrame, days: int, factor: float) -> pd.DataFrame:
    affected = feed["date"] > feed["date"].max() - days * DAY
    return feed.assign(**{"24h_volume": feed["24h_volume"].where(~affected, feed["24h_volume"] * factor)})


def test_a_volume_step_needs_two_snapshots_and_nothing_else(feed, settings):
    assert raised(diagnose(volumes_down(feed, 2, 0.5), settings)) == {"volume_step": WARN}
    assert raised(diagnose(volumes_down(feed, 1, 0.5), settings)) == {}


def crashed(feed: pd.DataFrame, days_ago: int = 0, *, factor: float = 0.65) -> pd.DataFrame:
    """Return rows in which all prices fall on one day, with three times the volume of that day."""
    date = feed["date"].max() - days_ago * DAY
    after, on_day = feed["date"] >= date, feed["date"] == date
    week = after & (feed["date"] < date + 7 * DAY)
    return feed.assign(
        **{name: feed[name].where(~after, feed[name] * factor) for name in ("price", "mkt_cap")},
        **{"24h_volume": feed["24h_volume"].where(~on_day, feed["24h_volume"] * 3.0)},
        **{"24h": feed["24h"].where(~on_day, (100.0 + feed["24h"]) * factor - 100.0)},
        **{"7d": feed["7d"].where(~week, (100.0 + feed["7d"]) * factor - 100.0)},
    )


def test_a_market_crash_is_no_feed_fault(feed, settings):
    found = diagnose(crashed(feed), settings)
    assert raised(found) == {"market_move": WARN}
    assert found["market_move"].figures["price_z"] < -5.0
    assert found["market_move"].figures["volatility_z"] > 5.0


@pytest.mark.parametrize("days_ago", [1, 2])
def test_volumes_that_fall_back_after_a_crash_are_no_step(feed, settings, days_ago):
    assert "volume_step" not in raised(diagnose(crashed(feed, days_ago), settings))
    assert not set(raised(diagnose(crashed(feed, days_ago), settings))) & set(FEED_FAULT_KINDS)
