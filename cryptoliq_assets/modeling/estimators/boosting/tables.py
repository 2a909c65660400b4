"""xgboost's table of the rows of a part: binned once, in memory or on disk.

In memory, xgboost keeps 4 bytes per cell where values are missing, about 0.5 KB per training row while it builds the table; on disk
a fifth of that, at 1.1 times the time as long as the disk cache holds the table.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from cryptoliq_assets.modeling.estimators.fit_rows import PartRows, merge_batches, read_ahead

_PREFIX = ".xgboost-"
# A batch becomes a page of the table, and each page of every level of a tree costs the threads a start and a wait: with a page per
# month and view, a training on disk took 1.7 times as long.
_ROWS_PER_PAGE = 200_000


@contextmanager
def open_table(part: PartRows, change: npt.NDArray[np.float32], **options: int) -> Iterator[Any]:
    """Make the table of a part; on disk if the part is large, until the context ends.

    Args:
        part: The rows.
        change: (n,) targets.
        **options: Arguments of xgboost's table: max_bin, nthread.

    Yields:
        A QuantileDMatrix or an ExtMemQuantileDMatrix.
    """
    import xgboost

    # xgboost 2 has no table on disk.
    on_disk = getattr(xgboost, "ExtMemQuantileDMatrix", None)
    if on_disk is None or part.cache is None or len(part) <= part.cache.rows_in_memory:
        yield xgboost.QuantileDMatrix(_batch_iterator(part, change, None), **options)
        return
    _remove_leftovers(part.cache.folder)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=part.cache.folder) as folder:
        table = on_disk(_batch_iterator(part, change, str(Path(folder, "table"))), **options)
        yield table
        # It removes its files when it is deleted, before the folder goes.
        del table


def _remove_leftovers(folder: Path) -> None:
    """Remove tables of killed trainings; the run lock excludes another training."""
    for left in folder.glob(f"{_PREFIX}*"):
        shutil.rmtree(left, ignore_errors=True)


def _batch_iterator(part: PartRows, change: npt.NDArray[np.float32], cache_prefix: str | None) -> Any:
    """Return an xgboost.DataIter over the batches of a part: xgboost reads them several times and keeps their bins."""
    import xgboost

    class BatchIterator(xgboost.DataIter):
        def __init__(self) -> None:
            self._batches = read_ahead(merge_batches(part.batches(), _ROWS_PER_PAGE))
            super().__init__(cache_prefix=cache_prefix, release_data=True)

        def reset(self) -> None:
            self._batches = read_ahead(merge_batches(part.batches(), _ROWS_PER_PAGE))

        def next(self, input_data: Callable[..., Any]) -> bool:
            for places, X in self._batches:
                weight = None if part.weights is None else part.weights[places]
                input_data(data=np.ascontiguousarray(X), label=change[places], weight=weight)
                return True
            return False

    return BatchIterator()


def require_device(device: str) -> None:
    """Check that xgboost can compute on a device: otherwise it silently falls back to the CPU.

    Raises:
        ValueError: It cannot.
    """
    if device == "cpu":
        return
    import xgboost

    table = xgboost.DMatrix(np.zeros((2, 1), np.float32), label=[0.0, 1.0])
    with xgboost.config_context(verbosity=0):
        booster = xgboost.train({"device": device, "tree_method": "hist"}, table, 1)
    used = json.loads(booster.save_config())["learner"]["generic_param"]["device"]
    if not used.startswith(device.split(":")[0]):
        raise ValueError(
            f"device {device!r} is not available: xgboost {xgboost.__version__} would compute on {used}; "
            "set CRYPTOLIQ_XGBOOST_DEVICE=cpu, or install a driver and an xgboost built for the device"
        )
