"""The predictor: the numbers of the batch path on request, from a snapshot that is replaced as a whole."""

import datetime as dt
import json
import shutil
import threading

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.features.online import StoredHistory
from cryptoliq_assets.modeling.estimators.tree_predict_rows import FlatTreeEnsemble
from cryptoliq_assets.modeling.inference import load_champion
from cryptoliq_assets.modeling.registry.model_registry import open_model_store
from cryptoliq_assets.serving.predictor import DateRejectedError, NotReadyError, Predictor
from cryptoliq_assets.serving.request_models import PredictRequest, parse_request
from cryptoliq_assets.serving.views import load_latest_forecasts
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets.storage.validation import DamagedTableError
from cryptoliq_assets_tests.support.settings import make_settings

NOW = dt.datetime(2025, 8, 1, 9, tzinfo=dt.UTC)
NUMBERS = ("price", "1h", "24h", "7d", "24h_volume", "mkt_cap")
BODY = {"price": 100.0, "1h": 0.1, "24h": -1.5, "7d": 3.0, "24h_volume": 2e9, "mkt_cap": 1e11}


def request(**said) -> PredictRequest:
    return PredictRequest.model_validate_json(json.dumps({**BODY, **said}))


def asked_of(row: pd.Series, **said) -> PredictRequest:
    """Return the request of a client for this cleaned row."""
    numbers = {name: row[name] for name in NUMBERS if not pd.isna(row[name])}
    return PredictRequest.model_validate_json(
        json.dumps({**numbers, "coin": str(row["coin"]), "date": str(row["date"].date()), **said})
    )


@pytest.fixture(scope="module")
def predictor(trained_home) -> Predictor:
    made = Predictor(make_settings(home_dir=trained_home.path))
    assert made.refresh()
    return made


@pytest.fixture(scope="module")
def tables(predictor) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cleaned rows that may be asked for, and the stored features of the same places."""
    store = TableStore(predictor.settings)
    cleaned, stored = store.read("cleaned_snapshots"), store.read("engineered_features")
    late = (cleaned["date"] >= pd.Timestamp(predictor.snapshot.oldest)).to_numpy()
    return cleaned[late].reset_index(drop=True), stored[late].reset_index(drop=True)


@pytest.fixture
def own(trained_home, tmp_path) -> Predictor:
    """A loaded predictor of a home that the test may change."""
    made = Predictor(make_settings(home_dir=trained_home.copy_to(tmp_path / "home")))
    assert made.refresh()
    return made


def promote_again(settings: Settings) -> str:
    """Store the champion's model once more, as a newer version."""
    store = open_model_store(settings)
    loaded = store.load()
    return store.promote(loaded.model, loaded.metadata, reason="again", at=dt.datetime.now(dt.UTC))["version"]


# Predictions.


@hypothesis_settings(max_examples=40)
@given(data=st.data())
def test_a_stored_row_gets_the_exact_forecast_of_its_features(predictor, tables, data):
    cleaned, stored = tables
    places = data.draw(st.lists(st.integers(0, len(cleaned) - 1), min_size=1, max_size=20))
    answers = predictor.predict([asked_of(cleaned.iloc[place]) for place in places], now=NOW)
    # The batch is not given what history is recent: both paths apply the same rule.
    batch = predictor.snapshot.champion.predict(stored.iloc[places])
    snapshot = [answer["basis"] == "snapshot" for answer in answers]
    assert snapshot == batch["group"].str.startswith("without_history").tolist()
    for name, column in (("liquidity_score", "predicted"), ("lower", "lower"), ("upper", "upper")):
        np.testing.assert_array_equal([answer[name] for answer in answers], batch[column].to_numpy())


def test_the_newest_rows_get_the_stored_forecasts(predictor, tables):
    cleaned, _ = tables
    newest = cleaned[cleaned["date"] == cleaned["date"].max()]
    answers = predictor.predict([asked_of(row) for _, row in newest.iterrows()], now=NOW)
    forecasts = TableStore(predictor.settings).read("forecasts").astype({"coin": str}).set_index("coin")
    assert len(newest) >= 25
    for coin, answer in zip(newest["coin"].astype(str), answers, strict=True):
        for name in ("liquidity_score", "lower", "upper"):
            assert answer[name] == forecasts.loc[coin, name]


