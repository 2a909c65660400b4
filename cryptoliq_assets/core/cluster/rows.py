"""Rows spread over the workers in parts, as Dask arrays: what distributed training reads."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from cryptoliq_assets.core.cluster.client import Cluster

Part = tuple[npt.NDArray[np.float32], ...]


def spread_rows(cluster: Cluster, parts: Iterable[Part]) -> tuple[Any, ...]:
    """Send parts of rows to the workers, each part to the worker with the fewest rows so far; one part at a time is in memory here.

    Args:
        cluster: The workers.
        parts: Arrays with one entry per row along the first axis; the same number of arrays in each part.

    Returns:
        One Dask array for each array of a part; its chunks are the parts, in their order.
    """
    import dask.array as da

    held = dict.fromkeys(cluster.require_workers(), 0)
    columns: list[list[Any]] = []
    for part in parts:
        worker = min(held, key=lambda address: held[address])
        held[worker] += len(part[0])
        futures = cluster.client.scatter(list(part), workers=[worker], hash=False)
        chunks = [
            da.from_delayed(future, shape=values.shape, dtype=values.dtype)
            for future, values in zip(futures, part, strict=True)
        ]
        columns = (
            [[chunk] for chunk in chunks]
            if not columns
            else [[*seen, chunk] for seen, chunk in zip(columns, chunks, strict=True)]
        )
    return tuple(da.concatenate(chunks, axis=0) for chunks in columns)
