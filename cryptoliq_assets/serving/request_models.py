"""Request and response models of predictions. Validation of requests is strict.

Fields have the names and units of the data contract. An absent field is unknown, never zero; a present one must be within its
bounds. Responses of read-only routes belong in `api.response_models`.
"""

import datetime as dt
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from cryptoliq_assets.modeling.estimators import MODEL_NAMES, MODEL_VERSION
from cryptoliq_assets.schemas import AMOUNTS, CHANGE_COLUMNS, PLAUSIBLE_BOUNDS, Bounds


def _check_bounds(bounds: Bounds) -> AfterValidator:
    """Return the validator of a non-negative number that is 0 or within bounds."""

    def check(value: float) -> float:
        if not bounds.contains(value):
            raise PydanticCustomError("out_of_bounds", "Input should be {bounds}", {"bounds": str(bounds)})
        return value

    return AfterValidator(check)


def _describe_bounds(bounds: Bounds) -> WithJsonSchema:
    """Return the JSON schema of such a number."""
    plausible = {"type": "number", "minimum": bounds.minimum, "maximum": bounds.maximum}
    return WithJsonSchema({"anyOf": [plausible, {"type": "number", "minimum": 0, "maximum": 0}]})


_NON_NEGATIVE = Field(ge=0, allow_inf_nan=False)
_Dollars = Annotated[float, _NON_NEGATIVE, _check_bounds(AMOUNTS), _describe_bounds(AMOUNTS)]
_RATIO_BOUNDS = PLAUSIBLE_BOUNDS["liquidity_ratio"]
_Ratio = Annotated[float, _NON_NEGATIVE, _check_bounds(_RATIO_BOUNDS), _describe_bounds(_RATIO_BOUNDS)]
_MAX_CHANGE = PLAUSIBLE_BOUNDS["24h"].maximum
_Change = Annotated[float, Field(ge=-100, le=_MAX_CHANGE, allow_inf_nan=False)]
_MAX_DIFFERENCE = PLAUSIBLE_BOUNDS["price_change_24h"].maximum
MAX_NAME_LENGTH = 200
# Bounds of changes in CSV rows, which pydantic does not validate. Their other numbers are checked against bounds by parsing.
CHANGE_BOUNDS = dict.fromkeys(CHANGE_COLUMNS, (-100.0, _MAX_CHANGE))

REQUEST_EXAMPLE: dict[str, Any] = {
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
RESPONSE_EXAMPLE: dict[str, Any] = {
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
    """One row of a snapshot. With `coin`, the coin's stored history is used; `date` is the date of the snapshot."""

    model_config = ConfigDict(
        extra="forbid", strict=True, populate_by_name=False, json_schema_extra={"examples": [REQUEST_EXAMPLE]}
    )

    price: Annotated[float, Field(ge=AMOUNTS.minimum, le=AMOUNTS.maximum, allow_inf_nan=False, description="USD.")]
    change_1h: _Change | None = Field(None, alias="1h", description="Percent.")
    change_24h: _Change | None = Field(None, alias="24h", description="Percent.")
    change_7d: _Change | None = Field(None, alias="7d", description="Percent.")
    volume: _Dollars = Field(alias="24h_volume", description="USD traded in 24 hours; 0 if nothing was traded.")
    mkt_cap: _Dollars | None = Field(None, description="USD; 0 or null: unknown.")
    liquidity_ratio: _Ratio | None = Field(
        None, description="24h_volume / mkt_cap; derived, so only its bounds are checked."
    )
    price_change_24h: Annotated[float, Field(ge=-_MAX_DIFFERENCE, le=_MAX_DIFFERENCE, allow_inf_nan=False)] | None = (
        Field(None, description="USD; derived, so only its bounds are checked.")
    )
    high_24h: _Dollars | None = Field(None, description="Highest price of the last 24 hours, USD; 0 or null: unknown.")
    low_24h: _Dollars | None = Field(None, description="Lowest price of the last 24 hours, USD; 0 or null: unknown.")
    coin: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_NAME_LENGTH)] | None = (
        Field(
            None,
            description="Name of the coin in the stored tables; without it, the forecast uses only the values of this request.",
        )
    )
    date: dt.date | None = Field(None, description="Date of the snapshot; default: today (UTC).")


def format_timestamp(moment: dt.datetime) -> str:
    """Format a time as responses show it: in UTC, to the second.

    Example:
        >>> format_timestamp(dt.datetime(2025, 11, 14, 15, 38, 10, tzinfo=dt.UTC))
        '2025-11-14T15:38:10Z'
    """
    return f"{moment.astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}"


def parse_request(body: Mapping[str, Any]) -> PredictRequest:
    """Parse a request from Python values.

    Args:
        body: Values by field name; dates may be `datetime.date`.

    Returns:
        The request.

    Raises:
        pydantic.ValidationError: If a field is missing, unknown, of another type, or out of bounds.

    Example:
        >>> parse_request({"price": 1.5, "24h_volume": 1e6}).volume
        1000000.0
    """
    return PredictRequest.model_validate_json(json.dumps(body, default=str))


class BatchRequest(BaseModel):
    """Several requests."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"rows": [REQUEST_EXAMPLE]}]}
    )

    rows: Annotated[list[PredictRequest], Field(min_length=1)]


class Flags(BaseModel):
    """Caveats of a prediction."""

    volatility_floored: bool = Field(description="The price hardly changes: a stablecoin, or stale prices.")
    out_of_range: list[str] = Field(description="Fields outside the 0.1 to 99.9 % quantiles of the training rows.")
    stale_history: bool = Field(description="The coin has stored rows, but none within the 3 days before the request.")


class PredictResponse(BaseModel):
    """The score expected one horizon later, its prediction interval, and the inputs used (`basis`)."""

    model_config = ConfigDict(json_schema_extra={"examples": [RESPONSE_EXAMPLE]})

    liquidity_score: float
    model: Literal[*MODEL_NAMES.values()]  # type: ignore[valid-type]
    model_version: str = Field(description="Date of the promotion, and its number on that date.", pattern=MODEL_VERSION)
    timestamp: str = Field(description="UTC, to the second.", pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$")
    lower: float
    upper: float
    level: float
    horizon_days: int
    basis: Literal["history", "snapshot"]
    percentile: float | None = Field(
        description="Percentage of the latest forecasts with the same or a lower score; null if there are none yet."
    )
    flags: Flags


class BatchResponse(BaseModel):
    """Predictions in the order of the rows."""

    answers: list[PredictResponse]


class FieldError(BaseModel):
    """An invalid field."""

    field: str
    message: str


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []
