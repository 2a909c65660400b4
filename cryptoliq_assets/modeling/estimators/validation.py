"""Checks of single attributes of an unpickled forecaster, before compiled code uses them as indices without bounds checks.

They verify types, shapes and ranges. Whether the numbers are those of a good model is the concern of checksum, signature
and evaluation. Which attributes a class has is declared by the class (`_check_fitted`).
"""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from cryptoliq_assets.modeling.estimators.tree_predict_rows import FlatTreeEnsemble

MAX_THREADS = 4096


class InvalidForecasterError(ValueError):
    """A forecaster that cannot compute predictions; the message states the reason."""


def check_attributes(instance: object, names: Iterable[str]) -> None:
    """Raise InvalidForecasterError unless the instance has all of the attributes itself."""
    missing = [name for name in names if name not in vars(instance)]
    if missing:
        raise InvalidForecasterError(f"a {type(instance).__name__} lacks {', '.join(missing)}")


def check_number(value: Any, label: str) -> None:
    """Raise InvalidForecasterError unless the value is a finite number."""
    if not isinstance(value, int | float | np.floating) or not math.isfinite(value):
        raise InvalidForecasterError(f"{label} is not a finite number")


def check_positive_int(value: Any, label: str, *, maximum: int) -> None:
    """Raise InvalidForecasterError unless the value is an int from 1 to `maximum`.

    Args:
        value: Loaded value.
        label: Its name in the error.
        maximum: Largest valid value.
    """
    if type(value) is not int or not 1 <= value <= maximum:
        raise InvalidForecasterError(f"{label} is not an integer from 1 to {maximum}")


def check_floats(values: Any, label: str, *, size: int) -> None:
    """Raise InvalidForecasterError unless the value is a (size,) float array without NaN.

    Args:
        values: Loaded value.
        label: Its name in the error.
        size: Expected length.
    """
    if type(values) is not np.ndarray or values.dtype.kind != "f" or values.shape != (size,):
        raise InvalidForecasterError(f"{label} are not {size} floats")
    if np.isnan(values).any():
        raise InvalidForecasterError(f"{label} contain a NaN")


def check_indices(values: Any, label: str, *, below: int) -> None:
    """Raise InvalidForecasterError unless the value is an array of integers from 0 to `below` - 1.

    Args:
        values: Loaded value.
        label: Its name in the error.
        below: Upper bound, not valid itself.
    """
    if type(values) is not np.ndarray or values.dtype.kind not in "iu" or values.ndim != 1:
        raise InvalidForecasterError(f"{label} are not integers")
    if len(values) and not (int(values.min()) >= 0 and int(values.max()) < below):
        raise InvalidForecasterError(f"{label} are outside 0 to {below - 1}")


def check_trees(trees: "FlatTreeEnsemble", label: str, *, columns: int) -> None:
    """Raise InvalidForecasterError unless every path through the trees ends and reads only existing columns.

    Args:
        trees: Loaded trees.
        label: Their name in the error.
        columns: Number of columns that the trees may read.
    """
    try:
        trees.check(columns)
    except ValueError as error:
        raise InvalidForecasterError(f"{label}: {error}") from error


def check_stored_trees(stored: Any, label: str, *, columns: int) -> None:
    """Raise InvalidForecasterError unless stored arrays (`FlatTreeEnsemble.to_arrays`) are trees as in `check_trees`.

    Args:
        stored: Loaded arrays.
        label: Their name in the error.
        columns: Number of columns that the trees may read.
    """
    from cryptoliq_assets.modeling.estimators.tree_predict_rows import FlatTreeEnsemble

    try:
        trees = FlatTreeEnsemble.from_arrays(stored)
    except ValueError as error:
        raise InvalidForecasterError(f"{label}: {error}") from error
    check_trees(trees, label, columns=columns)
