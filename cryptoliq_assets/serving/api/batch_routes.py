"""POST /predict/batch: many predictions at once, as JSON rows or as a CSV with the same fields.

Only HTTP belongs here: `serving.csv` predicts the rows of a CSV, `serving.predictor` those of JSON.
"""

import asyncio
import datetime as dt
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import to_json
from starlette.responses import Response, StreamingResponse

from cryptoliq_assets.core import make_log_entry
from cryptoliq_assets.serving import (
    REQUEST_EXAMPLE,
    BatchRequest,
    BatchResponse,
    NotReadyError,
    PredictRequest,
    ServingSnapshot,
    make_problem,
    openapi_responses,
)
from cryptoliq_assets.serving.api.state import BATCH, Service
from cryptoliq_assets.serving.csv import BatchPredictionSummary, predict_content
from cryptoliq_assets.serving.gateway import (
    CSV,
    JSON,
    MAX_REQUEST_BYTES,
    MAX_ROW_BYTES,
    check_media_type,
    client_identity,
    read_body,
)

# Size of the pieces of a streamed response: a slow client receives one within the request timeout, unlike a chunk of megabytes.
_PIECE_BYTES = 64 * 1024
_CSV_EXAMPLE = (
    "coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date\nBitcoin,BTC,61250.5,0.12,-1.8,4.6,2.48e10,1.2e12,2025-07-31\n"
)
_HEADERS = {
    "Cryptoliq-Unit": {
        "description": "CSV: the unit in which 1h, 24h and 7d were read.",
        "schema": {"type": "string", "enum": ["percent", "fraction"]},
    },
    "Cryptoliq-Doubts": {"description": "CSV: what is uncertain about the file.", "schema": {"type": "string"}},
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": BatchResponse,
        "description": "Responses in the order of the rows. For CSV: the input rows with the columns of the forecast appended, "
        "rejected rows with the reason.",
        "content": {CSV: {"schema": {"type": "string"}}},
        "headers": _HEADERS,
    }
}


class RowsRejectedError(ValueError):
    """Rows of a JSON batch cannot be predicted.

    Args:
        errors: {"field", "message"} of each invalid field.
    """

    def __init__(self, errors: list[dict[str, str]]) -> None:
        super().__init__(f"{len(errors)} rows are rejected")
        self.errors = errors


class _BatchQuery(BaseModel):
    """Query parameters of a batch."""

    model_config = ConfigDict(extra="forbid")

    unit: Literal["percent", "fraction", "auto"] = Field(
        "percent",
        description="Unit of 1h, 24h and 7d in a CSV; auto infers it from the file, and a header of the response states it.",
    )


class _RequestCancelledError(Exception):
    """The client of the batch has disconnected or its time is over."""


def add_batch_route(app: FastAPI, service: Service) -> None:
    """Add POST /predict/batch, with its limits from the settings.

    Args:
        app: Application to add the route to.
        service: State of the process.
    """
    max_rows = service.settings.api.max_batch_rows
    rows: Any = (Annotated[list[PredictRequest], Field(min_length=1, max_length=max_rows)], ...)
    bounded = create_model("BatchRequest", __base__=BatchRequest, rows=rows)

    @app.post(
        "/predict/batch",
        response_model=None,
        responses={**_RESPONSES, **openapi_responses(413, 415, 422)},
        openapi_extra={"requestBody": _describe_body(bounded)},
    )
    async def predict_batch(request: Request, query: Annotated[_BatchQuery, Query()]) -> Response:
        """Forecast many rows at once. JSON: up to CRYPTOLIQ_API__MAX_BATCH_ROWS rows, all or none of them accepted. CSV with the same
        fields: up to the body limit, each row accepted or rejected by itself; price and 24h_volume are required, and a row
        without a date is dated today."""
        scope = request.scope
        max_body = int(service.settings.api.max_body_mib * 2**20)
        if check_media_type(scope, JSON, CSV) == CSV:
            content = await read_body(
                scope, request.receive, max_bytes=max_body, limit="CRYPTOLIQ_API__MAX_BODY_MIB allows"
            )
            response, count = await _predict_csv(service, content, unit=query.unit)
        else:
            max_bytes = min(max_body, max(max_rows * MAX_ROW_BYTES, MAX_REQUEST_BYTES))
            body = await read_body(
                scope, request.receive, max_bytes=max_bytes, limit=f"{max_rows:,} rows may have: send CSV"
            )
            try:
                batch = (await asyncio.to_thread(bounded.model_validate_json, body)).rows
            except ValidationError as error:
                if error.error_count() == 1 and error.errors(include_input=False)[0]["type"] == "too_long":
                    return make_problem(413, f"more than {max_rows:,} rows in one JSON body: send fewer, or CSV")
                raise
            response, count = await _predict_json(service, batch), len(batch)
        service.limiter.charge(client_identity(scope), count)
        return response


