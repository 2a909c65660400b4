"""Requests of predictions, and the time of the requests."""

import datetime as dt
import json

from cryptoliq_assets.serving.request_models import PredictRequest

NOW = dt.datetime(2025, 8, 1, 9, tzinfo=dt.UTC)
NUMBERS = ("price", "1h", "24h", "7d", "24h_volume", "mkt_cap")
BODY = {"price": 100.0, "1h": 0.1, "24h": -1.5, "7d": 3.0, "24h_volume": 2e9, "mkt_cap": 1e11}


def request(**values) -> PredictRequest:
    """Return a request with these values and the defaults of BODY."""
    return PredictRequest.model_validate_json(json.dumps({**BODY, **values}))
