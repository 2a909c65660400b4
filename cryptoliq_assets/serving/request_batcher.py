"""Requests that arrive together are answered together: one call of the model costs little more than one row of it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from cryptoliq_assets.serving.request_models import PredictRequest

# A turn of the loop is held up by one batch at most: 5 ms of so many boosted rows. Above it xgboost's own threads take over
# (`modeling/estimators/candidates/gradient_boosting.py`), which a few hundred rows do not repay.
_MOST = 128
_Answers = Callable[[Sequence[PredictRequest]], list[dict[str, Any]]]


class RequestBatcher:
    """Collects what two turns of the event loop bring, asks once, hands each request its own answer.

    Nothing waits for company that is not there: a batch is what has come while the one before was computed and told. In the
    second turn come those that were sent while the first was read: 64 clients then make one batch and not three, for
    a tenth more answers a second. A request that is alone pays for it with the microseconds of an empty turn.
    """

    def __init__(self, answers: _Answers, *, most: int = _MOST) -> None:
        self._answers = answers
        self._most = most
        self._waiting: list[tuple[PredictRequest, asyncio.Future]] = []

    async def answer(self, request: PredictRequest) -> dict[str, Any]:
        """The answer to one request; raises what computing it raised."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        if not self._waiting:
            loop.call_soon(loop.call_soon, self._flush)
        self._waiting.append((request, future))
        return await future

    def _flush(self) -> None:
        batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        try:
            answers = self._answers([request for request, _ in batch])
        except Exception:
            self._one_by_one(batch)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    def _one_by_one(self, batch: list[tuple[PredictRequest, asyncio.Future]]) -> None:
        """One request that cannot be answered (a day out of bounds) must not fail its neighbours."""
        for request, future in batch:
            try:
                answer = self._answers([request])[0]
            # Whatever it is, it belongs to whoever asked.
            except Exception as error:
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(answer)
