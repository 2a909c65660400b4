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
            raise ValueError("13 is rejected")
        return [{"score": 2 * price} for price in prices]


@hypothesis_settings(max_examples=60)
@given(prices=st.lists(st.integers(1, 12), max_size=40), max_batch=st.integers(1, 9))
def test_each_request_gets_its_result_from_bounded_batches(prices, max_batch):
    model = Doubled()

    async def run():
        batcher = RequestBatcher(model, max_batch=max_batch)
        return await asyncio.gather(*(batcher.predict(request(float(price))) for price in prices))

    assert asyncio.run(run()) == [{"score": 2.0 * price} for price in prices]
    assert [price for batch in model.batches for price in batch] == prices
    assert all(len(batch) <= max_batch for batch in model.batches)


def test_requests_of_the_next_loop_iteration_join_the_batch():
    model = Doubled()

    async def later(batcher):
        await asyncio.sleep(0)
        return await batcher.predict(request(2.0))

    async def run():
        batcher = RequestBatcher(model)
        return await asyncio.gather(batcher.predict(request(1.0)), later(batcher))

    assert asyncio.run(run()) == [{"score": 2.0}, {"score": 4.0}]
    assert model.batches == [[1.0, 2.0]]


def test_a_batch_has_at_most_the_rows_of_the_compiled_walk():
    model = Doubled()

    async def run():
        batcher = RequestBatcher(model)
        await asyncio.gather(*(batcher.predict(request(1.0)) for _ in range(300)))

    asyncio.run(run())
    # Above this limit xgboost is called, whose threads take three times as long for a few hundred rows.
    assert max(map(len, model.batches)) == BoostedTreesRegressor.MAX_ROWS_BY_WALK


def test_an_invalid_request_fails_alone():
    async def run():
        batcher = RequestBatcher(Doubled())
        requests = (batcher.predict(request(price)) for price in (1.0, 13.0, 2.0))
        return await asyncio.gather(*requests, return_exceptions=True)

    first, error, last = asyncio.run(run())
    assert (first, last) == ({"score": 2.0}, {"score": 4.0})
    with pytest.raises(ValueError, match="13 is rejected"):
        raise error


def test_a_cancelled_request_does_not_affect_the_others():
    async def run():
        batcher = RequestBatcher(Doubled())
        cancelled, remaining = (asyncio.ensure_future(batcher.predict(request(price))) for price in (1.0, 2.0))
        await asyncio.sleep(0)
        cancelled.cancel()
        return await remaining

    assert asyncio.run(run()) == {"score": 4.0}
