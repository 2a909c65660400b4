"""The schema of a stored model's metadata, and the check that they are the values that were promoted.

Add a field here when service, dashboard, forecasts, promotion or status read it without a default. How metadata are made
belongs in `modeling.registry.metadata`.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    PositiveInt,
    StrictBool,
    StrictStr,
    ValidationError,
    model_validator,
)

from cryptoliq_assets.labels import FORMULAS
from cryptoliq_assets.modeling.registry.audit_log import canonical_json, sha256_of
from cryptoliq_assets.modeling.registry.serialization import ModelRejectedError, check_artifact

# As `conformal.POOLED` and the evaluations of `splits`: those modules import numba, and this one is imported at startup.
POOLED = "pooled"
Evaluation = Literal["over_time", "by_coin"]


def _check_formula(name: str) -> str:
    if name not in FORMULAS:
        raise ValueError(f"expected one of {', '.join(FORMULAS)}")
    return name


def _check_date(text: str) -> str:
    dt.date.fromisoformat(text)
    return text


def _check_time(text: str) -> str:
    dt.datetime.fromisoformat(text)
    return text


Number = Annotated[FiniteFloat, Field(strict=True)]
Count = Annotated[PositiveInt, Field(strict=True)]


class _Model(BaseModel):
    """Fields that are not declared are allowed and not checked."""

    model_config = ConfigDict(extra="allow", frozen=True)


class IntervalMetadata(_Model):
    """Nominal coverage, half-widths by group, and the number of residuals behind each."""

    level: Annotated[Number, Field(gt=0.0, lt=1.0)]
    half_widths: dict[StrictStr, Annotated[Number, Field(ge=0.0)]]
    counts: dict[StrictStr, Any]

    @model_validator(mode="after")
    def _check_groups(self) -> Self:
        if POOLED not in self.half_widths:
            raise ValueError(f"half_widths lack {POOLED}")
        for name in self.half_widths:
            count = self.counts.get(name)
            if type(count) is not int or count < 1:
                raise ValueError(f"counts lack {name}")
        return self


class MetricMetadata(_Model):
    """Mean skill (None where it is undefined) and the metrics fold by fold."""

    skill: Number | None
    folds: list[Any]


class CoverageMetadata(_Model):
    """Coverage by group, over all folds, at a nominal level."""

    level: Number
    pooled: dict[StrictStr, Any]


class ModelMetadata(_Model):
    """The fields of models/<version>.json that are read without a default."""

    formula: Annotated[StrictStr, AfterValidator(_check_formula)]
    horizon_days: Count
    known_until: Annotated[StrictStr, AfterValidator(_check_date)]
    promoted_at: Annotated[StrictStr, AfterValidator(_check_time)]
    evaluation: Evaluation
    provisional: StrictBool
    features: Annotated[list[StrictStr], Field(min_length=1)]
    intervals: IntervalMetadata
    metrics: MetricMetadata
    folds: list[Any]
    coverage: CoverageMetadata
    input_ranges: dict[StrictStr, Annotated[list[Number], Field(min_length=2, max_length=2)]]


def digests(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields of a promotion in the audit log: sha256 of the artifact and of the metadata."""
    return {"sha256": metadata["sha256"], "metadata_sha256": sha256_of(canonical_json(metadata))}


def check_stored(
    metadata: Mapping[str, Any], sha256: str, *, promotion: Mapping[str, Any] | None, signing_key: bytes | None
) -> None:
    """Check artifact and metadata of a stored model without unpickling.

    Args:
        metadata: The metadata as read.
        sha256: Digest of the artifact as read.
        promotion: The audit log's entry of its promotion; None without one.
        signing_key: Key that the metadata must be signed with; None if signatures are not required.

    Raises:
        ModelRejectedError: As in `serialization.check_artifact` and `check_fields`; or the metadata were changed.
    """
    promotion = promotion or {}
    check_artifact(sha256, metadata, expected_sha256=promotion.get("sha256"), signing_key=signing_key)
    _check_registered(metadata, promotion.get("metadata_sha256"))
    check_fields(metadata)


def check_fields(metadata: Mapping[str, Any]) -> None:
    """Check the fields of metadata.

    Raises:
        ModelRejectedError: Fields are missing or invalid; the message names them.
    """
    try:
        ModelMetadata.model_validate(dict(metadata))
    except ValidationError as error:
        invalid = dict.fromkeys(str(detail["loc"][0]) for detail in error.errors(include_input=False))
        name = metadata.get("version", "the model")
        raise ModelRejectedError(
            f"{name}: missing or invalid in its metadata: {', '.join(invalid)}; restore them or roll back"
        ) from None


def _check_registered(metadata: Mapping[str, Any], expected: object) -> None:
    name = metadata.get("version", "the model")
    if expected is None:
        raise ModelRejectedError(f"{name}: its promotion in the audit log has no sha256 of its metadata: train again")
    try:
        sha256 = digests(metadata)["metadata_sha256"]
    except ValueError as error:
        raise ModelRejectedError(
            f"{name}: its metadata contain values that JSON cannot represent ({error}); restore them or roll back"
        ) from error
    if sha256 != expected:
        raise ModelRejectedError(
            f"{name}: sha256 of its metadata is {sha256[:12]}…, in the audit log {str(expected)[:12]}…: changed since the "
            "promotion; restore them or roll back"
        )
