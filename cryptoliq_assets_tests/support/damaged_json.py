"""JSON documents of which one value is another than it was: what a damaged or edited file of a home may hold."""

import copy
from typing import Any

from hypothesis import strategies as st

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.sampled_from(["", "x", "2025-08-01T12:00:00"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["id", "at", "x"]), inner, max_size=2),
    max_leaves=4,
)


@st.composite
def damaged(draw: st.DrawFn, document: Any) -> Any:
    """The document with anything in place of one of its values."""
    document = copy.deepcopy(document)
    *path, last = draw(st.sampled_from([place for place in places(document) if place]))
    part = document
    for key in path:
        part = part[key]
    part[last] = draw(ANYTHING)
    return document


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """The path to each value in a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]
