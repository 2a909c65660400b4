"""Checked constructors of plain numpy objects, which stand in for numpy's own while a pickle is read.

Each builds only booleans, integers and floats whose bytes match their shape, and rejects everything else.
Which classes a pickle may name is decided in `unpickling.py`.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

# Kinds of numpy's numeric types: booleans, integers, floats.
_KINDS = "biuf"
_MAX_FIELDS, _MAX_DIMENSIONS = 64, 4

Array = npt.NDArray[Any]


class PickleRejectedError(ValueError):
    """A pickle references or builds something that no stored model needs."""


class PlainDType:
    """A dtype under construction: `value` is set once its state is known."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.value: np.dtype[Any] | None = None

    def set_state(self, state: Any) -> None:
        """Set numpy's state of a dtype: (version, byte order, subarray, names, fields, itemsize, alignment, flags).

        Raises:
            PickleRejectedError: It is not the state of a plain number, or of named plain numbers.
        """
        if type(state) is not tuple or len(state) != 8:
            raise PickleRejectedError("a dtype has an unexpected state; expected a plain number")
        _, order, subarray, names, fields, size, *_ = state
        if subarray is not None or order not in ("<", ">", "|", "="):
            raise PickleRejectedError("a dtype is not a plain number")
        if names is None and fields is None:
            self.value = _require_plain(np.dtype(order + self.code))
            return
        if type(names) is not tuple or type(fields) is not dict or set(names) != set(fields) or type(size) is not int:
            raise PickleRejectedError("a structured dtype has fields that do not match its names")
        if not 0 < len(names) <= _MAX_FIELDS or not all(type(name) is str for name in names):
            raise PickleRejectedError(
                f"a structured dtype has {len(names)} fields; expected 1 to {_MAX_FIELDS} named ones"
            )
        for field in fields.values():
            if type(field) is not tuple or len(field) != 2 or not is_index(field[1]):
                raise PickleRejectedError(
                    "a structured dtype has an unexpected field; expected a number and its offset"
                )
        formats = [_simple_dtype(fields[name][0]) for name in names]
        offsets = [fields[name][1] for name in names]
        ends = [offset + kind.itemsize for offset, kind in zip(offsets, formats, strict=True)]
        if self.code != f"V{size}" or not max(ends) <= size <= 64 * _MAX_FIELDS:
            raise PickleRejectedError(f"a structured dtype of {size} bytes has fields up to byte {max(ends)}")
        self.value = np.dtype({"names": list(names), "formats": formats, "offsets": offsets, "itemsize": size})


def _require_plain(dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype.kind not in _KINDS or dtype.hasobject or dtype.subdtype is not None or dtype.names is not None:
        raise PickleRejectedError(f"a dtype is {dtype.str!r}; expected a boolean, an integer or a float")
    return dtype


def _complete_dtype(dtype: Any) -> np.dtype[Any]:
    if type(dtype) is not PlainDType or dtype.value is None:
        raise PickleRejectedError("an array has an incomplete or unknown dtype")
    return dtype.value


def _simple_dtype(dtype: Any) -> np.dtype[Any]:
    complete = _complete_dtype(dtype)
    if complete.names is not None:
        raise PickleRejectedError("a structured dtype is inside another one, or of a scalar")
    return complete


def is_index(value: Any) -> bool:
    """Return whether a value is a plain integer that can be a size or a position."""
    return type(value) is int and 0 <= value < 2**62


def _make_dtype(code: Any, align: Any = False, copy: Any = True) -> PlainDType:
    """numpy.dtype, of a code such as "f8"."""
    size = code[1:] if type(code) is str else ""
    if not size.isascii() or not size.isdigit() or len(size) > 4 or code[0] not in _KINDS + "V":
        raise PickleRejectedError(f"a dtype is {str(code)[:40]!r}; expected a boolean, an integer or a float")
    return PlainDType(code)


def make_array(buffer: Any, dtype: Any, shape: Any, order: Any) -> Array:
    """numpy's _frombuffer: an array over plain bytes.

    Args:
        buffer: The bytes.
        dtype: Their type.
        shape: Shape of the array.
        order: "C" or "F".

    Raises:
        PickleRejectedError: Buffer, shape, order and dtype do not fit together.
    """
    kind = _complete_dtype(dtype)
    if type(buffer) not in (bytes, bytearray) or order not in ("C", "F"):
        raise PickleRejectedError(f"an array is made from a {type(buffer).__name__} in order {str(order)[:40]!r}")
    if type(shape) is not tuple or len(shape) > _MAX_DIMENSIONS or not all(map(is_index, shape)):
        raise PickleRejectedError(f"an array has the shape {str(shape)[:80]}")
    if math.prod(shape) * kind.itemsize != len(buffer):
        raise PickleRejectedError(f"an array of shape {shape} of {kind.itemsize} bytes each has {len(buffer):,} bytes")
    return np.frombuffer(buffer, dtype=kind).reshape(shape, order=order)


def _make_scalar(dtype: Any, content: Any) -> Any:
    """numpy's scalar."""
    kind = _simple_dtype(dtype)
    if type(content) is not bytes or len(content) != kind.itemsize:
        raise PickleRejectedError(f"a scalar of {kind.itemsize} bytes is made from a {type(content).__name__}")
    return np.frombuffer(content, dtype=kind)[0]


def _make_empty(kind: Any, shape: Any, code: Any) -> Array:
    """numpy's _reconstruct: an empty array, whose state is set by BUILD."""
    if kind is not _NDARRAY or shape != (0,) or code != b"b":
        raise PickleRejectedError("an array is reconstructed from something other than numpy.ndarray")
    return np.empty(0, dtype=np.int8)


def _make_bytearray(content: Any = b"") -> bytearray:
    if type(content) is not bytes:
        raise PickleRejectedError(f"a bytearray is made from a {type(content).__name__}; expected bytes")
    return bytearray(content)


class _Uncallable:
    """A global that a pickle may reference, but not call."""


_NDARRAY = _Uncallable()
CHECKED_GLOBALS = {
    ("numpy", "dtype"): _make_dtype,
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy._core.multiarray", "_reconstruct"): _make_empty,
    ("numpy._core.multiarray", "scalar"): _make_scalar,
    ("numpy._core.numeric", "_frombuffer"): make_array,
    ("builtins", "bytearray"): _make_bytearray,
}
CONSTRUCTORS = frozenset(constructor for constructor in CHECKED_GLOBALS.values() if constructor is not _NDARRAY)
