"""JSON documents with one changed value, like a damaged or edited file of a home."""

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
    """Return the document with an arbitrary value instead of one of its values."""
    document = copy.deepcopy(document)
    *path, last = draw(st.sampled_from([path_to_value for path_to_value in value_paths(document) if path_to_value]))
    part = document
    for key in path:
        part = part[key]
    part[last] = draw(ANYTHING)
    return document


def value_paths(value: Any, path: tuple = ()) -> list[tuple]:
    """Return the path to each value of a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(path_to_value for key, each in inner for path_to_value in value_paths(each, (*path, key)))]