def _describe_body(rows: type[BaseModel]) -> dict[str, Any]:
    """Describe the body for OpenAPI: FastAPI cannot derive it, because it has one of two media types."""
    schema = rows.model_json_schema(ref_template="#/components/schemas/{model}")
    return {
        "required": True,
        "content": {
            JSON: {
                "schema": {name: part for name, part in schema.items() if name != "$defs"},
                "example": {"rows": [REQUEST_EXAMPLE]},
            },
            CSV: {"schema": {"type": "string"}, "example": _CSV_EXAMPLE},
        },
    }


async def _predict_json(service: Service, rows: list[PredictRequest]) -> Response:
    started = time.perf_counter()
    invalid = service.predictor.invalid_dates(rows)
    if invalid:
        raise RowsRejectedError([{"field": f"rows.{row}.date", "message": message} for row, message in invalid.items()])
    responses = await asyncio.to_thread(service.predictor.predict, rows)
    service.log_predictions(BATCH, rows, responses, seconds=time.perf_counter() - started)
    return Response(to_json({"answers": responses}), media_type=JSON)


async def _predict_csv(service: Service, content: bytes, *, unit: str) -> tuple[Response, int]:
    """Return the response and its number of rows."""
    snapshot = service.predictor.snapshot
    if snapshot is None:
        raise NotReadyError(service.predictor.problem)
    cancelled, started = threading.Event(), time.perf_counter()
    try:
        summary, chunks = await asyncio.to_thread(
            _predict_content, service, snapshot, content, unit=unit, cancelled=cancelled
        )
    except asyncio.CancelledError:
        cancelled.set()
        raise
    for basis, count in summary.by_basis.items():
        service.metrics.count_predictions(BATCH, basis, count=count)
    _log_summary(service, snapshot, summary, seconds=time.perf_counter() - started)
    logged_chunks = _log_chunks(service, snapshot, chunks, started=started)
    headers = {"Cryptoliq-Unit": summary.unit} if summary.unit else {}
    if summary.doubts:
        headers["Cryptoliq-Doubts"] = "; ".join(summary.doubts).encode("ascii", "replace").decode()
    return StreamingResponse(_split_chunks(logged_chunks), media_type=CSV, headers=headers), summary.rows


def _predict_content(
    service: Service, snapshot: ServingSnapshot, content: bytes, *, unit: str, cancelled: threading.Event
) -> tuple[BatchPredictionSummary, Iterator[bytes]]:
    """Predict a CSV; raise _RequestCancelledError at the next chunk of rows after `cancelled` is set.

    A computation whose result is discarded would slow down all other requests.
    """

    def check_cancelled(done: int, total: int) -> None:
        if cancelled.is_set():
            raise _RequestCancelledError

    return predict_content(
        content,
        champion=snapshot.champion,
        settings=service.settings.with_values(ingestion={"change_unit": unit}),
        today=dt.datetime.now(dt.UTC).date(),
        history=snapshot.history_from,
        progress=check_cancelled,
    )


def _log_summary(
    service: Service, snapshot: ServingSnapshot, summary: BatchPredictionSummary, *, seconds: float
) -> None:
    service.log.write(
        make_log_entry(
            "prediction",
            mode="csv",
            version=snapshot.champion.model_version,
            rows=summary.rows,
            by_basis=summary.by_basis,
            refused=summary.rejected,
            unit=summary.unit,
            doubts=summary.doubts,
            seconds=seconds,
        )
    )


def _log_chunks(
    service: Service, snapshot: ServingSnapshot, chunks: Iterator[bytes], *, started: float
) -> Iterator[bytes]:
    """Yield the chunks, and write each to the prediction log as CSV with its header: input rows and output columns.

    A log line per row would take longer to write than the row takes to predict.
    """
    header = None
    for chunk in chunks:
        if header is None:
            header = chunk[: chunk.index(b"\n") + 1]
            rows = chunk[len(header) :]
        else:
            rows = chunk
        if rows:
            seconds = time.perf_counter() - started
            version, text = snapshot.champion.model_version, (header + rows).decode("utf-8", "replace")
            service.predictions.write(
                make_log_entry("prediction", mode="csv", version=version, csv=text, seconds=seconds)
            )
        yield chunk


async def _split_chunks(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Yield chunks, computed in a thread, in pieces that the server sends one by one."""
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        for start in range(0, len(chunk), _PIECE_BYTES):
            yield chunk[start : start + _PIECE_BYTES]
