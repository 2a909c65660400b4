"""Response models of the read-only routes, for the OpenAPI description.

`serving.views` builds the values. Models of predictions belong in `serving.request_models`.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

_ITEM: dict[str, Any] = {
    "coin": "Bitcoin",
    "symbol": "BTC",
    "liquidity_score": 0.8412,
    "lower": 0.8034,
    "upper": 0.879,
    "today": 0.8377,
    "change": 0.0035,
    "mean_30d": 0.8402,
    "below_mean": 0.001,
    "price": 61250.5,
    "24h": -1.8,
    "24h_volume": 24800000000.0,
    "mkt_cap": 1205000000000.0,
    "rank": 1,
    "filled": False,
    "outlier": False,
}
_FORECAST: dict[str, Any] = {
    "date": "2025-07-31",
    "target_date": "2025-08-01",
    "model_version": "2025-07-31_v1",
    "made_at": "2025-08-01T00:10:00Z",
    "liquidity_score": 0.8412,
    "lower": 0.8034,
    "upper": 0.879,
    "filled": False,
    "outlier": False,
}
_FILLED = Field(description="Price or volume was missing on that date, and was filled from another date.")
_OUTLIER = Field(
    description="Price or volume was an outlier on that date, and was replaced by values of the days before."
)
_SNAPSHOT: dict[str, Any] = {
    "date": "2025-07-31",
    "price": 61250.5,
    "1h": 0.12,
    "24h": -1.8,
    "7d": 4.6,
    "24h_volume": 24800000000.0,
    "mkt_cap": 1205000000000.0,
    "liquidity_ratio": 0.0206,
    "price_change_24h": -1122.7,
}


class ForecastItem(BaseModel):
    """A coin's newest forecast and its current values. `change` is the forecast minus the current score (`today`), `below_mean` the
    forecast minus the 30-day mean (positive if above it)."""

    coin: str
    symbol: str | None
    liquidity_score: float
    lower: float
    upper: float
    today: float | None
    change: float | None
    mean_30d: float | None
    below_mean: float | None
    price: float | None
    change_24h: float | None = Field(alias="24h", description="Percent.")
    volume: float | None = Field(alias="24h_volume", description="USD.")
    mkt_cap: float | None
    rank: int | None
    filled: bool = _FILLED
    outlier: bool = _OUTLIER


class Forecasts(BaseModel):
    """A page of the newest forecasts; `count` is the number of all that match the search."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **{name: _FORECAST[name] for name in ("date", "target_date", "model_version", "made_at")},
                    "count": 1,
                    "offset": 0,
                    "items": [_ITEM],
                }
            ]
        }
    )

    date: str | None
    target_date: str | None
    model_version: str | None
    made_at: str | None
    count: int
    offset: int
    items: list[ForecastItem]


class Day(BaseModel):
    """A coin's stored values of one date."""

    date: str
    liquidity_score: float | None
    price: float | None
    volume: float | None = Field(alias="24h_volume")
    mkt_cap: float | None


class Forecast(BaseModel):
    """A stored forecast; `realised` is the actual score, null until it is known."""

    date: str
    target_date: str
    liquidity_score: float
    lower: float
    upper: float
    filled: bool = _FILLED
    outlier: bool = _OUTLIER
    model_version: str
    made_at: str
    realised: float | None


class Latest(BaseModel):
    """The forecast from the newest date, by the current model."""

    date: str
    target_date: str
    model_version: str
    made_at: str
    liquidity_score: float
    lower: float
    upper: float
    filled: bool = _FILLED
    outlier: bool = _OUTLIER
    symbol: str | None = None
    today: float | None
    mean_30d: float | None
    change: float | None
    below_mean: float | None


class Snapshot(BaseModel):
    """A coin's newest row, with the fields of a prediction request."""

    date: str
    price: float | None
    change_1h: float | None = Field(alias="1h")
    change_24h: float | None = Field(alias="24h")
    change_7d: float | None = Field(alias="7d")
    volume: float | None = Field(alias="24h_volume")
    mkt_cap: float | None
    liquidity_ratio: float | None
    price_change_24h: float | None


class Coin(BaseModel):
    """One coin: its scores, and its forecasts with the actual scores."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "coin": "Bitcoin",
                    "symbol": "BTC",
                    "history": [
                        {name: _SNAPSHOT[name] for name in ("date", "price", "24h_volume", "mkt_cap")}
                        | {"liquidity_score": 0.8377}
                    ],
                    "forecasts": [{**_FORECAST, "realised": None}],
                    "latest": {
                        **_FORECAST,
                        **{name: _ITEM[name] for name in ("symbol", "today", "mean_30d", "change", "below_mean")},
                    },
                    "snapshot": _SNAPSHOT,
                }
            ]
        }
    )

    coin: str
    symbol: str | None
    history: list[Day]
    forecasts: list[Forecast]
    latest: Latest | None
    snapshot: Snapshot


class Model(BaseModel):
    """Metadata of the champion. There are more fields than these, which every champion has."""

    model_config = ConfigDict(
        extra="allow",
        protected_namespaces=(),
        json_schema_extra={
            "examples": [
                {
                    "version": "XGBoost_v3",
                    "model_name": "XGBoost",
                    "model_version": "2025-07-31_v1",
                    "formula": "kyle_obizhaeva",
                    "promoted_at": "2025-07-31T03:16:00+00:00",
                    "passed_over": [],
                }
            ]
        },
    )

    version: str = Field(description="Key in the model registry: models/<version>.pkl.")
    model_name: str
    model_version: str = Field(description="Version as in forecasts and predictions.")
    formula: str
    promoted_at: str
    passed_over: list[str] = Field(description="Why newer models do not serve.")


class Health(BaseModel):
    """Liveness: the process responds."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "ok"}]})

    status: Literal["ok"]


class Ready(BaseModel):
    """Readiness. If keys are configured, unauthenticated callers see only the status."""

    model_config = ConfigDict(
        protected_namespaces=(),
        json_schema_extra={
            "examples": [
                {
                    "status": "ready",
                    "model_version": "2025-07-31_v1",
                    "newest_snapshot": "2025-07-31",
                    "problem": None,
                }
            ]
        },
    )

    status: Literal["ready"]
    model_version: str | None = None
    newest_snapshot: str | None = None
    problem: str | None = Field(None, description="Problems of a service that is ready.")
