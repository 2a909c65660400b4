"""Check `against_previous`: the newest snapshot of a run by the definition and limits of the monitor."""

import numpy as np
import pandas as pd
import pytest

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.monitoring.feed.diagnosis import diagnose_feed
from cryptoliq_assets.monitoring.feed.metrics import measure_feed
from cryptoliq_assets.orchestration.checks.raw import against_previous
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.frames import day, raw_rows, received
from cryptoliq_assets_tests.support.settings import make_settings

# Defaults, independent of the environment.
LIMITS = Settings.model_construct()


def market(number: int, *, coins: range = range(40), **values: object) -> list[dict]:
    """Make coins of a day, with different prices that are 1 % above those of the day before, like 24h."""
    price = 1.01**number
    return [
        {"coin": f"c{position:02}", "day": number, "price": (100.0 + position) * price, "24h_volume": 1e6 + number}
        | values
        for position in coins
    ]


def faults(rows: list[dict]) -> dict[str, str]:
    """Return the faults of the newest day with their messages."""
    diagnosis = diagnose_feed(measure_feed(raw_rows(rows)), LIMITS)
    return {kind: diagnosis.messages[kind] for kind in diagnosis.faults}


def test_two_valid_days_have_no_fault() -> None:
    assert faults(market(1) + market(2)) == {}


@pytest.mark.parametrize(
    ("coins", "expected"),
    [(36, {}), (35, {"coins_lost": "35 coins, 87.5% of the previous snapshot (at least 90% expected)"})],
)
def test_losing_over_a_tenth_of_the_coins_is_a_fault(coins: int, expected: dict[str, str]) -> None:
    assert faults(market(1) + market(2, coins=range(coins))) == expected


@pytest.mark.parametrize("empty", [np.nan, 0.0])
@pytest.mark.parametrize(
    ("column", "kind"), [("mkt_cap", "caps_missing"), ("price", "prices_missing"), ("24h_volume", "volumes_missing")]
)
def test_missing_values_are_a_fault_of_their_column_only(empty, column, kind) -> None:
    lost = market(2, coins=range(3), **{column: empty}) + market(2, coins=range(3, 40))
    assert list(faults(market(1) + lost)) == [kind]
    assert "7.5% of the coins that had" in faults(market(1) + lost)[kind]
    few = market(2, coins=range(2), **{column: empty}) + market(2, coins=range(2, 40))
    assert faults(market(1) + few) == {}


def test_many_new_coins_without_a_cap_are_a_fault() -> None:
    assert faults(market(1) + market(2) + market(2, coins=range(40, 42), mkt_cap=np.nan)) == {}
    assert list(faults(market(1) + market(2) + market(2, coins=range(40, 50), mkt_cap=np.nan))) == ["caps_missing"]


def test_a_repeated_snapshot_is_a_fault_but_idle_coins_are_not() -> None:
    repeated = [row | {"day": 2} for row in market(1)]
    assert list(faults(market(1) + repeated)) == ["feed_frozen"]
    idle = [row | {"24h_volume": 0.0} for row in market(1, coins=range(10))]
    traded = market(1, coins=range(10, 40)) + market(2, coins=range(10, 40))
    assert faults(idle + [row | {"day": 2} for row in idle] + traded) == {}


def test_a_snapshot_over_a_week_old_is_not_compared() -> None:
    metrics = measure_feed(raw_rows(market(1) + market(9, coins=range(2))))
    assert np.isnan(metrics["coins_kept"].iloc[-1])
    assert measure_feed(raw_rows(market(1) + market(8, coins=range(2))))["coins_kept"].iloc[-1] == 0.05


def test_the_check_compares_the_newest_day_across_month_ends(tmp_path):
    settings = make_settings(home_dir=tmp_path)
    store = TableStore(settings)
    frame = received(raw_rows(market(31) + market(32, coins=range(20))))
    store.write("raw_snapshots", frame, ["2025-03", "2025-04"])
    result = against_previous(settings, store, ["2025-04"])
    assert not result.passed
    assert result.description == "20 coins, 50.0% of the previous snapshot (at least 90% expected)"
    assert (result.metadata["date"], result.metadata["previous"]) == (str(day(32).date()), str(day(31).date()))
    assert result.metadata["coins_missing"] == [f"c{position:02}" for position in range(20, 40)]
    assert against_previous(settings, store, ["2025-03"]).passed
    assert against_previous(settings, store, []).passed
    loose = settings.with_values(feed={"min_coin_retention": 0.4})
    assert against_previous(loose, store, ["2025-04"]).passed


def test_the_check_agrees_with_the_monitor(tmp_path):
    settings = make_settings(home_dir=tmp_path)
    store = TableStore(settings)
    valid = market(1) + market(2)
    invalid = [
        market(3),
        market(3, price=np.nan),
        market(3, **{"24h_volume": 0.0}),
        market(3, mkt_cap=0.0),
        market(3, coins=range(30)),
        [row | {"day": 3} for row in market(2)],
    ]
    for newest in invalid:
        rows = raw_rows(valid + newest)
        store.write("raw_snapshots", received(rows), ["2025-03"])
        diagnosis = diagnose_feed(measure_feed(rows), settings)
        assert diagnosis.date == pd.Timestamp(day(3)).date()
        assert against_previous(settings, store, ["2025-03"]).passed == (not diagnosis.faults)
