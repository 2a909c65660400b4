"""Protocol of the data sources: the same methods with the same values for a data directory and a service.

Add a method here when a page needs another value from both. Errors are `UserFacingError`s of `dashboard/error_messages.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class ForecastFile:
    """A CSV file with forecasts added.

    Attributes:
        content: The file; rejected rows have a reason instead of a forecast.
        unit: Unit in which the changes were read, percent or fraction; None if unknown.
        doubts: What about the unit is uncertain; empty if nothing is.
    """

    content: bytes
    unit: str | None
    doubts: str


class HomeSource(Protocol):
    """Values that only a data directory has."""

    def cache_key(self) -> str:
        """Return a text that changes when reports, audit log or catalog change."""

    def load_models(self) -> dict[str, Any]:
        """Return the values of `home_views.build_models_view`."""

    def load_health(self) -> dict[str, Any]:
        """Return the values of `home_views.build_health_view`."""

    def list_stale_coins(self) -> list[str]:
        """Return the coins of the last 90 days that are missing from the newest snapshot."""

    def read_model_card(self) -> str | None:
        """Return the model card of the current model as HTML; None if it has none."""


class Source(Protocol):
    """A source of the dashboard's values. Each method may raise UserFacingError.

    Attributes:
        name: Where the values come from, as shown in the menu.
        home: The data directory; None for a service.
    """

    name: str
    home: HomeSource | None

    def cache_key(self) -> str:
        """Return a text that changes when forecasts, coins or model may have changed."""

    def load_forecasts(self) -> dict[str, Any]:
        """Return the values of `views.load_latest_forecasts`, for all coins."""

    def load_coin(self, name: str) -> dict[str, Any] | None:
        """Return the values of `views.build_coin_view`; None for an unknown coin."""

    def load_model(self) -> dict[str, Any] | None:
        """Return the values of `views.build_model_view`; None if there is no champion."""

    def predict(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Forecast one row with the fields of the contract and optional `coin` and `date`."""

    def predict_csv(self, content: bytes) -> ForecastFile:
        """Forecast the rows of a CSV file; the unit of the changes is inferred."""
