"""The check `against_previous`: the newest snapshot of a run by the monitor's own definition and limits."""

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

# As they are without a word in the environment.
LIMITS = Settings.model_construct()


def market(number: int, *, coins: range = range(40), **said: object) -> list[dict]:
    """Coins on a day, each price its own and 1 % above that of the day before, as 24h says."""
    price = 1.01**number
    return [
        {"coin": f"c{place:02}", "day": number, "price": (100.0 + place) * price, "24h_volume": 1e6 + number} | said
        for place in coins
    ]


def faults(rows: list[dict]) -> dict[str, str]:
    """Faults of the newest day, with what is said of each."""
    verdict = diagnose_feed(measure_feed(raw_rows(rows)), LIMITS)
    return {kind: verdict.messages[kind] for kind in verdict.faults}


def test_two_valid_days_have_no_fault() -> None:
    assert faults(market(1) + market(2)) == {}


@pytest.mark.parametrize(
    ("left", "said"),
    [(36, {}), (35, {"coins_lost": "35 coins, 87.5% of the previous snapshot (at least 90% expected)"})],
)
def test_losing_over_a_tenth_of_the_coins_is_a_fault(left: int, said: dict[str, str]) -> None:
    assert faults(market(1) + market(2, coins=range(left))) == said


@pytest.mark.parametrize("nothing", [np.nan, 0.0])
@pytest.mark.parametrize(
    ("column", "kind"), [("mkt_cap", "caps_missing"), ("price", "prices_missing"), ("24h_volume", "volumes_missing")]
)
def test_missing_values_are_a_fault_of_their_column_only(nothing, column, kind) -> None:
    lost = market(2, coins=range(3), **{column: nothing}) + market(2, coins=range(3, 40))
    assert list(faults(market(1) + lost)) == [kind]
    assert "7.5% of the coins that had" in faults(market(1) + lost)[kind]
    few = market(2, coins=range(2), **{column: nothing}) + market(2, coins=range(2, 40))
    assert faults(market(1) + few) == {}


def test_many_new_coins_without_a_cap_are_a_fault() -> None:
    assert faults(market(1) + market(2) + market(2, coins=range(40, 42), mkt_cap=np.nan)) == {}
    assert list(faults(market(1) + market(2) + market(2, coins=range(40, 50), mkt_cap=np.nan))) == ["caps_missing"]


def test_a_repeated_snapshot_is_a_fault_but_idle_coins_are_not() -> None:
    repeated = [row | {"day": 2} for row in market(1)]
    assert list(faults(market(1) + repeated)) == ["feed_frozen"]
    still = [row | {"24h_volume": 0.0} for row in market(1, coins=range(10))]
    moving = market(1, coins=range(10, 40)) + market(2, coins=range(10, 40))
    assert faults(still + [row | {"day": 2} for row in still] + moving) == {}


def test_a_snapshot_over_a_week_old_is_not_compared() -> None:
    signs = measure_feed(raw_rows(market(1) + market(9, coins=range(2))))
    assert np.isnan(signs["coins_kept"].iloc[-1])
    assert measure_feed(raw_rows(market(1) + market(8, coins=range(2))))["coins_kept"].iloc[-1] == 0.05


def test_the_check_compares_the_newest_day_across_month_ends(tmp_path):
    settings = make_settings(home_dir=tmp_path)
    store = TableStore(settings)
    frame = received(raw_rows(market(31) + market(32, coins=range(20))))
    store.write("raw_snapshots", frame, ["2025-03", "2025-04"])
    found = against_previous(settings, store, ["2025-04"])
    assert not found.passed
    assert found.description == "20 coins, 50.0% of the previous snapshot (at least 90% expected)"
    assert (found.metadata["date"], found.metadata["previous"]) == (str(day(32).date()), str(day(31).date()))
    assert found.metadata["coins_missing"] == [f"c{place:02}" for place in range(20, 40)]
    assert against_previous(settings, store, ["2025-03"]).passed
    assert against_previous(settings, store, []).passed
    loose = settings.with_values(feed={"min_coin_retention": 0.4})
    assert against_previous(loose, store, ["2025-04"]).passed


def test_the_check_agrees_with_the_monitor(tmp_path):
    settings = make_settings(home_dir=tmp_path)
    store = TableStore(settings)
    sound = market(1) + market(2)
    broken = [
        market(3),
        market(3, price=np.nan),
        market(3, **{"24h_volume": 0.0}),
        market(3, mkt_cap=0.0),
        market(3, coins=range(30)),
        [row | {"day": 3} for row in market(2)],
    ]
    for newest in broken:
        rows = raw_rows(sound + newest)
        store.write("raw_snapshots", received(rows), ["2025-03"])
        verdict = diagnose_feed(measure_feed(rows), settings)
        assert verdict.date == pd.Timestamp(day(3)).date()
        assert against_previous(settings, store, ["2025-03"]).passed == (not verdict.faults)
