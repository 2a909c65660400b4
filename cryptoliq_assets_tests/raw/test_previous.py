"""The newest snapshot against the one before it: shares gone, caps lost, values that repeat."""

import numpy as np
import pytest

from cryptoliq_assets.io.tables import TableStore
from cryptoliq_assets.raw.checks import against_previous
from cryptoliq_assets.raw.previous import compare_newest
from cryptoliq_assets.settings import Settings
from cryptoliq_assets_tests.building import day, raw_rows, received

# As they are without a word in the environment.
LIMITS = Settings.model_construct()


def market(number: int, *, coins: range = range(40), **said: object) -> list[dict]:
    """Coins on a day, each price its own."""
    return [
        {"coin": f"c{place:02}", "day": number, "price": 100.0 + place + number / 7, "24h_volume": 1e6 + number, **said}
        for place in coins
    ]


def test_two_sound_days_have_no_fault() -> None:
    found = compare_newest(raw_rows(market(1) + market(2)))
    assert (found.date, found.previous) == ("2025-03-02", "2025-03-01")
    assert (found.gone, found.caps_lost, found.unchanged, found.faults(LIMITS)) == (0.0, 0.0, 0.0, [])


@pytest.mark.parametrize(
    ("left", "faults"), [(36, []), (35, ["12.5% of the coins of the snapshot before are gone (at most 10%)"])]
)
def test_more_than_a_tenth_of_the_coins_gone_is_a_fault(left: int, faults: list[str]) -> None:
    found = compare_newest(raw_rows(market(1) + market(2, coins=range(left))))
    assert found.faults(LIMITS) == faults
    assert found.coins_gone == [f"c{place:02}" for place in range(left, 40)]


@pytest.mark.parametrize("nothing", [np.nan, 0.0])
def test_caps_that_were_known_and_are_not_are_a_fault_and_new_coins_without_one_are_none(nothing: float) -> None:
    lost = market(2, coins=range(3), mkt_cap=nothing) + market(2, coins=range(3, 40))
    assert compare_newest(raw_rows(market(1) + lost)).faults(LIMITS) == [
        "7.5% of the known market caps are missing (at most 5%)"
    ]
    listed = market(2) + market(2, coins=range(40, 60), mkt_cap=nothing)
    assert compare_newest(raw_rows(market(1) + listed)).faults(LIMITS) == []


def test_a_snapshot_that_repeats_the_one_before_is_a_fault_and_coins_without_trade_are_none() -> None:
    repeated = [row | {"day": 2} for row in market(1)]
    assert compare_newest(raw_rows(market(1) + repeated)).faults(LIMITS) == [
        "100.0% of the coins repeat price and volume (at most 10%)"
    ]
    still = [row | {"24h_volume": 0.0} for row in market(1)]
    found = compare_newest(raw_rows(still + [row | {"day": 2} for row in still]))
    assert (np.isnan(found.unchanged), found.faults(LIMITS)) == (True, [])


def test_a_snapshot_of_more_than_a_week_before_is_no_neighbour() -> None:
    assert compare_newest(raw_rows(market(1) + market(9, coins=range(2)))) is None
    assert compare_newest(raw_rows(market(1) + market(8, coins=range(2)))).gone == 0.95


def test_the_check_compares_the_newest_day_of_the_run_across_the_turn_of_a_month(tmp_path) -> None:
    settings = Settings(home=tmp_path)
    store = TableStore(settings)
    frame = received(raw_rows(market(31) + market(32, coins=range(20))))
    store.write("raw_snapshots", frame, ["2025-03", "2025-04"])
    found = against_previous(settings, store, ["2025-04"])
    assert not found.passed
    assert found.description == "50.0% of the coins of the snapshot before are gone (at most 10%)"
    assert found.metadata["previous"] == str(day(31).date())
    assert against_previous(settings, store, ["2025-03"]).passed
    assert against_previous(settings, store, []).passed
    # The monitor's limits are its own.
    loose = settings.model_copy(update={"feed_coins_kept": 0.4})
    assert against_previous(loose, store, ["2025-04"]).passed