def test_a_prediction_does_not_depend_on_its_batch(predictor, tables):
    cleaned, _ = tables
    asked = [asked_of(row) for _, row in cleaned.sample(60, random_state=1).iterrows()] + [
        request(),
        request(coin="?"),
    ]
    together = predictor.predict(asked, now=NOW)
    assert together == [predictor.predict([one], now=NOW)[0] for one in asked]


def test_stored_rows_from_the_requests_date_on_are_ignored(own, tables):
    cleaned, _ = tables
    rows = TableStore(own.settings).read("cleaned_snapshots")
    day = pd.Timestamp("2025-07-20")
    asked = [asked_of(row, price=row["price"] * 2) for _, row in cleaned[cleaned["date"] == day].head(8).iterrows()]
    given_all = own.predict(asked, now=NOW)
    before = StoredHistory.from_rows(rows[rows["date"] < day], formula=own.snapshot.history.formula)
    vars(own.snapshot)["history"] = before
    assert own.predict(asked, now=NOW) == given_all


@pytest.mark.parametrize(
    ("date", "basis", "stale"), [("2025-08-03", "history", False), ("2025-08-04", "snapshot", True)]
)
def test_history_of_3_days_ago_is_recent_and_of_4_is_stale(predictor, date, basis, stale):
    now = dt.datetime(2025, 8, 4, tzinfo=dt.UTC)
    (answer,) = predictor.predict([request(coin="Bitcoin", date=date)], now=now)
    assert (answer["basis"], answer["flags"]["stale_history"]) == (basis, stale)
    (default,) = predictor.predict([request(coin="Bitcoin")], now=dt.datetime.fromisoformat(f"{date}T23:59:59Z"))
    assert default == {**answer, "timestamp": default["timestamp"]}


@pytest.mark.parametrize("said", [{}, {"coin": "No such coin"}, {"coin": "bitcoin/é"}])
def test_an_unknown_coin_uses_the_snapshot_only(predictor, said):
    (answer,) = predictor.predict([request(**said)], now=NOW)
    assert (answer["basis"], answer["flags"]["stale_history"]) == ("snapshot", False)
    assert answer["lower"] < answer["liquidity_score"] < answer["upper"]


def test_the_percentile_counts_latest_forecasts_not_above(predictor):
    forecasts = TableStore(predictor.settings).read("forecasts")
    latest = forecasts[forecasts["date"] == forecasts["date"].max()]["liquidity_score"].to_numpy()
    for coin in ("Bitcoin", "Ethereum", None):
        (answer,) = predictor.predict([request(coin=coin)], now=NOW)
        assert answer["percentile"] == round(100 * np.mean(latest <= answer["liquidity_score"]), 2)


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
    assert [answer["flags"]["volatility_floored"] for answer in (moving, peg)] == [False, True]


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


# Snapshots.


def test_refresh_loads_a_new_champion_and_a_rollback(own):
    first = own.snapshot.champion.version
    assert not own.refresh()
    second = promote_again(own.settings)
    assert own.refresh()
    assert own.snapshot.champion.version == second != first
    open_model_store(own.settings).rollback(at=dt.datetime.now(dt.UTC))
    assert own.refresh()
    assert own.snapshot.champion.version == first
    assert own.problem == ""


def test_a_champion_is_prepared_before_the_first_request(trained_home, monkeypatch):
    made = Predictor(make_settings(home_dir=trained_home.path))
    assert made.refresh()
    for name in ("from_booster", "from_forest"):
        monkeypatch.setattr(FlatTreeEnsemble, name, lambda _: pytest.fail("laid out while a request waits"))
    alone, with_history = made.predict([request(), request(coin="Bitcoin", date="2025-08-01")], now=NOW)
    assert (alone["basis"], with_history["basis"]) == ("snapshot", "history")
    assert made.snapshot.champion.loaded.metadata["model_name"] != "Linear_Regression"


