"""Pages Market and Coin: forecasts, movers, histories, forecast vs. actual."""

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from cryptoliq_assets.core.atomic_write import write_json
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.dashboard import (
    SCRIPT,
    check_page,
    metrics,
    open_page,
    page_text,
    table_with_column,
)


def test_market_shows_forecasts_movers_and_deterioration(app_environment, trained_home, settings):
    app_environment(home=trained_home.path)
    test = check_page(open_page("market"))
    stored = pd.read_parquet(settings.data_dir / "forecasts")
    assert metrics(test)["Coins"] == str(len(stored))
    assert "2025-08-01" in page_text(test)
    deteriorated, all_rows = (frame.value for frame in test.dataframe)
    assert len(all_rows) == len(stored)
    assert (deteriorated["below_mean"] < 0).all()
    assert deteriorated["below_mean"].is_monotonic_increasing
    assert deteriorated["below_mean"].min() == all_rows["below_mean"].min()
    test.text_input(key="find").set_value("bitco").run()
    assert check_page(test).dataframe[1].value["coin"].tolist() == ["Bitcoin"]


def test_coin_page_shows_history_and_forecast(app_environment, trained_home):
    app_environment(home=trained_home.path)
    test = check_page(open_page("coin"))
    assert test.selectbox(key="coin").value == "Bitcoin"
    assert "Forecast, 2025-08-01" in metrics(test)
    assert "No actual value for a forecast of this coin yet" in page_text(test)


def test_coin_in_the_url_is_selected(app_environment, trained_home):
    app_environment(home=trained_home.path)
    test = AppTest.from_file(str(SCRIPT), default_timeout=60).run().switch_page("pages/coin.py")
    test.query_params["coin"] = "Ethereum"
    assert "Ethereum (ETH)" in page_text(check_page(test.run()))


def test_stale_coin_is_shown_up_to_its_last_day(copied):
    store = TableStore(copied)
    for table in ("cleaned_snapshots", "forecasts"):
        rows = store.read(table, ["2025-07"])
        store.write(table, rows[(rows["coin"] != "Ethereum") | (rows["date"] < "2025-07-20")], ["2025-07"])
    write_json(copied.reports_dir / "forecasts.json", {"stale": [{"coin": "Ethereum", "last_seen": "2025-07-19"}]})
    test = check_page(open_page("coin"))
    test.selectbox(key="coin").set_value("Ethereum").run()
    assert "No forecast: the coin is missing from the snapshot of 2025-07-31. Last seen 2025-07-19" in page_text(
        check_page(test)
    )


def test_past_forecasts_are_compared_with_actual_values(copied):
    store = TableStore(copied)
    newest = store.read("forecasts")
    before = newest.assign(**{name: newest[name] - pd.Timedelta(days=1) for name in ("date", "target_date")})
    before["known_until"] = before["date"]
    plain = {"coin": object, "model_version": object}
    store.write("forecasts", pd.concat([newest.astype(plain), before.astype(plain)]), ["2025-07"])
    test = check_page(open_page("coin"))
    (table,) = (frame.value for frame in test.dataframe)
    assert table["target_date"].tolist() == ["2025-07-31"]
    labels = store.read("labels", ["2025-07"], coin="Bitcoin").set_index("date")
    assert table["realised"].iloc[0] == labels.loc["2025-07-31", "liquidity_score"]
    error = table["liquidity_score"].iloc[0] - table["realised"].iloc[0]
    assert table["error"].iloc[0] == pytest.approx(error, abs=0.0005)


def test_new_snapshot_shows_without_a_restart(copied):
    test = check_page(open_page("market"))
    coins = int(metrics(test)["Coins"])
    store = TableStore(copied)
    store.write("forecasts", store.read("forecasts").iloc[1:], ["2025-07"])
    assert metrics(check_page(test.run()))["Coins"] == str(coins - 1)


def test_change_that_rounds_to_zero_is_no_mover(copied):
    store = TableStore(copied)
    forecasts = store.read("forecasts", ["2025-07"])
    features = store.read("engineered_features", ["2025-07"])
    scores = features[features["date"] == forecasts["date"].max()].set_index("coin")["liquidity_score"]
    forecasts["liquidity_score"] = scores.reindex(forecasts["coin"].astype(str)).to_numpy() - 0.0003
    forecasts["lower"], forecasts["upper"] = forecasts["liquidity_score"] - 0.1, forecasts["liquidity_score"] + 0.1
    store.write("forecasts", forecasts, ["2025-07"])
    test = check_page(open_page("market"))
    assert metrics(test)["Median change"] == "0.000"
    assert {"Gaining liquidity: no coin.", "Losing liquidity: no coin."} <= {caption.value for caption in test.caption}
    changes = table_with_column(test, "change")["change"]
    assert (changes == 0).all()
    assert not np.signbit(changes).any()
