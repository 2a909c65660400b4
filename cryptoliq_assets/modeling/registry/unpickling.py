"""Unpickling restricted to plain data: numeric arrays, and instances of the few classes that a stored model consists of.

A pickle is a program. Here it may reference only allowlisted names, and none is called with the pickle's arguments: numpy's
constructors are replaced by checked ones, classes are instantiated without arguments, and a state may only set attributes of
such an instance. An array of objects, a shape that does not match its bytes, or a state for another kind of object raises
PickleRejectedError; numpy itself can crash on such arguments. Which classes are allowed, how one whose constructor takes
arguments is built, and what its state must be is declared by the candidates (`estimators.registry`), never here. The contents of
the libraries' own objects are checked by the regressors as well (`Regressor.check_loaded`).
"""

import io
import pickle
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any, ClassVar, cast

import numpy as np

from cryptoliq_assets.modeling.estimators import PICKLE_CONSTRUCTORS, STATE_CHECKS
from cryptoliq_assets.modeling.registry.plain_arrays import (
    CHECKED_GLOBALS,
    CONSTRUCTORS,
    Array,
    PickleRejectedError,
    PlainDType,
    make_array,
)


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
        InvalidForecasterError: A candidate's constructor or check of a state rejects its arguments.
        Exception: Any error that `pickle` raises for bytes that are not a pickle.
    """
    return AllowlistUnpickler(io.BytesIO(content), allowed, aliases=aliases, size=len(content)).load()


class _ConstructedClass:
    """A class whose constructor takes arguments: the candidate's checked constructor is called in its place."""

    def __init__(self, kind: type, construct: Callable[..., Any]) -> None:
        self.kind = kind
        self.construct = construct

    def make(self, arguments: tuple[Any, ...]) -> Any:
        """Build an instance from checked arguments.

        Raises:
            PickleRejectedError: The arguments are not those of the class.
        """
        try:
            built = self.construct(*arguments)
        except TypeError as error:
            raise PickleRejectedError(f"a {self.kind.__name__} is made with other arguments: {error}") from error
        if type(built) is not self.kind:
            raise PickleRejectedError(f"the constructor of {self.kind.__name__} built a {type(built).__name__}")
        return built


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
        """Return the class that a GLOBAL names, if the allowlist has it.

        Raises:
            PickleRejectedError: It is not on the allowlist, or no class.
        """
        module, name = self.aliases.get((module, name), (module, name))
        if (module, name) in CHECKED_GLOBALS:
            return CHECKED_GLOBALS[module, name]
        if name not in self.allowed.get(module, frozenset()):
            raise PickleRejectedError(f"the artifact names {str(module)[:80]}.{str(name)[:80]}, which no model needs")
        kind = super().find_class(module, name)
        if not isinstance(kind, type):
            raise PickleRejectedError(f"{module}.{name} is not a class")
        self.classes.add(kind)
        construct = PICKLE_CONSTRUCTORS.get((module, name))
        return _ConstructedClass(kind, construct) if construct else kind

    def load_reduce(self) -> None:
        """Call a constructor (REDUCE), if it is one that models need.

        Raises:
            PickleRejectedError: It is another callable, or there are no arguments.
        """
        arguments = self.stack.pop()
        called = self.stack[-1]
        if type(arguments) is not tuple:
            raise PickleRejectedError("a call has no tuple of arguments")
        if type(called) is _ConstructedClass:
            result = called.make(arguments)
        elif isinstance(called, FunctionType) and called in CONSTRUCTORS:
            result = called(*arguments)
        else:
            raise PickleRejectedError(f"the artifact calls a {type(called).__name__}, which no model needs")
        self.stack[-1] = result

    dispatch[pickle.REDUCE[0]] = load_reduce

    def load_newobj(self) -> None:
        """Create an empty instance (NEWOBJ) of a class from the allowlist.

        Raises:
            PickleRejectedError: It is another class, or there are arguments.
        """
        arguments = self.stack.pop()
        kind = self.stack.pop()
        if arguments != () or not isinstance(kind, type) or kind not in self.classes:
            raise PickleRejectedError("the artifact instantiates a class that no model needs, or with arguments")
        self.append(cast(Any, kind).__new__(kind))

    dispatch[pickle.NEWOBJ[0]] = load_newobj

    def load_build(self) -> None:
        """Set the state of an object (BUILD) after it was checked.

        Raises:
            PickleRejectedError: It is an object whose state may not be set.
        """
        state = self.stack.pop()
        built = self.stack[-1]
        if type(built) is PlainDType:
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
        """Reject lengths beyond the content: the length is allocated before a byte is read.

        Raises:
            PickleRejectedError: The length is beyond the content.
        """
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
        array = make_array(content, dtype, shape, "F" if fortran else "C")
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
            if name.startswith("__") or callable(getattr(kind, name, None)) or name in getattr(kind, "CACHES", ()):
                raise PickleRejectedError(
                    f"a {kind.__name__} has a stored attribute {name[:80]!r}, which belongs to the class"
                )
        check_state = STATE_CHECKS.get((kind.__module__, kind.__name__))
        if check_state is not None:
            check_state(state)
        set_state = getattr(built, "__setstate__", None)
        if set_state is not None:
            set_state(state)
        else:
            built.__dict__.update(state)
