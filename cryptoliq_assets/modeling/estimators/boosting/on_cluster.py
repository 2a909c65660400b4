"""Training of xgboost's trees on the workers of a cluster: each worker bins the rows that it holds, and all of them grow each tree together."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from cryptoliq_assets.core.cluster import Cluster, spread_rows
from cryptoliq_assets.modeling.estimators.fit_rows import PartRows


def train_on_cluster(
    part: PartRows,
    change: npt.NDArray[np.float32],
    *,
    params: Mapping[str, Any],
    rounds: int,
    cluster: Cluster,
) -> Any:
    """Train on the rows of a part, a month of one view in each partition of the table.

    Args:
        part: The rows.
        change: (n,) targets.
        params: xgboost's parameters.
        rounds: Number of trees.
        cluster: The workers.

    Returns:
        xgboost's Booster.

    Raises:
        ClusterError: A worker was lost.
    """
    from xgboost import dask as distributed_xgboost

    data, label, *weight = spread_rows(cluster, _parts(part, change))

    def train() -> Any:
        with cluster.client.as_current():
            table = distributed_xgboost.DaskQuantileDMatrix(
                cluster.client, data, label, weight=weight[0] if weight else None, max_bin=params.get("max_bin", 256)
            )
            return distributed_xgboost.train(cluster.client, dict(params), table, num_boost_round=rounds)["booster"]

    return cluster.watch(train, "the training of xgboost")


def _parts(part: PartRows, change: npt.NDArray[np.float32]) -> Iterator[tuple[npt.NDArray[np.float32], ...]]:
    for places, X in part.batches():
        rows = (np.ascontiguousarray(X), change[places])
        yield rows if part.weights is None else (*rows, part.weights[places].astype(np.float32))
