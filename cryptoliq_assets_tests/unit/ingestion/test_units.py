"""Inference of the unit of 1h, 24h and 7d from one file."""

import numpy as np
import pytest

from cryptoliq_assets.ingestion.parsing.units import UnitConflictError, UnitFinding
from cryptoliq_assets_tests.support.unit_inference import find_unit


def market(coins: int, *, seed: int = 0, pegs: float = 0.1) -> dict[str, np.ndarray]:
    """Make prices and changes, as fractions, of a market with a fraction of pegged coins."""
    random = np.random.default_rng(seed)
    pegged = np.arange(coins) < round(pegs * coins)
    columns = {"price": np.where(pegged, 1 + 0.003 * random.standard_normal(coins), np.exp(random.normal(0, 3, coins)))}
    for name, free, peg in (("1h", 0.007, 0.001), ("24h", 0.045, 0.0035), ("7d", 0.13, 0.0045)):
        columns[name] = np.clip(np.where(pegged, peg, free) * random.standard_t(3, coins) / 0.76, -0.95, None)
    return columns


def infer(columns: dict[str, np.ndarray], *, scale: float = 1.0, **options: object) -> UnitFinding:
    changes = {name: columns[name] * scale for name in ("1h", "24h", "7d")}
    return find_unit(changes, columns["price"], **options)


@pytest.mark.parametrize("coins", [10, 100, 3000])
@pytest.mark.parametrize("pegs", [0.0, 0.5, 0.95, 1.0])
def test_both_units_are_inferred_for_any_size_and_peg_fraction(coins: int, pegs: float) -> None:
    columns = market(coins, pegs=pegs)
    assert (infer(columns, scale=100).unit, infer(columns).unit) == ("percent", "fraction")


def test_one_value_below_minus_1_in_three_proves_percent() -> None:
    changes = {"1h": np.array([0.1, 0.0, 0.2]), "24h": np.array([0.4, -1.3, 0.1]), "7d": np.full(3, np.nan)}
    finding = find_unit(changes, np.array([40_000.0, 2_700.0, 80.0]))
    assert finding.unit == "percent"
    assert "1 of 3 values of 24h are below -1" in finding.found_by


def test_two_errors_below_minus_1_in_2000_are_no_proof() -> None:
    columns = market(2000)
    columns["24h"][500:502] = [-42.04, -5.7]
    columns["7d"][500:502] = [-42.5, -6.1]
    assert (infer(columns).unit, infer(columns).certain) == ("fraction", True)


def test_rows_with_a_negative_price_are_ignored() -> None:
    changes = {"24h": np.array([-42.0, 0.03, -0.02, 0.05]), "7d": np.array([-42.5, 0.2, 0.1, -0.1])}
    finding = find_unit(changes, np.array([-79.1, 40_000.0, 2_700.0, 80.0]))
    assert finding.unit == "fraction"


def test_a_change_below_minus_100_is_no_evidence() -> None:
    changes = {"24h": np.array([-4200.0, 0.03, -0.02, 0.05]), "7d": np.array([np.nan, 0.2, 0.1, -0.1])}
    assert find_unit(changes, np.array([79.1, 40_000.0, 2_700.0, 80.0])).unit == "fraction"


@pytest.mark.parametrize("odd", ["1h", "24h", "7d"])
def test_a_column_in_another_unit_is_named_in_the_conflict(odd: str) -> None:
    columns = market(100)
    columns[odd] = columns[odd] * 100
    with pytest.raises(UnitConflictError, match=f"{odd} is percent"):
        infer(columns)


def test_an_empty_column_follows_the_others() -> None:
    columns = market(100) | {"1h": np.full(100, np.nan), "7d": np.zeros(100)}
    assert (infer(columns).unit, infer(columns).certain) == ("fraction", True)


def test_without_evidence_the_unit_is_percent_but_uncertain() -> None:
    empty = {name: np.full(5, np.nan) for name in ("1h", "24h", "7d")}
    finding = find_unit(empty, np.ones(5))
    assert (finding.unit, finding.certain) == ("percent", False)


def test_price_change_24h_alone_proves_the_unit_of_one_coin() -> None:
    price, change = np.array([41_000.0]), np.array([0.5])
    empty = np.array([np.nan])
    for unit, scale in (("percent", 100), ("fraction", 1)):
        price_change = price - price / (1 + change / scale)
        finding = find_unit({"1h": empty, "24h": change, "7d": empty}, price, price_change=price_change)
        assert (finding.unit, finding.certain) == (unit, True)


