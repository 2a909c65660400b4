"""Predictions: what the service's log says of them."""

import datetime as dt

from cryptoliq_assets.monitor.conditions import Condition
from cryptoliq_assets.settings import Settings


def prediction_conditions(settings: Settings, now: dt.datetime) -> list[Condition]:
    """None: the service's log is not looked at yet."""
    return []
