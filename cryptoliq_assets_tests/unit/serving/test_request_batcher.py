"""Batching of concurrent requests: own results, bounded batches, isolated errors."""

import asyncio

import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from cryptoliq_assets.modeling.estimators.candidates.gradient_boosting import BoostedTreesRegressor
from cryptoliq_assets.serving.request_batcher import RequestBatcher
from cryptoliq_assets.serving.request_models import PredictRequest


def request(price: float) -> PredictRequest:
    return PredictRequest.model_validate({"price": price, "24h_volume": 1.0})


class Doubled:
    """Returns twice the price, rejects a price of 13, and records the batches."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []

    def __call__(self, requests):
        prices = [request.price for request in requests]
        self.batches.append(prices)
        if 13.0 in prices:
            raise ValueError("13 is refused")
        return [{"score": 2 * price} for price in prices]


@hypothesis_settings(max_examples=60)
@given(prices=st.lists(st.integers(1, 12), max_size=40), most=st.integers(1, 9))
def test_each_request_gets_its_result_from_bounded_batches(prices, most):
    answers = Doubled()

    async def whole():
        batcher = RequestBatcher(answers, max_batch=most)
        return await asyncio.gather(*(batcher.predict(request(float(price))) for price in prices))

    assert asyncio.run(whole()) == [{"score": 2.0 * price} for price in prices]
    assert [price for batch in answers.batches for price in batch] == prices
    assert all(len(batch) <= most for batch in answers.batches)


def test_requests_of_the_next_loop_iteration_join_the_batch():
    answers = Doubled()

    async def later(batcher):
        await asyncio.sleep(0)
        return await batcher.predict(request(2.0))

    async def whole():
        batcher = RequestBatcher(answers)
        return await asyncio.gather(batcher.predict(request(1.0)), later(batcher))

    assert asyncio.run(whole()) == [{"score": 2.0}, {"score": 4.0}]
    assert answers.batches == [[1.0, 2.0]]


def test_a_batch_has_at_most_the_rows_of_the_compiled_walk():
    answers = Doubled()

    async def whole():
        batcher = RequestBatcher(answers)
        await asyncio.gather(*(batcher.predict(request(1.0)) for _ in range(300)))

    asyncio.run(whole())
    # Beyond it xgboost is called, whose threads take three times as long for a few hundred rows.
    assert max(map(len, answers.batches)) == BoostedTreesRegressor.MAX_ROWS_BY_WALK


def test_an_invalid_request_fails_alone():
    async def whole():
        batcher = RequestBatcher(Doubled())
        asked = (batcher.predict(request(price)) for price in (1.0, 13.0, 2.0))
        return await asyncio.gather(*asked, return_exceptions=True)

    first, refused, last = asyncio.run(whole())
    assert (first, last) == ({"score": 2.0}, {"score": 4.0})
    with pytest.raises(ValueError, match="13 is refused"):
        raise refused


def test_a_cancelled_request_does_not_affect_the_others():
    async def whole():
        batcher = RequestBatcher(Doubled())
        gone, stays = (asyncio.ensure_future(batcher.predict(request(price))) for price in (1.0, 2.0))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert asyncio.run(whole()) == {"score": 4.0}
