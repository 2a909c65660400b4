"""Coins new, gone and likely renamed between two snapshots."""

from cryptoliq_assets.raw.identity import Seen, compare_snapshots


def test_coins_new_and_gone_are_named_in_order():
    before = {"Bitcoin": Seen("BTC", 40_000.0, 7e11), "Old": Seen("OLD", 1.0, 1e6)}
    after = {"Bitcoin": Seen("BTC", 41_000.0, 7e11), "Zed": Seen("Z", 2.0, 1e6), "Ada": Seen("ADA", 1.0, 3e10)}
    change = compare_snapshots(before, after)
    assert (change.new, change.gone, change.renames) == (["Ada", "Zed"], ["Old"], [])


def test_a_name_gone_with_a_new_one_of_its_symbol_price_and_cap_is_a_likely_rename():
    before = {"Matic Network": Seen("MATIC", 1.40, 9.0e9)}
    after = {"Polygon": Seen("matic", 1.45, 9.3e9)}
    assert compare_snapshots(before, after).renames == [("Matic Network", "Polygon")]


def test_a_shared_symbol_at_another_price_is_no_rename():
    before = {"THORChain": Seen("RUNE", 8.0, 2e9)}
    after = {"Rune": Seen("RUNE", 0.02, 2e9)}
    assert compare_snapshots(before, after).renames == []


def test_a_coin_that_is_still_there_was_not_renamed():
    before = {"FEG Token": Seen("FEG", 1.0, 1e8)}
    after = {"FEG Token": Seen("FEG", 1.0, 1e8), "FEG Token BSC": Seen("FEG", 1.0, 1e8)}
    change = compare_snapshots(before, after)
    assert (change.new, change.gone, change.renames) == (["FEG Token BSC"], [], [])


def test_an_old_name_is_given_to_one_new_name_only():
    before = {"Old": Seen("X", 1.0, None)}
    after = {"New A": Seen("X", 1.0, None), "New B": Seen("X", 1.0, None)}
    assert compare_snapshots(before, after).renames == [("Old", "New A")]


def test_a_known_cap_does_not_match_an_unknown_one():
    assert compare_snapshots({"Old": Seen("X", 1.0, 1e6)}, {"New": Seen("X", 1.0, 0.0)}).renames == []
