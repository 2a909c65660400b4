"""POST /predict/batch: many predictions at once, as JSON rows or as a CSV of the same fields."""

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

# What is handed to the server at once: a slow reader takes a piece of it within a request's time, not a chunk of megabytes.
_PIECE = 64 * 1024
_CSV_EXAMPLE = (
    "coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date\nBitcoin,BTC,61250.5,0.12,-1.8,4.6,2.48e10,1.2e12,2025-07-31\n"
)
_TOLD = {
    "Cryptoliq-Unit": {
        "description": "CSV: the unit in which 1h, 24h and 7d were taken.",
        "schema": {"type": "string", "enum": ["percent", "fraction"]},
    },
    "Cryptoliq-Doubts": {"description": "CSV: what is not certain of the file.", "schema": {"type": "string"}},
}
_ANSWERS = {
    200: {
        "model": BatchResponse,
        "description": "Answers in the order of the rows; for CSV the rows as they came with the forecast's columns, "
        "refused ones with the reason.",
        "content": {CSV: {"schema": {"type": "string"}}},
        "headers": _TOLD,
    }
}


class RowsRejectedError(ValueError):
    """Rows of a JSON batch that cannot be answered; faults: {"field", "message"} of each."""

    def __init__(self, faults: list[dict[str, str]]) -> None:
        super().__init__(f"{len(faults)} rows are refused")
        self.faults = faults


class _Asked(BaseModel):
    """What the address may say of a batch."""

    model_config = ConfigDict(extra="forbid")

    unit: Literal["percent", "fraction", "auto"] = Field(
        "percent",
        description="Unit of 1h, 24h and 7d in a CSV; auto finds it from the file, and the answer's header tells it.",
    )


class _RequestCancelledError(Exception):
    """Nobody waits for the batch any more."""


def add_batch_route(app: FastAPI, service: Service) -> None:
    """The route, with its limits from the settings."""
    most = service.settings.api.max_batch_rows
    rows = (Annotated[list[PredictRequest], Field(min_length=1, max_length=most)], ...)
    bounded = create_model("BatchRequest", __base__=BatchRequest, rows=rows)

    @app.post(
        "/predict/batch",
        response_model=None,
        responses={**_ANSWERS, **openapi_responses(413, 415, 422)},
        openapi_extra={"requestBody": _described(bounded)},
    )
    async def predict_batch(request: Request, asked: Annotated[_Asked, Query()]) -> Response:
        """Many at once: JSON rows up to CRYPTOLIQ_API__MAX_BATCH_ROWS, all or none; or a CSV with the same fields up to the body's limit,
        row by row: price and 24h_volume are needed, a row without a date is of today."""
        scope = request.scope
        of_all = int(service.settings.api.max_body_mib * 2**20)
        if check_media_type(scope, JSON, CSV) == CSV:
            content = await read_body(scope, request.receive, most=of_all, limit="CRYPTOLIQ_API__MAX_BODY_MIB allows")
            answer, count = await _csv_answer(service, content, unit=asked.unit)
        else:
            limit = min(of_all, max(most * MAX_ROW_BYTES, MAX_REQUEST_BYTES))
            body = await read_body(scope, request.receive, most=limit, limit=f"{most:,} rows may have: send CSV")
            try:
                wanted = (await asyncio.to_thread(bounded.model_validate_json, body)).rows
            except ValidationError as error:
                if error.error_count() == 1 and error.errors(include_input=False)[0]["type"] == "too_long":
                    return make_problem(413, f"more than {most:,} rows in one JSON body: send fewer, or CSV")
                raise
            answer, count = await _json_answer(service, wanted), len(wanted)
        service.buckets.charge(client_identity(scope), count)
        return answer


def _described(rows: type[BaseModel]) -> dict[str, Any]:
    """The body in the service's description: FastAPI does not see it, since it is one of two kinds."""
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


async def _json_answer(service: Service, rows: list[PredictRequest]) -> Response:
    started = time.perf_counter()
    faults = service.predictor.invalid_dates(rows)
    if faults:
        raise RowsRejectedError([{"field": f"rows.{place}.date", "message": told} for place, told in faults.items()])
    answers = await asyncio.to_thread(service.predictor.predict, rows)
    service.note(BATCH, rows, answers, seconds=time.perf_counter() - started)
    return Response(to_json({"answers": answers}), media_type=JSON)


async def _csv_answer(service: Service, content: bytes, *, unit: str) -> tuple[Response, int]:
    """The answer, and how many rows it has."""
    held = service.predictor.snapshot
    if held is None:
        raise NotReadyError(service.predictor.problem)
    given_up, started = threading.Event(), time.perf_counter()
    try:
        outcome, chunks = await asyncio.to_thread(_forecast, service, held, content, unit=unit, given_up=given_up)
    except asyncio.CancelledError:
        given_up.set()
        raise
    for basis, count in outcome.by_basis.items():
        service.metrics.predicted(BATCH, basis, count=count)
    _note(service, held, outcome, seconds=time.perf_counter() - started)
    noted = _noted(service, held, chunks, started=started)
    headers = {"Cryptoliq-Unit": outcome.unit} if outcome.unit else {}
    if outcome.doubts:
        headers["Cryptoliq-Doubts"] = "; ".join(outcome.doubts).encode("ascii", "replace").decode()
    return StreamingResponse(_pieces(noted), media_type=CSV, headers=headers), outcome.rows


def _forecast(
    service: Service, held: ServingSnapshot, content: bytes, *, unit: str, given_up: threading.Event
) -> tuple[BatchPredictionSummary, Iterator[bytes]]:
    """Ends with _GivenUp at the next chunk of rows when nobody waits: what is computed for nobody slows all others."""

    def progress(done: int, of: int) -> None:
        if given_up.is_set():
            raise _RequestCancelledError

    return predict_content(
        content,
        champion=held.champion,
        settings=service.settings.with_values(ingestion={"change_unit": unit}),
        today=dt.datetime.now(dt.UTC).date(),
        history=held.history_from,
        progress=progress,
    )


def _note(service: Service, held: ServingSnapshot, outcome: BatchPredictionSummary, *, seconds: float) -> None:
    service.log.write(
        make_log_entry(
            "prediction",
            mode="csv",
            version=held.champion.model_version,
            rows=outcome.rows,
            by_basis=outcome.by_basis,
            refused=outcome.refused,
            unit=outcome.unit,
            doubts=outcome.doubts,
            seconds=seconds,
        )
    )


def _noted(service: Service, held: ServingSnapshot, chunks: Iterator[bytes], *, started: float) -> Iterator[bytes]:
    """The same chunks, each of which goes into the record of predictions as it is made: rows as they came and what was
    answered, as CSV under its header. A line a row would cost more than to forecast it."""
    header = None
    for chunk in chunks:
        if header is None:
            header = chunk[: chunk.index(b"\n") + 1]
            rows = chunk[len(header) :]
        else:
            rows = chunk
        if rows:
            seconds = time.perf_counter() - started
            version, text = held.champion.model_version, (header + rows).decode("utf-8", "replace")
            service.predictions.write(
                make_log_entry("prediction", mode="csv", version=version, csv=text, seconds=seconds)
            )
        yield chunk


async def _pieces(chunks: Iterator[bytes]) -> AsyncIterator[bytes]:
    """Chunks, made beside the requests, in pieces that the server takes one by one."""
    while (chunk := await asyncio.to_thread(next, chunks, None)) is not None:
        for start in range(0, len(chunk), _PIECE):
            yield chunk[start : start + _PIECE]
