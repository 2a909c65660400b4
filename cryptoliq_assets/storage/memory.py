"""Return freed memory to the operating system: allocators keep it, and the next step of a training would come on top of it."""

import ctypes
import gc
import sys

import pyarrow as pa


def release_memory() -> None:
    """Collect young garbage, and return what Arrow and the C library keep; the latter on Linux with glibc only.

    Call it after work on a month or a model, not on a row. Old objects are not searched for cycles: with all libraries loaded
    that takes a quarter of a second, and the large arrays are in no cycles.
    """
    gc.collect(1)
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
