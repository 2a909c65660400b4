"""liquidity_score: manual results, flags, registry, and the scores of a real day."""

import datetime as dt

import numpy as np
import pytest

from cryptoliq_assets.ingestion.parsing import parse_snapshot
from cryptoliq_assets.labels.liquidity import (
    FORMULAS,
    Liquidity,
    daily_volatility,
    get_formula,
    log_return,
    score_liquidity,
)

NAN = np.nan


def score(
    *, volume: float, day: float = 5.0, week: float = 10.0, cap: float = 1e9, formula: str = "kyle_obizhaeva"
) -> Liquidity:
    """Score one row: volume and cap in USD, changes over 24 h and 7 d in percent."""
    row = {"24h_volume": volume, "24h": day, "7d": week, "mkt_cap": cap}
    return score_liquidity({name: np.array([value]) for name, value in row.items()}, formula=formula)


def flags(result: Liquidity) -> set[str]:
    names = ("volatility_partial", "no_trades", "volatility_floored", "stale_price", "valid")
    return {name for name in names if getattr(result, name)[0]}


def test_the_score_equals_the_manual_result():
    # ln 1.05 = 0.0487902, ln 1.10 = 0.0953102; s² = (0.00238048 + 0.00908403 / 7) / 2 = 0.00183911
    # ln L = (13.815511 + 6.298479) / 3 = 6.704663; / 12.5
    result = score(volume=1e6)
    assert result.score[0] == pytest.approx(0.536373, abs=1e-6)
    assert result.volatility_log[0] == pytest.approx(-3.149240, abs=1e-6)
    assert result.volume_log[0] == pytest.approx(13.815511, abs=1e-6)
    assert flags(result) == {"valid"}


@pytest.mark.parametrize(
    ("day", "week", "volatility"),
    [(5.0, NAN, 0.0487902), (NAN, 10.0, 0.0953102 / 7**0.5), (0.0, 0.0, 0.002), (-100.0, -100.0, 1.624808)],
)
def test_volatility_uses_known_changes_floored_and_clipped(day, week, volatility):
    # -100 %: returns clip at -2 and -3, s² = (4 + 9/7) / 2 = 2.642857
    result = daily_volatility(np.array([day]), np.array([week]))
    expected = max(volatility, 0.002) if volatility != 1.624808 else np.sqrt((4 + 9 / 7) / 2)
    assert result.value[0] == pytest.approx(expected, rel=1e-5)
    assert result.partial[0] == (np.isnan(day) or np.isnan(week))


def test_without_any_change_there_is_no_score():
    result = score(volume=1e6, day=NAN, week=NAN)
    assert np.isnan(result.score[0])
    assert flags(result) == {"volatility_partial"}


def test_an_unknown_volume_has_no_score():
    result = score(volume=NAN)
    assert np.isnan(result.score[0])
    assert flags(result) == set()


@pytest.mark.parametrize(
    ("volume", "day", "week", "expected"),
    [
        (1e6, NAN, 10.0, {"volatility_partial"}),
        (1e6, 5.0, NAN, {"volatility_partial"}),
        (0.0, 5.0, 10.0, {"no_trades"}),
        (1e6, 0.1, 0.2, {"volatility_floored", "valid"}),
        (1_000.0, 0.1, 0.2, {"volatility_floored", "valid"}),
        (999.99, 0.1, 0.2, {"volatility_floored", "stale_price"}),
        (0.0, 0.0, 0.0, {"no_trades", "volatility_floored", "stale_price"}),
        (0.5, 5.0, 10.0, {"valid"}),
    ],
)
def test_the_flags_of_a_row(volume, day, week, expected):
    assert flags(score(volume=volume, day=day, week=week)) == expected


def test_no_trade_is_scored_as_one_dollar():
    assert score(volume=0.0).score[0] == score(volume=1.0).score[0] == score(volume=0.3).score[0]
    # -2 ln s / 3 / 12.5
    assert score(volume=0.0).score[0] == pytest.approx(2 * 3.149240 / 3 / 12.5, abs=1e-6)


def test_scores_are_not_bounded_to_0_and_1():
    assert score(volume=1e13, day=0.0, week=0.0).score[0] == pytest.approx((29.933606 + 12.429216) / 37.5, abs=1e-6)
    assert score(volume=0.0, day=1e9, week=1e9).score[0] < 0


@pytest.mark.parametrize(
    ("percent", "clip", "expected"),
    [
        (0.0, 2.0, 0.0),
        (100.0, 2.0, np.log(2)),
        (-50.0, 2.0, -np.log(2)),
        (1e9, 2.0, 2.0),
        (-100.0, 3.0, -3.0),
        (-700.0, 3.0, -3.0),
    ],
)
def test_a_log_return_is_clipped_at_both_ends(percent, clip, expected):
    assert log_return(np.array([percent]), clip=clip)[0] == pytest.approx(expected)


def test_amihud_and_turnover_equal_manual_results():
    # (ln 1e6 - ln ln 1.05) / 30
    assert score(volume=1e6, formula="amihud").score[0] == pytest.approx((13.815511 + 3.020225) / 30, abs=1e-6)
    # (ln 0.001 + 14) / 16
    assert score(volume=1e6, formula="turnover").score[0] == pytest.approx((14 - 6.907755) / 16, abs=1e-6)
    assert np.isnan(score(volume=1e6, cap=0.0, formula="turnover").score[0])
    assert flags(score(volume=1e6, cap=NAN, formula="turnover")) == set()


def test_an_unknown_formula_is_rejected_with_the_known_names():
    with pytest.raises(
        ValueError, match=r"unknown liquidity formula 'amihut'; expected one of amihud, kyle_obizhaeva, turn"
    ):
        get_formula("amihut")


def test_every_formula_has_constants_and_a_source_with_a_doi():
    assert list(FORMULAS) == ["kyle_obizhaeva", "amihud", "turnover"]
    assert (FORMULAS["kyle_obizhaeva"].lo, FORMULAS["kyle_obizhaeva"].hi) == (0.0, 12.5)
    assert all(formula.hi > formula.lo and "doi:" in formula.source for formula in FORMULAS.values())


@pytest.mark.realdata
def test_scores_of_a_real_day_have_documented_values(real_data):
    path = real_data / "coingecko_2022" / "coin_gecko_2022-03-16.csv"
    parsed = parse_snapshot(
        path.read_bytes(), name=path.name, today=dt.date(2022, 3, 17), first_date=dt.date(2013, 1, 1)
    )
    rows = parsed.rows.to_pandas()
    columns = {name: rows[name].to_numpy() for name in ("24h_volume", "24h", "7d", "mkt_cap")}
    scores = score_liquidity(columns).score
    bitcoin = rows["coin"].eq("Bitcoin").to_numpy()
    assert scores[bitcoin] == pytest.approx([0.84], abs=0.01)
    assert np.nanmedian(scores) == pytest.approx(0.63, abs=0.01)
    # Only pegged coins score higher; by turnover Bitcoin is in the middle.
    assert (scores > scores[bitcoin]).sum() == 6
    turnover = columns["24h_volume"] / columns["mkt_cap"]
    assert (turnover > turnover[bitcoin]).sum() > 150
