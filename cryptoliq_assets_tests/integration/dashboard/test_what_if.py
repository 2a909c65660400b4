"""Page What if: forecasts of rows that are typed in, on a data directory and on a service."""

import time

import pandas as pd
import pytest

from cryptoliq_assets.dashboard.components import escape_markdown
from cryptoliq_assets_tests.support.dashboard import check_page, metrics, open_page, page_text


def test_what_if_sends_the_row_to_the_service(app_environment, service):
    app_environment(url=service.url, key=service.key)
    test = check_page(open_page("what_if"))
    test.selectbox(key="of").set_value("Bitcoin").run()
    with service.client() as client:
        snapshot = client.get("/forecasts/Bitcoin").json()["snapshot"]
    assert test.number_input(key="price of Bitcoin").value == snapshot["price"]
    for field, value in {"24h_volume": 5.0e15, "24h": 0.0, "7d": 0.0}.items():
        test.number_input(key=f"{field} of Bitcoin").set_value(value)
    began = time.time()
    test.button[0].click().run()
    check_page(test)
    (body,) = service.logged_inputs(began)
    assert set(body) == {
        *("price", "1h", "24h", "7d", "24h_volume", "mkt_cap", "liquidity_ratio", "price_change_24h"),
        *("coin", "date"),
    }
    assert (body["24h_volume"], body["date"], body["coin"]) == (5.0e15, "2025-07-31", "Bitcoin")
    assert (body["liquidity_ratio"], body["price_change_24h"]) == (5.0e15 / snapshot["mkt_cap"], 0.0)
    with service.client() as client:
        answer = client.post("/predict", json=body).json()
    values = metrics(test)
    assert values["Forecast, 1 day ahead"] == f"{answer['liquidity_score']:.3f}"
    assert values["90% interval"] == f"{answer['lower']:.3f} to {answer['upper']:.3f}"
    assert values["Percentile"] == f"{answer['percentile']:.1f}"
    assert "The service logs the request." in page_text(test)
    assert "24h volume, USD" in page_text(test)
    assert "below its floor" in page_text(test)


def test_what_if_of_a_stored_coin_equals_its_stored_forecast(app_environment, trained_home, settings):
    app_environment(home=trained_home.path)
    test = check_page(open_page("what_if"))
    test.selectbox(key="of").set_value("Bitcoin").run()
    test.button[0].click().run()
    stored = pd.read_parquet(settings.data_dir / "forecasts").set_index("coin").loc["Bitcoin"]
    assert metrics(check_page(test))["Forecast, 1 day ahead"] == f"{stored['liquidity_score']:.3f}"
    assert "the coin's stored days" in page_text(test)
    assert "The tables are not changed." in page_text(test)
    # The row is repeated: the form may have been edited since.
    price = test.number_input(key="price of Bitcoin").value
    assert "Forecast of the row: " + escape_markdown(f"Bitcoin, 2025-07-31: Price, USD {price:,.12g}; ") in page_text(
        test
    )


@pytest.mark.parametrize("where", ["home", "service"])
def test_rejected_row_names_labels_and_leaves_no_result(where, app_environment, trained_home, service):
    app_environment(**({"home": trained_home.path} if where == "home" else {"url": service.url, "key": service.key}))
    test = check_page(open_page("what_if"))
    for field, value in {"price": 47_000.0, "24h_volume": 1e9, "mkt_cap": 1e12}.items():
        test.number_input(key=f"{field} of None").set_value(value)
    test.button[0].click().run()
    assert "no coin was selected" in page_text(check_page(test))
    for field, value in {"price": -5.0, "24h": -250.0, "mkt_cap": -1.0}.items():
        test.number_input(key=f"{field} of None").set_value(value)
    test.button[0].click().run()
    (box,) = test.error
    assert box.value.startswith("**The row was rejected**")
    # Derived fields were not typed, so they are not rejected.
    assert [line.partition(":")[0] for line in box.value.split("\n\n")[1:]] == [
        *("- Price, USD", "- 24h change, %", "- Market cap, USD")
    ]
    assert metrics(test) == {}


def test_form_accepts_plausible_bounds_and_derives_from_them(app_environment, service):
    app_environment(url=service.url, key=service.key)
    test = open_page("what_if")
    for field, value in {"price": 1.0, "24h_volume": 1e18, "mkt_cap": 1e-18, "24h": 10.0}.items():
        test.number_input(key=f"{field} of None").set_value(value)
    began = time.time()
    test.button[0].click().run()
    check_page(test)
    (body,) = service.logged_inputs(began)
    assert body["liquidity_ratio"] == 1e18 / 1e-18
    assert body["price_change_24h"] == 1.0 - 1.0 / 1.1


def test_implausible_inputs_are_rejected_but_not_derived_ones(app_environment, service):
    app_environment(url=service.url, key=service.key)
    test = open_page("what_if")
    for field, value in {"price": 1.0, "24h_volume": 1e200, "mkt_cap": 1e-200}.items():
        test.number_input(key=f"{field} of None").set_value(value)
    test.button[0].click().run()
    (box,) = test.error
    assert [line.partition(":")[0] for line in box.value.split("\n\n")[1:]] == [
        "- 24h volume, USD",
        "- Market cap, USD",
    ]


def test_what_if_without_a_price_names_required_inputs(app_environment, service):
    app_environment(url=service.url, key=service.key)
    test = open_page("what_if")
    began = time.time()
    test.button[0].click().run()
    assert "Fill in Price, USD and 24h volume, USD" in test.error[0].value
    assert service.logged_inputs(began) == []


def test_row_rejected_by_the_service_names_its_fields(app_environment, service):
    app_environment(url=service.url, key=service.key)
    test = open_page("what_if")
    test.number_input(key="price of None").set_value(0.0)
    test.number_input(key="24h_volume of None").set_value(1.0)
    test.button[0].click().run()
    assert "**The row was rejected**" in test.error[0].value
    assert "- Price, USD: Input should be greater than or equal to 1e-18; got 0" in test.error[0].value