def test_refresh_loads_a_new_snapshot_into_the_history(own):
    (before,) = own.predict([request(coin="Bitcoin", date="2025-08-05")], now=dt.datetime(2025, 8, 5, tzinfo=dt.UTC))
    store = TableStore(own.settings)
    rows = store.read("cleaned_snapshots", ["2025-07"])
    shifted = rows[rows["date"] == rows["date"].max()].assign(date=pd.Timestamp("2025-08-02"))
    store.write("cleaned_snapshots", shifted, ["2025-08"])
    model = own.snapshot.champion.loaded
    assert own.refresh()
    assert own.snapshot.newest == dt.date(2025, 8, 2)
    assert own.snapshot.champion.loaded is model
    (after,) = own.predict([request(coin="Bitcoin", date="2025-08-05")], now=dt.datetime(2025, 8, 5, tzinfo=dt.UTC))
    assert (before["basis"], after["basis"]) == ("snapshot", "history")


def test_with_a_damaged_current_model_the_earlier_one_serves(own):
    first = own.snapshot.champion.version
    broken = promote_again(own.settings)
    (own.settings.models_dir / f"{broken}.pkl").write_bytes(b"no pickle")
    fresh = Predictor(own.settings)
    for predictor in (own, fresh):
        predictor.refresh()
        assert predictor.snapshot.champion.version == first
        assert broken in predictor.problem
        assert predictor.predict([request()], now=NOW)


def test_a_current_model_repaired_in_place_is_loaded(own):
    second = promote_again(own.settings)
    artifact = own.settings.models_dir / f"{second}.pkl"
    sound = artifact.read_bytes()
    artifact.write_bytes(b"no pickle")
    own.refresh()
    assert own.snapshot.champion.version != second
    artifact.write_bytes(sound)
    own.refresh()
    assert (own.snapshot.champion.version, own.problem) == (second, "")


def test_a_lost_pointer_is_reported_until_it_is_rewritten(own):
    version, model = own.snapshot.champion.version, own.snapshot.champion.loaded
    (own.settings.models_dir / "current.pkl").unlink()
    assert own.refresh()
    assert (own.snapshot.champion.version, own.snapshot.champion.loaded) == (version, model)
    assert own.problem.startswith(f"current.pkl is missing: in the ledger {version} is current")
    open_model_store(own.settings).rollback(version, at=dt.datetime.now(dt.UTC))
    assert own.refresh()
    assert (own.snapshot.champion.version, own.problem) == (version, "")


def test_without_a_valid_model_the_loaded_one_serves(own):
    first, shown = own.snapshot.champion.version, own.snapshot.champion.model_version
    broken = promote_again(own.settings)
    for version in (first, broken):
        (own.settings.models_dir / f"{version}.pkl").write_bytes(b"no pickle")
    assert not own.refresh()
    assert own.snapshot.champion.version == first
    assert broken in own.problem
    assert own.predict([request()], now=NOW)[0]["model_version"] == shown


def test_a_home_without_a_champion_names_the_command(tmp_path):
    predictor = Predictor(make_settings(home_dir=tmp_path))
    assert not predictor.refresh()
    with pytest.raises(NotReadyError, match="cryptoliq materialize"):
        predictor.predict([request()])


def test_a_home_without_tables_predicts_from_the_snapshot(own):
    shutil.rmtree(own.settings.data_dir)
    fresh = Predictor(own.settings)
    assert fresh.refresh()
    (answer,) = fresh.predict([request(coin="Bitcoin")], now=NOW)
    assert (answer["basis"], answer["percentile"]) == ("snapshot", None)


def test_the_old_snapshot_serves_until_the_new_one_is_loaded(own, monkeypatch):
    first, second = own.snapshot.champion.model_version, promote_again(own.settings)
    entered, go_on = threading.Event(), threading.Event()
    read = StoredHistory.from_rows

    def slowly(rows, *, formula):
        entered.set()
        assert go_on.wait(30)
        return read(rows, formula=formula)

    monkeypatch.setattr(StoredHistory, "from_rows", slowly)
    held, loading = own.snapshot, threading.Thread(target=own.refresh)
    loading.start()
    assert entered.wait(30)
    assert own.snapshot is held
    assert own.predict([request()], now=NOW)[0]["model_version"] == first
    go_on.set()
    loading.join(30)
    assert own.snapshot is not held
    assert load_champion(own.settings).version == second
    shown = open_model_store(own.settings).model_version(second)
    assert own.predict([request()], now=NOW)[0]["model_version"] == shown


