"""Unpickling restricted to plain data: numeric arrays, and instances of the few classes that a stored model consists of.

A pickle is a program. Here it may reference only allowlisted names, and none is called with the pickle's arguments: numpy's
constructors are replaced by checked ones, classes are instantiated without arguments, and a state may only set attributes of
such an instance. An array of objects, a shape that does not match its bytes, or a state for another kind of object raises
PickleRejectedError; numpy itself can crash on such arguments. The contents of the libraries' own objects (nodes of trees,
xgboost's serialized booster) are checked by the regressors (`Regressor.check_loaded`).
"""

import io
import math
import pickle
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, cast

import numpy as np
import numpy.typing as npt

from cryptoliq_assets.modeling.estimators import Regressor

_TREE = ("sklearn.tree._tree", "Tree")
_BOOSTER = ("xgboost.core", "Booster")
# Kinds of numpy's numeric types: booleans, integers, floats.
_KINDS = "biuf"
_MAX_FIELDS, _MAX_DIMENSIONS, _MAX_FEATURES = 64, 4, 100_000


Array = npt.NDArray[Any]


class PickleRejectedError(ValueError):
    """A pickle references or builds something that no stored model needs."""


def unpickle(
    content: bytes, allowed: Mapping[str, frozenset[str]], *, aliases: Mapping[tuple[str, str], tuple[str, str]]
) -> Any:
    """Build the object of a pickle from allowlisted classes and plain numeric arrays.

    Args:
        content: The pickle.
        allowed: Names of the allowed classes, by module.
        aliases: (module, name) in pickles of earlier releases → (module, name) today.

    Raises:
        PickleRejectedError: The pickle references or builds anything else.
        Exception: Whatever `pickle` raises for bytes that are not a pickle.
    """
    return AllowlistUnpickler(io.BytesIO(content), allowed, aliases=aliases, size=len(content)).load()


class _DType:
    """A dtype under construction: `value` is set once its state is known."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.value: np.dtype[Any] | None = None

    def set_state(self, state: Any) -> None:
        """Set numpy's state of a dtype: (version, byte order, subarray, names, fields, itemsize, alignment, flags)."""
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
            if type(field) is not tuple or len(field) != 2 or not _is_index(field[1]):
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
    if type(dtype) is not _DType or dtype.value is None:
        raise PickleRejectedError("an array has an incomplete or unknown dtype")
    return dtype.value


def _simple_dtype(dtype: Any) -> np.dtype[Any]:
    complete = _complete_dtype(dtype)
    if complete.names is not None:
        raise PickleRejectedError("a structured dtype is inside another one, or of a scalar")
    return complete


