"""A formula of high, low and close is registered in one place and is served end to end."""

import datetime as dt
import io

import numpy as np
import pandas as pd
import pytest

from cryptoliq_assets.core import FloatArray, Settings
from cryptoliq_assets.features import StoredHistory, engineer_features
from cryptoliq_assets.features.online import request_features
from cryptoliq_assets.labels import FORMULAS, Formula
from cryptoliq_assets.modeling import load_champion
from cryptoliq_assets.schemas import FEATURE_NAMES, RANGE_COLUMNS
from cryptoliq_assets.serving.csv import predict_content
from cryptoliq_assets.serving.predictor import Predictor
from cryptoliq_assets.serving.request_models import parse_request
from cryptoliq_assets.storage import TableStore
from cryptoliq_assets_tests.support.frames import cleaned_market, cleaned_rows
from cryptoliq_assets_tests.support.settings import make_settings

NAME = "log_range"
BODY = {"price": 100.0, "24h_volume": 1e6, "24h": 1.0, "7d": 2.0, "mkt_cap": 1e9}


def log_range(columns: dict[str, FloatArray]) -> FloatArray:
    """Minus ln of the range relative to the close: the wider the range, the less liquid."""
    return -np.log((columns["high_24h"] - columns["low_24h"]) / columns["price"])


@pytest.fixture
def formula(monkeypatch: pytest.MonkeyPatch) -> str:
    columns = (*RANGE_COLUMNS, "price")
    monkeypatch.setitem(FORMULAS, NAME, Formula(NAME, "range", "doi:test", 0.0, 10.0, columns, log_range))
    return NAME


def market_with_range() -> pd.DataFrame:
    cleaned = cleaned_market(coins=12, days=30)
    spread = np.linspace(0.01, 0.2, len(cleaned))
    return cleaned.assign(high_24h=cleaned["price"] * (1 + spread), low_24h=cleaned["price"] * (1 - spread))


def test_a_range_formula_scores_cleaned_rows(formula: str):
    rows = cleaned_rows([{"day": 1, "price": 100.0, "high_24h": 110.0, "low_24h": 90.0}, {"day": 2, "price": 100.0}])
    scores = engineer_features(rows, formula=formula)["liquidity_score"]
    assert scores.iloc[0] == pytest.approx(-np.log(0.2) / 10)
    assert np.isnan(scores.iloc[1])


def test_a_range_formula_is_the_same_online_and_in_batch(formula: str):
    cleaned = market_with_range()
    batch = engineer_features(cleaned, formula=formula)
    assert batch["liquidity_score"].notna().mean() > 0.9
    online = request_features(cleaned, StoredHistory.from_rows(cleaned, formula=formula))
    pd.testing.assert_frame_equal(online[list(FEATURE_NAMES)], batch[list(FEATURE_NAMES)], check_exact=True)


@pytest.fixture
def range_home(formula: str, trained_home, tmp_path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A trained data directory whose champion uses the range formula, with ranges in its cleaned months."""
    settings = make_settings(home_dir=trained_home.copy_to(tmp_path / "home"), cv__n_splits=2)
    store = TableStore(settings)
    cleaned = store.read("cleaned_snapshots")
    store.write(
        "cleaned_snapshots",
        cleaned.assign(high_24h=cleaned["price"] * 1.1, low_24h=cleaned["price"] * 0.9),
        store.months("cleaned_snapshots"),
    )
    champion = load_champion(settings)
    champion.metadata["formula"] = formula
    monkeypatch.setattr("cryptoliq_assets.serving.predictor.load_champion", lambda _: champion)
    return settings


def test_a_range_formula_reads_the_fields_of_a_request(range_home: Settings):
    predictor = Predictor(range_home)
    assert predictor.refresh(), predictor.problem
    features = []
    for high, low in ((110.0, 90.0), (101.0, 99.0), (None, None)):
        request = parse_request({**BODY, "coin": "Bitcoin", "high_24h": high, "low_24h": low})
        [answer] = predictor.predict([request])
        features.append(answer["liquidity_score"])
    assert len(set(features)) == 3
    bare = parse_request(BODY)
    assert (bare.high_24h, bare.low_24h) == (None, None)


def test_a_range_formula_reads_the_columns_of_a_csv(range_home: Settings, monkeypatch: pytest.MonkeyPatch):
    predictor = Predictor(range_home)
    assert predictor.refresh()
    newest = predictor.snapshot.newest
    header = "coin,price,24h_volume,24h,7d,mkt_cap,date,high_24h,low_24h"
    lines = [
        f"Bitcoin,100.0,1000000.0,1.0,2.0,1000000000.0,{newest},{ends}" for ends in ("110.0,90.0", "101.0,99.0", ",")
    ]
    content = "\n".join([header, *lines, ""]).encode()
    _, chunks = predict_content(
        content, champion=predictor.snapshot.champion, settings=range_home, today=newest + dt.timedelta(days=1)
    )
    scores = pd.read_csv(io.BytesIO(b"".join(chunks)))["liquidity_score"]
    requests = [
        {**BODY, "coin": "Bitcoin", "date": newest, "high_24h": high, "low_24h": low}
        for high, low in ((110.0, 90.0), (101.0, 99.0), (None, None))
    ]
    answers = predictor.predict([parse_request(request) for request in requests])
    assert scores.tolist() == pytest.approx([answer["liquidity_score"] for answer in answers], abs=1e-12)
    assert scores.nunique() == 3


def test_a_formula_of_an_unknown_column_names_the_known_ones():
    with pytest.raises(
        ValueError, match=r"unknown column\(s\) close; .*FORMULAS in .*liquidity.py use columns=.*high_24h"
    ):
        Formula("x", "x", "x", 0.0, 1.0, ("close",), log_range)