def test_a_price_change_that_fits_neither_unit_is_no_evidence() -> None:
    columns = market(100)
    finding = infer(columns, price_change=np.full(100, 7.0))
    assert finding == infer(columns)


def test_price_change_against_values_below_minus_1_conflicts() -> None:
    columns = market(100)
    percent = {name: columns[name] * 100 for name in ("1h", "24h", "7d")}
    growth = 1 + percent["24h"]
    with pytest.raises(UnitConflictError, match="price_change_24h is fraction"):
        find_unit(percent, columns["price"], price_change=columns["price"] - columns["price"] / growth)


def calm(coins: int = 100) -> dict[str, np.ndarray]:
    """Make a day in percent on which prices hardly change: by size alone it looks like fractions."""
    random = np.random.default_rng(5)
    columns = {"price": np.exp(random.normal(0, 3, coins))}
    for name, spread in (("1h", 0.02), ("24h", 0.05), ("7d", 0.15)):
        columns[name] = np.clip(spread * random.standard_normal(coins), -0.9, None)
    return columns


def test_a_declared_unit_decides_on_a_calm_day() -> None:
    assert infer(calm()).unit == "fraction"
    finding = infer(calm(), declared="percent")
    assert (finding.unit, finding.found_by) == ("percent", "the file's column change_unit is percent")


def test_a_declared_and_proven_unit_is_certain_on_a_calm_day() -> None:
    columns = calm()
    price_change = columns["price"] - columns["price"] / (1 + columns["24h"] / 100)
    price = columns.pop("price")
    finding = find_unit(columns, price, price_change=price_change, declared="percent")
    assert (finding.unit, finding.certain) == ("percent", True)


def test_a_declared_unit_consistent_with_sizes_is_certain() -> None:
    for scale, unit in ((100, "percent"), (1, "fraction")):
        finding = infer(market(100), scale=scale, declared=unit)
        assert (finding.unit, finding.certain) == (unit, True)


def test_sizes_never_override_price_change_24h() -> None:
    columns = calm()
    price_change = columns["price"] - columns["price"] / (1 + columns["24h"] / 100)
    finding = infer(columns, price_change=price_change)
    assert (finding.unit, finding.certain) == ("percent", False)
    assert finding.found_by.startswith("price_change_24h fits 24h as percent")


def test_sizes_never_override_values_below_minus_1() -> None:
    columns = calm()
    columns["7d"][3] = -7.0
    assert (infer(columns).unit, infer(columns).certain) == ("percent", False)


@pytest.mark.parametrize("proof", ["price_change_24h", "below -1"])
def test_a_declared_fraction_against_a_percent_proof_conflicts(proof: str) -> None:
    columns = market(100)
    percent = {name: columns[name] * (100 if proof == "below -1" else 0.1) for name in ("1h", "24h", "7d")}
    price = columns["price"]
    price_change = price - price / (1 + percent["24h"] / 100) if proof == "price_change_24h" else None
    with pytest.raises(UnitConflictError, match=proof) as caught:
        find_unit(percent, price, price_change=price_change, declared="fraction")
    assert "change_unit is fraction (the file's column" in str(caught.value)


def test_a_declared_unit_overrides_the_setting() -> None:
    assert infer(market(100), scale=100, override="fraction", declared="percent").unit == "percent"
    with pytest.raises(ValueError, match="permille"):
        infer(market(3), override="permille", declared="percent")


def test_the_setting_overrides_all_other_evidence() -> None:
    finding = infer(market(100), scale=100, override="fraction")
    assert finding == UnitFinding("fraction", "the setting ingestion.change_unit is fraction", True)


def test_an_unknown_setting_is_rejected() -> None:
    with pytest.raises(ValueError, match="expected auto, percent or fraction"):
        infer(market(3), override="permille")


def test_the_order_of_rows_does_not_matter() -> None:
    columns = market(50)
    reversed_rows = {name: values[::-1] for name, values in columns.items()}
    assert infer(reversed_rows).unit == infer(columns).unit


@pytest.mark.filterwarnings("error")
def test_extreme_floats_do_not_overflow() -> None:
    columns = market(20)
    columns["24h"][:4] = [np.finfo(float).max, np.finfo(float).tiny, -np.finfo(float).max, 5e-324]
    columns["price"][:4] = [1e308, 0.0, 5e-324, np.nan]
    assert (infer(columns).unit, infer(columns).certain) == ("fraction", True)


def test_rounding_errors_are_no_evidence() -> None:
    unchanged = {"24h": np.array([2.2e-16, -1.1e-16, 0.0])}
    assert "no value in the file shows the unit" in find_unit(unchanged, np.ones(3)).found_by
