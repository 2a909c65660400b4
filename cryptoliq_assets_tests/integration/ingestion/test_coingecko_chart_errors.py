"""An error in one chart affects that coin alone: the chart is left out or used in part, and reported."""

import json
from pathlib import Path
from typing import Any

import pytest

from cryptoliq_assets.ingestion.coingecko.errors import FetchError
from cryptoliq_assets.ingestion.coingecko.history import HistoryFetcher
from cryptoliq_assets_tests.support.coingecko_api import MISSING, NOW, FakeClock, Fault, Service, chart
from cryptoliq_assets_tests.support.coingecko_runs import make_history, rows_by_coin

COINS = 4


def history(home: Path, service: Service) -> HistoryFetcher:
    return make_history(home, service, FakeClock(), days=5, top=len(service.coins))


def with_chart(service: Service, name: str, **lists: Any) -> None:
    """Serve this chart of a coin, with some lists changed."""
    body = {key: value for key, value in (chart(days=13, now=NOW) | lists).items() if value is not MISSING}
    service.bodies[f"/api/v3/coins/{name}/market_chart"] = json.dumps(body).encode()


@pytest.mark.parametrize("caps", [MISSING, None, [], {}, "none"])
def test_a_chart_without_market_caps_is_used_and_reported(tmp_path, service, caps) -> None:
    service.coins = service.coins[:3]
    with_chart(service, "coin-2", market_caps=caps)
    result = history(tmp_path, service).fetch()
    assert result.notes == ["1 of 3 charts have an error: coin-2: no market caps: the rest is used"]
    rows = rows_by_coin(result.files[-1])
    assert len(result.files) == 5
    assert [bool(rows[f"coin-{rank}"]["mkt_cap"]) for rank in (1, 2, 3)] == [True, False, True]
    assert rows["coin-2"]["24h_volume"]


@pytest.mark.parametrize(
    ("lists", "named"),
    [
        ({"prices": MISSING}, "coin-2: no prices: left out"),
        ({"total_volumes": None}, "coin-2: no total volumes: left out"),
        ({"prices": [[1, 2, 3]], "total_volumes": []}, "coin-2: no prices: left out"),
    ],
)
def test_an_unusable_chart_is_left_out_and_reported(tmp_path, service, lists, named) -> None:
    service.coins = service.coins[:3]
    with_chart(service, "coin-2", **lists)
    result = history(tmp_path, service).fetch()
    assert named in result.notes[0]
    assert {frozenset(rows_by_coin(path)) for path in result.files} == {frozenset({"coin-1", "coin-3"})}


def test_invalid_points_of_a_chart_are_dropped_and_counted(tmp_path, service) -> None:
    service.coins = service.coins[:3]
    good = chart(days=13, now=NOW, start=100.0 + 2)
    texts = {name: [[str(moment), str(value)] for moment, value in points] for name, points in good.items()}
    plain = history(tmp_path / "plain", service).fetch()
    with_chart(service, "coin-2", **texts)
    result = history(tmp_path / "texts", service).fetch()
    assert (result.notes, rows_by_coin(result.files[-1])) == ([], rows_by_coin(plain.files[-1]))
    texts["prices"][3:3] = [None, [1], ["then", 5], [good["prices"][3][0], "dear"]]
    with_chart(service, "coin-2", **texts)
    result = history(tmp_path / "damaged", service).fetch()
    assert result.notes[0].endswith("coin-2: 4 of 18 prices are invalid points: the rest is used")
    assert rows_by_coin(result.files[-1]) == rows_by_coin(plain.files[-1])


def test_an_invalid_price_removes_only_its_row(tmp_path, service) -> None:
    service.coins = service.coins[:3]
    good = chart(days=13, now=NOW)
    good["prices"][-2][1] = -5.0
    with_chart(service, "coin-2", **good)
    result = history(tmp_path, service).fetch()
    assert result.notes == [
        "1 rows have an error and are left out: 2025-03-05: coin-2: price is '-5.0' (negative_value)"
    ]
    assert [len(rows_by_coin(path)) for path in result.files] == [3, 3, 3, 3, 2]


def test_one_rejected_chart_is_left_out_and_reported(tmp_path, service) -> None:
    service.coins = service.coins[:3]
    service.faults = [("coin-2/market_chart", Fault(422, b'{"error":"coin-2 is frozen"}'))]
    result = history(tmp_path, service).fetch()
    assert "coin-2: the chart of coin-2: rejected (422: coin-2 is frozen): left out" in result.notes[0]
    assert len(rows_by_coin(result.files[-1])) == 2


def test_many_charts_with_errors_are_requested_again(tmp_path, service) -> None:
    service.coins = service.coins[:4]
    for name in ("coin-2", "coin-3"):
        with_chart(service, name, market_caps=None)
    with pytest.raises(FetchError, match=r"2 of 4 coins have an error.*coin-2: no market caps.*coin-3: no market caps"):
        history(tmp_path, service).fetch()
    assert not (tmp_path / "data" / "raw").exists()
    service.bodies.clear()
    service.requests.clear()
    assert len(history(tmp_path, service).fetch().files) == 5
    assert service.charts() == ["coin-2", "coin-3"]


def test_a_history_continues_without_an_invalid_coin(tmp_path, service) -> None:
    service.coins = service.coins[:3]
    service.coins[1] = {"symbol": "v", "name": "Velt\ud83d"}
    result = history(tmp_path, service).fetch()
    assert result.notes == [
        "1 of 3 coins have an error and are left out: Velt (entry 2 of page 1): the key id is missing"
    ]
    assert rows_by_coin(result.files[-1]).keys() == {"coin-1", "coin-3"}