def _is_index(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**62


def _make_dtype(code: Any, align: Any = False, copy: Any = True) -> _DType:
    """numpy.dtype, of a code such as "f8"."""
    size = code[1:] if type(code) is str else ""
    if not size.isascii() or not size.isdigit() or len(size) > 4 or code[0] not in _KINDS + "V":
        raise PickleRejectedError(f"a dtype is {str(code)[:40]!r}; expected a boolean, an integer or a float")
    return _DType(code)


def _make_array(buffer: Any, dtype: Any, shape: Any, order: Any) -> Array:
    """numpy's _frombuffer: an array over plain bytes."""
    kind = _complete_dtype(dtype)
    if type(buffer) not in (bytes, bytearray) or order not in ("C", "F"):
        raise PickleRejectedError(f"an array is made from a {type(buffer).__name__} in order {str(order)[:40]!r}")
    if type(shape) is not tuple or len(shape) > _MAX_DIMENSIONS or not all(map(_is_index, shape)):
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
_CHECKED = {
    ("numpy", "dtype"): _make_dtype,
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy._core.multiarray", "_reconstruct"): _make_empty,
    ("numpy._core.multiarray", "scalar"): _make_scalar,
    ("numpy._core.numeric", "_frombuffer"): _make_array,
    ("builtins", "bytearray"): _make_bytearray,
}
_FUNCTIONS = frozenset(constructor for constructor in _CHECKED.values() if constructor is not _NDARRAY)


class _TreeClass:
    """sklearn's Tree, whose constructor takes arguments."""

    def __init__(self, kind: type) -> None:
        self.kind = kind

    def make(self, features: Any, classes: Any, outputs: Any) -> Any:
        """Make a tree without nodes, with one output."""
        if not _is_index(features) or features > _MAX_FEATURES or outputs != 1 or type(outputs) is not int:
            raise PickleRejectedError(f"a tree has {str(features)[:40]} features and {str(outputs)[:40]} outputs")
        if type(classes) is not np.ndarray or classes.dtype != np.intp or classes.tolist() != [1]:
            raise PickleRejectedError("a tree is not a regression with one output")
        return self.kind(features, classes, outputs)


class AllowlistUnpickler(pickle._Unpickler):
    """The standard library's unpickler in Python, with every instruction that calls something replaced."""

    dispatch: ClassVar[Any] = dict(pickle._Unpickler.dispatch)

    # Attributes of pickle._Unpickler that its type stubs lack.
    stack: list[Any]
    memo: dict[int, Any]
    append: Callable[[Any], None]
    read: Callable[[int], bytes]

    def __init__(
        self,
        file: io.BytesIO,
        allowed: Mapping[str, frozenset[str]],
        *,
        aliases: Mapping[tuple[str, str], tuple[str, str]],
        size: int,
    ) -> None:
        super().__init__(file, fix_imports=False, buffers=None)
        self.allowed = allowed
        self.aliases = aliases
        self.size = size
        self.classes: set[type] = set()

    def find_class(self, module: str, name: str) -> Any:
        module, name = self.aliases.get((module, name), (module, name))
        if (module, name) in _CHECKED:
            return _CHECKED[module, name]
        if name not in self.allowed.get(module, frozenset()):
            raise PickleRejectedError(
                f"the artifact names {str(module)[:80]}.{str(name)[:80]}, which no model needs: it is not loaded; a new candidate must list it in PICKLE_GLOBALS"
            )
        kind = super().find_class(module, name)
        if not isinstance(kind, type):
            raise PickleRejectedError(f"{module}.{name} is not a class")
        self.classes.add(kind)
        return _TreeClass(kind) if (module, name) == _TREE else kind

    def load_reduce(self) -> None:
        arguments = self.stack.pop()
        called = self.stack[-1]
        if type(arguments) is not tuple:
            raise PickleRejectedError("a call has no tuple of arguments")
        if type(called) is _TreeClass:
            result = called.make(*arguments)
        elif isinstance(called, type(_make_dtype)) and called in _FUNCTIONS:
            result = called(*arguments)
        else:
            raise PickleRejectedError(f"the artifact calls a {type(called).__name__}, which no model needs")
        self.stack[-1] = result

    dispatch[pickle.REDUCE[0]] = load_reduce

    def load_newobj(self) -> None:
        arguments = self.stack.pop()
        kind = self.stack.pop()
        if arguments != () or not isinstance(kind, type) or kind not in self.classes:
            raise PickleRejectedError("the artifact instantiates a class that no model needs, or with arguments")
        self.append(cast(Any, kind).__new__(kind))

    dispatch[pickle.NEWOBJ[0]] = load_newobj

    def load_build(self) -> None:
        state = self.stack.pop()
        built = self.stack[-1]
        if type(built) is _DType:
            built.set_state(state)
        elif type(built) is np.ndarray:
            self.stack[-1] = self._replace_array(built, state)
        elif type(built) in self.classes:
            self._set_state(built, state)
        else:
            raise PickleRejectedError(f"the artifact sets the state of a {type(built).__name__}")

    dispatch[pickle.BUILD[0]] = load_build

    def _reject(self) -> None:
        raise PickleRejectedError("the artifact has an instruction that no model needs")

    for _code in ("INST", "OBJ", "NEWOBJ_EX", "PERSID", "BINPERSID", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER"):
        dispatch[getattr(pickle, _code)[0]] = _reject

    def load_bytearray8(self) -> None:
        """Reject lengths beyond the content: the length is allocated before a byte is read."""
        size = int.from_bytes(self.read(8), "little")
        if size > self.size:
            raise PickleRejectedError(f"a bytearray of {size:,} bytes is in an artifact of {self.size:,}")
        self.append(bytearray(self.read(size)))

    dispatch[pickle.BYTEARRAY8[0]] = load_bytearray8

    def _replace_array(self, built: Array, state: Any) -> Array:
        """The array of a state (version, shape, dtype, Fortran order, bytes), also in the memo of the empty one."""
        if type(state) is not tuple or len(state) != 5 or type(state[3]) not in (bool, int) or built.size:
            raise PickleRejectedError("an array has an unexpected state")
        _, shape, dtype, fortran, content = state
        array = _make_array(content, dtype, shape, "F" if fortran else "C")
        # Newest entries first: the array was memoized just before its state was read.
        for key in reversed(self.memo):
            if self.memo[key] is built:
                self.memo[key] = array
                break
        return array

    def _set_state(self, built: Any, state: Any) -> None:
        kind = type(built)
        if type(state) is not dict or not all(type(name) is str for name in state):
            raise PickleRejectedError(f"a {kind.__name__} has a state that is not a mapping of names")
        for name in state:
            if name.startswith("__") or callable(getattr(kind, name, None)) or name in Regressor.CACHES:
                raise PickleRejectedError(
                    f"a {kind.__name__} has a stored attribute {name[:80]!r}, which belongs to the class"
                )
        where = (kind.__module__, kind.__name__)
        if where == _TREE:
            _check_nodes(state)
        elif where == _BOOSTER and (type(state.get("handle")) is not bytearray or not state["handle"]):
            raise PickleRejectedError("a booster has no serialized trees")
        set_state = getattr(built, "__setstate__", None)
        if set_state is not None:
            set_state(state)
        else:
            built.__dict__.update(state)


def _check_nodes(state: Mapping[str, Any]) -> None:
    """Check that the state of a Tree has as many nodes as it states: the Tree copies them without a check."""
    nodes, values = state.get("nodes"), state.get("values")
    if type(nodes) is not np.ndarray or type(values) is not np.ndarray or nodes.ndim != 1 or not len(nodes):
        raise PickleRejectedError("a tree has no arrays of nodes and values")
    if state.get("node_count") != len(nodes) or type(state["node_count"]) is not int:
        raise PickleRejectedError(
            f"a tree of {len(nodes):,} nodes states that it has {str(state.get('node_count'))[:40]}"
        )
    if not _is_index(state.get("max_depth")) or values.shape != (len(nodes), 1, 1):
        raise PickleRejectedError(f"a tree of {len(nodes):,} nodes has values of shape {values.shape}")
