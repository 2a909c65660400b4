"""Requests that arrive together: each gets its own answer, none waits for a long batch, none pays for another's fault."""

import asyncio

import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from cryptoliq_assets.modeling.estimators.candidates.gradient_boosting import BoostedTreesRegressor
from cryptoliq_assets.serving.request_batcher import RequestBatcher
from cryptoliq_assets.serving.request_models import PredictRequest


def request(price: float) -> PredictRequest:
    return PredictRequest.model_validate({"price": price, "24h_volume": 1.0})


class Doubled:
    """Answers with twice the price, refuses a price of 13, and remembers the batches."""

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
def test_each_request_has_its_own_answer_whatever_the_batches_and_none_is_longer_than_the_most(prices, most):
    answers = Doubled()

    async def whole():
        batcher = RequestBatcher(answers, most=most)
        return await asyncio.gather(*(batcher.answer(request(float(price))) for price in prices))

    assert asyncio.run(whole()) == [{"score": 2.0 * price} for price in prices]
    assert [price for batch in answers.batches for price in batch] == prices
    assert all(len(batch) <= most for batch in answers.batches)


def test_what_comes_in_the_turn_after_the_first_is_in_its_batch():
    answers = Doubled()

    async def later(batcher):
        await asyncio.sleep(0)
        return await batcher.answer(request(2.0))

    async def whole():
        batcher = RequestBatcher(answers)
        return await asyncio.gather(batcher.answer(request(1.0)), later(batcher))

    assert asyncio.run(whole()) == [{"score": 2.0}, {"score": 4.0}]
    assert answers.batches == [[1.0, 2.0]]


def test_a_batch_is_one_that_the_compiled_walk_takes_whole():
    answers = Doubled()

    async def whole():
        batcher = RequestBatcher(answers)
        await asyncio.gather(*(batcher.answer(request(1.0)) for _ in range(300)))

    asyncio.run(whole())
    # Beyond it xgboost is called, whose threads take three times as long for a few hundred rows.
    assert max(map(len, answers.batches)) == BoostedTreesRegressor.MAX_ROWS_BY_WALK


def test_a_request_that_cannot_be_answered_fails_alone():
    async def whole():
        batcher = RequestBatcher(Doubled())
        asked = (batcher.answer(request(price)) for price in (1.0, 13.0, 2.0))
        return await asyncio.gather(*asked, return_exceptions=True)

    first, refused, last = asyncio.run(whole())
    assert (first, last) == ({"score": 2.0}, {"score": 4.0})
    with pytest.raises(ValueError, match="13 is refused"):
        raise refused


def test_a_request_that_is_given_up_leaves_the_others_their_answers():
    async def whole():
        batcher = RequestBatcher(Doubled())
        gone, stays = (asyncio.ensure_future(batcher.answer(request(price))) for price in (1.0, 2.0))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert asyncio.run(whole()) == {"score": 4.0}
