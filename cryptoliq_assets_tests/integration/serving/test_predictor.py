"""Predictor: the predictions of the batch path on request."""

import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from cryptoliq_assets.features.online import StoredHistory
from cryptoliq_assets.serving.predictor import DateRejectedError, Predictor
from cryptoliq_assets.serving.request_models import PredictRequest, parse_request
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.prediction_requests import BODY, NOW, NUMBERS, request
from cryptoliq_assets_tests.support.settings import make_settings


def request_of(row: pd.Series, **values) -> PredictRequest:
    """Return the request of a client for this cleaned row."""
    numbers = {name: row[name] for name in NUMBERS if not pd.isna(row[name])}
    return PredictRequest.model_validate_json(
        json.dumps({**numbers, "coin": str(row["coin"]), "date": str(row["date"].date()), **values})
    )


@pytest.fixture(scope="module")
def predictor(trained_home) -> Predictor:
    predictor = Predictor(make_settings(home_dir=trained_home.path))
    assert predictor.refresh()
    return predictor


@pytest.fixture(scope="module")
def tables(predictor) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cleaned rows whose dates may be requested, and the stored features of the same rows."""
    store = TableStore(predictor.settings)
    cleaned, stored = store.read("cleaned_snapshots"), store.read("engineered_features")
    late = (cleaned["date"] >= pd.Timestamp(predictor.snapshot.oldest)).to_numpy()
    return cleaned[late].reset_index(drop=True), stored[late].reset_index(drop=True)


@hypothesis_settings(max_examples=40)
@given(data=st.data())
def test_a_stored_row_gets_the_exact_forecast_of_its_features(predictor, tables, data):
    cleaned, stored = tables
    positions = data.draw(st.lists(st.integers(0, len(cleaned) - 1), min_size=1, max_size=20))
    predictions = predictor.predict([request_of(cleaned.iloc[position]) for position in positions], now=NOW)
    # The batch path does not receive which history is recent: both paths apply the same rule.
    batch = predictor.snapshot.champion.predict(stored.iloc[positions])
    snapshot = [prediction["basis"] == "snapshot" for prediction in predictions]
    assert snapshot == batch["group"].str.startswith("without_history").tolist()
    for name, column in (("liquidity_score", "predicted"), ("lower", "lower"), ("upper", "upper")):
        np.testing.assert_array_equal([prediction[name] for prediction in predictions], batch[column].to_numpy())


def test_the_newest_rows_get_the_stored_forecasts(predictor, tables):
    cleaned, _ = tables
    newest = cleaned[cleaned["date"] == cleaned["date"].max()]
    predictions = predictor.predict([request_of(row) for _, row in newest.iterrows()], now=NOW)
    forecasts = TableStore(predictor.settings).read("forecasts").astype({"coin": str}).set_index("coin")
    assert len(newest) >= 25
    for coin, prediction in zip(newest["coin"].astype(str), predictions, strict=True):
        for name in ("liquidity_score", "lower", "upper"):
            assert prediction[name] == forecasts.loc[coin, name]


def test_a_prediction_does_not_depend_on_its_batch(predictor, tables):
    cleaned, _ = tables
    requests = [request_of(row) for _, row in cleaned.sample(60, random_state=1).iterrows()] + [
        request(),
        request(coin="?"),
    ]
    batch = predictor.predict(requests, now=NOW)
    assert batch == [predictor.predict([one], now=NOW)[0] for one in requests]


def test_stored_rows_from_the_requests_date_on_are_ignored(own_predictor, tables):
    cleaned, _ = tables
    rows = TableStore(own_predictor.settings).read("cleaned_snapshots")
    day = pd.Timestamp("2025-07-20")
    requests = [
        request_of(row, price=row["price"] * 2) for _, row in cleaned[cleaned["date"] == day].head(8).iterrows()
    ]
    with_all_rows = own_predictor.predict(requests, now=NOW)
    before = StoredHistory.from_rows(rows[rows["date"] < day], formula=own_predictor.snapshot.history.formula)
    vars(own_predictor.snapshot)["history"] = before
    assert own_predictor.predict(requests, now=NOW) == with_all_rows


@pytest.mark.parametrize(
    ("date", "basis", "stale"), [("2025-08-03", "history", False), ("2025-08-04", "snapshot", True)]
)
def test_history_of_3_days_ago_is_recent_and_of_4_is_stale(predictor, date, basis, stale):
    now = dt.datetime(2025, 8, 4, tzinfo=dt.UTC)
    (prediction,) = predictor.predict([request(coin="Bitcoin", date=date)], now=now)
    assert (prediction["basis"], prediction["flags"]["stale_history"]) == (basis, stale)
    (default,) = predictor.predict([request(coin="Bitcoin")], now=dt.datetime.fromisoformat(f"{date}T23:59:59Z"))
    assert default == {**prediction, "timestamp": default["timestamp"]}


@pytest.mark.parametrize("values", [{}, {"coin": "No such coin"}, {"coin": "bitcoin/é"}])
def test_an_unknown_coin_uses_the_snapshot_only(predictor, values):
    (prediction,) = predictor.predict([request(**values)], now=NOW)
    assert (prediction["basis"], prediction["flags"]["stale_history"]) == ("snapshot", False)
    assert prediction["lower"] < prediction["liquidity_score"] < prediction["upper"]


def test_the_percentile_counts_latest_forecasts_not_above(predictor):
    forecasts = TableStore(predictor.settings).read("forecasts")
    latest = forecasts[forecasts["date"] == forecasts["date"].max()]["liquidity_score"].to_numpy()
    for coin in ("Bitcoin", "Ethereum", None):
        (prediction,) = predictor.predict([request(coin=coin)], now=NOW)
        assert prediction["percentile"] == round(100 * np.mean(latest <= prediction["liquidity_score"]), 2)


def test_fields_outside_the_training_range_are_named(predictor):
    ranges = predictor.snapshot.champion.metadata["input_ranges"]
    low, high = ranges["price"]
    assert low < high
    inside, outside = predictor.predict(
        [request(price=(low + high) / 2), request(price=high * 10, **{"24h_volume": 1e18, "7d": 99_999.0})], now=NOW
    )
    assert "price" not in inside["flags"]["out_of_range"]
    assert {"price", "24h_volume", "7d"} <= set(outside["flags"]["out_of_range"])
    assert set(outside["flags"]["out_of_range"]) <= {*NUMBERS, "liquidity_ratio", "price_change_24h"}


def test_a_stablecoin_is_flagged(predictor):
    moving, peg = predictor.predict([request(), request(**{"1h": 0.0, "24h": 0.0, "7d": 0.0})], now=NOW)
    assert [prediction["flags"]["volatility_floored"] for prediction in (moving, peg)] == [False, True]


def test_dates_are_bounded_by_the_history_and_by_tomorrow(predictor):
    oldest = predictor.snapshot.oldest
    assert oldest == dt.date(2025, 6, 30)
    for date in (oldest, dt.date(2025, 8, 2)):
        assert predictor.predict([request(date=str(date))], now=NOW)
    for date in (oldest - dt.timedelta(days=1), dt.date(2025, 8, 3)):
        with pytest.raises(DateRejectedError, match=r"date is .*; expected a date .*20"):
            predictor.predict([request(date=str(date))], now=NOW)


def test_a_request_can_be_parsed_from_python_values(predictor):
    body = {**BODY, "coin": "Bitcoin", "date": dt.date(2025, 7, 31)}
    assert predictor.predict([parse_request(body)])[0]["model_version"] == predictor.snapshot.champion.model_version


# Coins without recent history


@hypothesis_settings(max_examples=30)
@given(position=st.integers(0, 10_000), days=st.integers(4, 31), volume=st.floats(1e3, 1e11), known=st.booleans())
def test_a_stale_coin_is_predicted_like_an_unknown_one(predictor, tables, position, days, volume, known):
    cleaned, _ = tables
    last = cleaned.groupby("coin", observed=True)["date"].max()
    coin = str(last.index[position % len(last)])
    date = (last.iloc[position % len(last)] + pd.Timedelta(days=days)).date()
    now = dt.datetime.combine(date, dt.time(12), dt.UTC)
    cap = {} if known else {"mkt_cap": None}
    stale, unknown = predictor.predict(
        [
            request(coin=coin, date=str(date), **{"24h_volume": volume}, **cap),
            request(date=str(date), **{"24h_volume": volume}, **cap),
        ],
        now=now,
    )
    assert stale["flags"].pop("stale_history") is True
    assert unknown["flags"].pop("stale_history") is False
    assert stale == unknown


@pytest.mark.parametrize("lacking", ["7d", "24h"])
def test_a_request_without_a_change_has_its_own_interval(predictor, lacking):
    complete, partial = predictor.predict([request(), request(**{lacking: None})], now=NOW)
    table, half = predictor.snapshot.intervals, (partial["upper"] - partial["lower"]) / 2
    source = table.source_of(f"without_history:no_{lacking}")
    assert source in (f"without_history:no_{lacking}", "partial:pooled")
    assert half == pytest.approx(table.half_widths[source])
    assert half != pytest.approx((complete["upper"] - complete["lower"]) / 2)
