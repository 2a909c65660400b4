"""Fields of a request: their values by name, and the longest body that they make."""

import numpy as np

from cryptoliq_assets.serving.gateway.body_limits import MAX_REQUEST_BYTES
from cryptoliq_assets.serving.predictor import _collect_numbers
from cryptoliq_assets.serving.request_models import MAX_NAME_LENGTH, PredictRequest, parse_request
from cryptoliq_assets.serving.snapshot import NUMBER_FIELDS

VALUES = {
    "price": 2.0,
    "1h": 0.1,
    "24h": 0.2,
    "7d": 0.3,
    "24h_volume": 1e6,
    "mkt_cap": 1e7,
    "liquidity_ratio": 0.25,
    "price_change_24h": -0.5,
    "high_24h": 2.5,
    "low_24h": 1.5,
}


def test_every_number_of_a_request_has_its_own_name():
    assert set(NUMBER_FIELDS) == set(VALUES)
    numbers = _collect_numbers([parse_request(VALUES), parse_request({"price": 3.0, "24h_volume": 2e6})])
    assert {name: values[0] for name, values in numbers.items()} == VALUES
    assert {name for name, values in numbers.items() if np.isnan(values[1])} == VALUES.keys() - {"price", "24h_volume"}


def test_a_market_cap_of_zero_is_unknown():
    (cap,) = _collect_numbers([parse_request({**VALUES, "mkt_cap": 0.0})])["mkt_cap"]
    assert np.isnan(cap)


def escaped(text: str) -> str:
    """The longest notation of a JSON string: every UTF-16 unit escaped."""
    units = np.frombuffer(text.encode("utf-16-le"), dtype="<u2")
    return '"' + "".join(f"\\u{unit:04x}" for unit in units) + '"'


def test_the_longest_request_takes_less_than_4_kib():
    texts = {"coin": escaped("\U0001f600" * MAX_NAME_LENGTH), "date": escaped("2025-01-01")}
    # The longest notation that a float of 17 digits needs.
    numbers = {name: f"{value:.16e}".rjust(24) for name, value in VALUES.items()}
    values = numbers | texts
    assert len(values) == len(PredictRequest.model_fields)
    body = "{" + ", ".join(f"{escaped(name)}: {value}" for name, value in values.items()) + "}"
    request = PredictRequest.model_validate_json(body)
    assert request.coin == "\U0001f600" * MAX_NAME_LENGTH
    assert len(body) < 4096 < MAX_REQUEST_BYTES