# Coins without recent history.


@hypothesis_settings(max_examples=30)
@given(place=st.integers(0, 10_000), days=st.integers(4, 31), volume=st.floats(1e3, 1e11), known=st.booleans())
def test_a_stale_coin_is_predicted_like_an_unknown_one(predictor, tables, place, days, volume, known):
    cleaned, _ = tables
    last = cleaned.groupby("coin", observed=True)["date"].max()
    coin = str(last.index[place % len(last)])
    date = (last.iloc[place % len(last)] + pd.Timedelta(days=days)).date()
    now = dt.datetime.combine(date, dt.time(12), dt.UTC)
    cap = {} if known else {"mkt_cap": None}
    stale, bare = predictor.predict(
        [
            request(coin=coin, date=str(date), **{"24h_volume": volume}, **cap),
            request(date=str(date), **{"24h_volume": volume}, **cap),
        ],
        now=now,
    )
    assert stale["flags"].pop("stale_history") is True
    assert bare["flags"].pop("stale_history") is False
    assert stale == bare


@pytest.mark.parametrize("lacking", ["7d", "24h"])
def test_a_request_without_a_change_has_its_own_interval(predictor, lacking):
    whole, partial = predictor.predict([request(), request(**{lacking: None})], now=NOW)
    table, half = predictor.snapshot.intervals, (partial["upper"] - partial["lower"]) / 2
    source = table.source_of(f"without_history:no_{lacking}")
    assert source in (f"without_history:no_{lacking}", "partial:pooled")
    assert half == pytest.approx(table.half_widths[source])
    assert half != pytest.approx((whole["upper"] - whole["lower"]) / 2)


def test_a_coin_gone_for_months_is_stale_and_a_new_one_is_not(own):
    store = TableStore(own.settings)
    rows = store.read("cleaned_snapshots", ["2025-07"])
    # Stored in January alone, five months before anything that is held.
    shifted = rows.assign(
        date=rows["date"] - pd.Timedelta(days=181), coin=rows["coin"].cat.rename_categories(lambda name: f"old {name}")
    )
    store.write("cleaned_snapshots", shifted[shifted["date"].dt.strftime("%Y-%m") == "2025-01"], ["2025-01"])
    own.snapshot = None
    assert own.refresh()
    assert "old Bitcoin" not in own.snapshot.history.codes
    old, new = own.predict([request(coin="old Bitcoin"), request(coin="new Bitcoin")], now=NOW)
    assert (old["basis"], old["flags"]["stale_history"]) == ("snapshot", True)
    assert (new["basis"], new["flags"]["stale_history"]) == ("snapshot", False)
    assert old["liquidity_score"] == new["liquidity_score"]
    # Of the months held, but beyond the 90 days that windows reach.
    far = dt.datetime(2025, 11, 20, tzinfo=dt.UTC)
    (answer,) = own.predict([request(coin="Bitcoin")], now=far)
    assert answer["flags"]["stale_history"] is True


def test_damaged_forecasts_only_remove_the_percentile(own):
    store = own.store
    path = store.path("forecasts", store.months("forecasts")[-1])
    whole = path.read_bytes()
    path.write_bytes(b"")
    assert own.refresh()
    assert f"{path} is damaged" in own.problem
    assert not own.refresh()
    assert f"{path} is damaged" in own.problem
    [answer] = own.predict([request()], now=NOW)
    assert answer["percentile"] is None
    assert answer["liquidity_score"] > 0
    with pytest.raises(DamagedTableError):
        load_latest_forecasts(own.settings, store)
    path.write_bytes(whole)
    assert own.refresh()
    assert own.problem == ""
