"""Feature columns on disk while a training runs: an unnamed file, which is gone when the process ends, however it ends.

A training reads each row some dozens of times, a few columns at a time. Decoding Parquet takes about 10 µs of CPU per row and
pass, reading a column back from here 0.001 µs. Nothing else is stored here: the tables stay the only copy that lasts.
"""

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
_WIDTH = np.dtype(np.float32).itemsize


class FeatureScratch:
    """Blocks of float32 columns by (view, feature), in an unnamed file.

    Args:
        folder: Folder on the disk to use; created if it does not exist.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        # Open as long as the rows are used.
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
        self._size = 0
        self._counts: list[int] = []
        self._offsets: list[dict[tuple[str, str], int]] = []

    def append(self, columns: Mapping[tuple[str, str], Array]) -> None:
        """Write a block.

        Args:
            columns: (k,) values by (view, feature).

        Raises:
            OSError: The disk is full.
        """
        offsets, count = {}, 0
        for key, values in columns.items():
            content = memoryview(np.ascontiguousarray(values, dtype=np.float32).tobytes())
            offsets[key], count = self._size, len(values)
            written = 0
            while written < len(content):
                written += os.pwrite(self._file.fileno(), content[written:], self._size + written)
            self._size += written
        self._offsets.append(offsets)
        self._counts.append(count)

    def read(self, block: int, keys: Sequence[tuple[str, str]]) -> npt.NDArray[np.float32]:
        """Return (k, len(keys)) float32 columns of a block, column-major.

        Raises:
            OSError: The file ends early.
        """
        count = self._counts[block]
        columns = np.empty((len(keys), count), dtype=np.float32)
        for place, key in enumerate(keys):
            content = os.pread(self._file.fileno(), count * _WIDTH, self._offsets[block][key])
            if len(content) != count * _WIDTH:
                raise OSError(f"the scratch file of the training ends early: {len(content)} of {count * _WIDTH} bytes")
            columns[place] = np.frombuffer(content, dtype=np.float32)
        return columns.T

    def has(self, block: int, key: tuple[str, str]) -> bool:
        """Return whether a block has a column."""
        return key in self._offsets[block]

    def __len__(self) -> int:
        return len(self._counts)
