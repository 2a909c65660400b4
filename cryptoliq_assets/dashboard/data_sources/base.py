"""What every source of the dashboard's numbers offers: a home on this machine, or the service of one.

The same methods with the same values. What goes wrong is a `Problem` (`dashboard/error_messages.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True)
class ForecastFile:
    """A CSV with forecasts added, refused rows with the reason; the unit in which its changes were taken, and what is not
    certain of it ("" where all is)."""

    content: bytes
    unit: str | None
    doubts: str


class HomeSource(Protocol):
    """What only a home can tell."""

    def key(self) -> str:
        """Another text when reports, ledger or catalogue were written anew."""

    def models(self) -> dict[str, Any]:
        """As home_views.build_models_view."""

    def health(self) -> dict[str, Any]:
        """As home_views.build_health_view."""

    def stale(self) -> list[str]:
        """Coins that were seen in the last 90 days and are not in the newest snapshot."""

    def card(self) -> str | None:
        """The page of the current model's card; None where it has none."""


class Source(Protocol):
    """Each method may raise Problem. `name` says where the numbers come from; `home` is None for a service."""

    name: str
    home: HomeSource | None

    def key(self) -> str:
        """Another text when `forecasts`, `coin` or `model` may answer otherwise than before."""

    def forecasts(self) -> dict[str, Any]:
        """As views.load_latest_forecasts, all coins."""

    def coin(self, name: str) -> dict[str, Any] | None:
        """As views.build_coin_view; None for a coin that nobody knows."""

    def model(self) -> dict[str, Any] | None:
        """As views.build_model_view; None while there is no champion."""

    def predict(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A forecast of one row of the contract's fields, with optional `coin` and `date`."""

    def predict_csv(self, content: bytes) -> ForecastFile:
        """A CSV of rows to forecast, its unit found out."""
