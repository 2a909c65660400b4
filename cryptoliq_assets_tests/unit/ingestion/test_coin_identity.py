"""Coin identity: new, missing and likely renamed coins between two snapshots."""

import numpy as np
import pytest

from cryptoliq_assets.ingestion.quality.coin_identity import CoinSnapshot, compare_snapshots, find_reused_names


def test_coins_new_and_gone_are_named_in_order():
    before = {"Bitcoin": CoinSnapshot("BTC", 40_000.0, 7e11), "Old": CoinSnapshot("OLD", 1.0, 1e6)}
    after = {
        "Bitcoin": CoinSnapshot("BTC", 41_000.0, 7e11),
        "Zed": CoinSnapshot("Z", 2.0, 1e6),
        "Ada": CoinSnapshot("ADA", 1.0, 3e10),
    }
    change = compare_snapshots(before, after)
    assert (change.new, change.gone, change.renames) == (["Ada", "Zed"], ["Old"], [])


def test_equal_symbol_price_and_cap_are_a_likely_rename():
    before = {"Matic Network": CoinSnapshot("MATIC", 1.40, 9.0e9)}
    after = {"Polygon": CoinSnapshot("matic", 1.45, 9.3e9)}
    assert compare_snapshots(before, after).renames == [("Matic Network", "Polygon")]


def test_a_shared_symbol_at_another_price_is_no_rename():
    before = {"THORChain": CoinSnapshot("RUNE", 8.0, 2e9)}
    after = {"Rune": CoinSnapshot("RUNE", 0.02, 2e9)}
    assert compare_snapshots(before, after).renames == []


def test_a_coin_still_present_was_not_renamed():
    before = {"FEG Token": CoinSnapshot("FEG", 1.0, 1e8)}
    after = {"FEG Token": CoinSnapshot("FEG", 1.0, 1e8), "FEG Token BSC": CoinSnapshot("FEG", 1.0, 1e8)}
    change = compare_snapshots(before, after)
    assert (change.new, change.gone, change.renames) == (["FEG Token BSC"], [], [])


def test_an_old_name_is_given_to_one_new_name_only():
    before = {"Old": CoinSnapshot("X", 1.0, None)}
    after = {"New A": CoinSnapshot("X", 1.0, None), "New B": CoinSnapshot("X", 1.0, None)}
    assert compare_snapshots(before, after).renames == [("Old", "New A")]


def test_a_known_cap_does_not_match_an_unknown_one():
    assert compare_snapshots({"Old": CoinSnapshot("X", 1.0, 1e6)}, {"New": CoinSnapshot("X", 1.0, 0.0)}).renames == []


# Renames with a new symbol

OLD = CoinSnapshot("XRB", 2.0, 2.66e8, 3e6)


def test_continuous_values_under_a_new_symbol_are_a_rename():
    after = {"Nano": CoinSnapshot("NANO", 2.1, 2.8e8, 4e6), "Other": CoinSnapshot("OTH", 2.1, 9e8, 4e6)}
    assert compare_snapshots({"RaiBlocks": OLD}, after).renames == [("RaiBlocks", "Nano")]


@pytest.mark.parametrize(
    "new",
    [
        CoinSnapshot("NANO", 4.0, 5.3e8, 4e6),  # another price
        CoinSnapshot("NANO", 2.1, 4.0e8, 4e6),  # another supply
        CoinSnapshot("NANO", 2.1, 2.8e8, 4e7),  # ten times the volume
        CoinSnapshot("NANO", 2.1, None, 4e6),
        CoinSnapshot("NANO", 2.1, 2.8e8, None),
    ],
)
def test_other_values_under_a_new_symbol_are_no_rename(new):
    assert compare_snapshots({"RaiBlocks": OLD}, {"Nano": new}).renames == []


def test_a_known_coin_is_no_new_name():
    change = compare_snapshots(
        {"RaiBlocks": OLD}, {"Nano": CoinSnapshot("NANO", 2.1, 2.8e8, 4e6)}, with_history={"Nano"}
    )
    assert change.renames == []


def test_two_matching_coins_are_no_rename():
    after = {name: CoinSnapshot(name, 2.1, 2.8e8, 4e6) for name in ("Nano", "Mini")}
    assert compare_snapshots({"RaiBlocks": OLD}, after).renames == []


# Names reused by another coin


@pytest.mark.parametrize(
    ("price", "cap", "result", "expected"),
    [
        (200.0, 5e10, 1.0, True),
        (0.001, 2e7, 1.0, True),
        (200.0, 5e10, None, True),
        (200.0, 1e8, 1.0, False),  # a redenomination: the cap stays
        (200.0, 1e10, 9_900.0, False),  # a rally: the supply stays
        (200.0, 1e10, 1.0, False),  # a wrong price with the cap that follows from it
        (200.0, 5e10, 9_900.0, False),  # its own change explains the price
        (2.1, 5e10, 1.0, False),
        (None, 5e9, 1.0, False),
    ],
)
def test_a_name_with_all_values_changed_is_reused(price, cap, result, expected):
    now = {"price": price, "mkt_cap": cap, "24h": result}
    arrays = {name: np.array([value], dtype=float) for name, value in now.items()}
    assert find_reused_names(arrays, {"price": np.array([2.0]), "mkt_cap": np.array([1e8])}).tolist() == [expected]
