"""Size buckets by market-cap rank."""

import numpy as np

from cryptoliq_assets.modeling.datasets.size_buckets import assign_size_buckets, rank_within_day
from cryptoliq_assets.schemas.groups import BUCKETS


def test_ranks_at_the_edges_fall_into_their_buckets():
    ranks = [1, 50, 51, 200, 201, 500, 501, 1000, 1001, 9000]
    names = [BUCKETS[code] for code in assign_size_buckets(np.log(ranks))]
    assert names == [
        *["1-50"] * 2,
        *["51-200"] * 2,
        *["201-500"] * 2,
        *["501-1000"] * 2,
        *["above_1000"] * 2,
    ]
    assert assign_size_buckets(np.array([np.nan])).tolist() == [5]


def test_float32_ranks_do_not_slip_over_an_edge():
    ranks = np.arange(1, 2001)
    exact = assign_size_buckets(np.log(ranks))
    np.testing.assert_array_equal(assign_size_buckets(np.log(ranks).astype(np.float32)), exact)


def test_the_largest_market_cap_of_a_day_ranks_first():
    days = np.array([1, 1, 1, 2])
    ranks = np.exp(rank_within_day(days, np.log([10.0, 30.0, np.nan, 5.0])))
    np.testing.assert_allclose(ranks, [2, 1, np.nan, 1])
