"""What the service takes and gives: the request is the contract's body, strictly; the answer says how it was made.

Fields have the contract's names and units. What is not stated is unknown, never zero; what is stated is held to its bounds.
"""

import datetime as dt
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from cryptoliq_assets.modeling.estimators import MODEL_NAMES, MODEL_VERSION
from cryptoliq_assets.schemas import AMOUNTS, CHANGE_COLUMNS, PLAUSIBLE_BOUNDS, Bounds


def _zero_or(bounds: Bounds) -> Any:
    """The type of a number that is 0 or within bounds; without a sign."""

    def check(value: float) -> float:
        if not bounds.contains(value):
            raise PydanticCustomError("out_of_bounds", "Input should be {bounds}", {"bounds": str(bounds)})
        return value

    plausible = {"type": "number", "minimum": bounds.minimum, "maximum": bounds.maximum}
    schema = {"anyOf": [plausible, {"type": "number", "minimum": 0, "maximum": 0}]}
    return Annotated[float, Field(ge=0, allow_inf_nan=False), AfterValidator(check), WithJsonSchema(schema)]


_Dollars = _zero_or(AMOUNTS)
_Ratio = _zero_or(PLAUSIBLE_BOUNDS["liquidity_ratio"])
_MOST_CHANGE = PLAUSIBLE_BOUNDS["24h"].maximum
_Change = Annotated[float, Field(ge=-100, le=_MOST_CHANGE, allow_inf_nan=False)]
_MOST_DIFFERENCE = PLAUSIBLE_BOUNDS["price_change_24h"].maximum
MAX_NAME_LENGTH = 200
# Changes of rows of a file, which no pydantic reads; its other numbers are within the bounds once they are parsed.
CHANGE_BOUNDS = dict.fromkeys(CHANGE_COLUMNS, (-100.0, _MOST_CHANGE))

REQUEST_EXAMPLE = {
    "price": 61250.5,
    "1h": 0.12,
    "24h": -1.8,
    "7d": 4.6,
    "24h_volume": 24800000000.0,
    "mkt_cap": 1205000000000.0,
    "liquidity_ratio": 0.0206,
    "price_change_24h": -1122.7,
    "coin": "Bitcoin",
}
RESPONSE_EXAMPLE = {
    "liquidity_score": 0.8412,
    "model": "XGBoost",
    "model_version": "2025-07-31_v1",
    "timestamp": "2025-08-01T09:30:00Z",
    "lower": 0.8034,
    "upper": 0.879,
    "level": 0.9,
    "horizon_days": 1,
    "basis": "history",
    "percentile": 99.8,
    "flags": {"volatility_floored": False, "out_of_range": [], "stale_history": False},
}


class PredictRequest(BaseModel):
    """One coin as a snapshot shows it. `coin` brings in its stored history; `date` is the day of the snapshot."""

    model_config = ConfigDict(
        extra="forbid", strict=True, populate_by_name=False, json_schema_extra={"examples": [REQUEST_EXAMPLE]}
    )

    price: Annotated[float, Field(ge=AMOUNTS.minimum, le=AMOUNTS.maximum, allow_inf_nan=False, description="USD.")]
    change_1h: _Change | None = Field(None, alias="1h", description="Percent.")
    change_24h: _Change | None = Field(None, alias="24h", description="Percent.")
    change_7d: _Change | None = Field(None, alias="7d", description="Percent.")
    volume: _Dollars = Field(alias="24h_volume", description="USD traded in 24 hours; 0 where nothing was.")
    mkt_cap: _Dollars | None = Field(None, description="USD; 0 or null: unknown.")
    liquidity_ratio: _Ratio | None = Field(None, description="24h_volume / mkt_cap; derived, held to its range only.")
    price_change_24h: Annotated[float, Field(ge=-_MOST_DIFFERENCE, le=_MOST_DIFFERENCE, allow_inf_nan=False)] | None = (
        Field(None, description="USD; derived, held to its range only.")
    )
    high_24h: _Dollars | None = Field(None, description="Highest price of the last 24 hours, USD; 0 or null: unknown.")
    low_24h: _Dollars | None = Field(None, description="Lowest price of the last 24 hours, USD; 0 or null: unknown.")
    coin: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_NAME_LENGTH)] | None = (
        Field(
            None, description="Name of the coin in the stored tables; without it the forecast rests on this body alone."
        )
    )
    date: dt.date | None = Field(None, description="Day of the snapshot; default: today (UTC).")


def format_timestamp(moment: dt.datetime) -> str:
    """A moment as answers show it: 2025-11-14T15:38:10Z."""
    return f"{moment.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"


def parse_request(body: Mapping[str, Any]) -> PredictRequest:
    """A request from Python's own values, dates among them; raises pydantic.ValidationError."""
    return PredictRequest.model_validate_json(json.dumps(body, default=str))


class BatchRequest(BaseModel):
    """Some requests at once."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"rows": [REQUEST_EXAMPLE]}]}
    )

    rows: Annotated[list[PredictRequest], Field(min_length=1)]


class Flags(BaseModel):
    """What to know before one relies on an answer."""

    volatility_floored: bool = Field(description="The price hardly moves: a peg, or stale prices.")
    out_of_range: list[str] = Field(description="Fields outside the 0.1 to 99.9 % of the training rows.")
    stale_history: bool = Field(description="The coin's newest stored row is more than 3 days older than the request.")


class PredictResponse(BaseModel):
    """The score expected a horizon later, its interval, and what it rests on."""

    model_config = ConfigDict(json_schema_extra={"examples": [RESPONSE_EXAMPLE]})

    liquidity_score: float
    model: Literal[*MODEL_NAMES.values()]
    model_version: str = Field(description="Day of the promotion and its number on that day.", pattern=MODEL_VERSION)
    timestamp: str = Field(description="UTC, to the second.", pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$")
    lower: float
    upper: float
    level: float
    horizon_days: int
    basis: Literal["history", "snapshot"]
    percentile: float | None = Field(
        description="Share of the latest forecasts (percent) at most as high; null: none yet."
    )
    flags: Flags


class BatchResponse(BaseModel):
    """Answers in the order of the rows."""

    answers: list[PredictResponse]


class FieldError(BaseModel):
    """What is wrong with a field."""

    field: str
    message: str


class Problem(BaseModel):
    """An error, as RFC 9457 has it."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []
