"""CSV lines with appended cells: original bytes, numbers as `repr` writes them, and replaced lines."""

import numpy as np
from hypothesis import example, given, settings, strategies as st

from cryptoliq_assets.serving.csv.lines import CsvLines, append_columns, has_plain_text

WRITTEN = st.lists(
    st.tuples(
        st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=12), st.floats(), st.booleans()
    ),
    min_size=1,
    max_size=12,
)


def records_of(texts: list[str]) -> CsvLines:
    parts = [text.encode() for text in texts]
    ends = np.cumsum([len(part) + 1 for part in parts]) - 1
    return CsvLines(b"\n".join(parts) + b"\n", ends - [len(part) for part in parts], ends)


@settings(max_examples=150)
@given(rows=WRITTEN)
@example(rows=[("a", 0.1 + 0.2, False), ("b", 1e-4, False), ("c", 9999999999999998.0, True), ("", -0.3, False)])
@example(rows=[("", 10000000000.5, False), ("", 9999999999.5, True)])
@example(
    rows=[
        ("a", 1e-5, False),
        ("b", 1e16, False),
        ("c", 10000000000.00005, False),
        ("d", -0.0, False),
        ("e", float("nan"), False),
    ]
)
def test_a_line_has_the_record_the_numbers_and_the_tail(rows):
    texts, values, second = (list(column) for column in zip(*rows, strict=True))
    numbers, tail_of = np.array(values), np.array(second, dtype=np.int64)
    others = {
        position: f"instead of {position}\n".encode() for position in np.flatnonzero(~has_plain_text(numbers)).tolist()
    }
    lines = append_columns(
        records_of(texts), [numbers, -numbers], tails=[b",one\n", b",another\n"], tail_of=tail_of, replacements=others
    )
    expected = [
        others.get(position) or f"{text},{value!r},{-value!r},{'another' if tail else 'one'}\n".encode()
        for position, (text, value, tail) in enumerate(rows)
    ]
    assert lines == b"".join(expected)


def test_floats_of_ordinary_size_with_a_fraction_are_plain():
    values = np.array([0.5, -0.1, 1e-4, 9.9e-5, 1.0, 0.0, 1e10 + 0.5, 1e300, np.nan, np.inf, 123456.789])
    assert has_plain_text(values).tolist() == [True] * 3 + [False] * 7 + [True]


def test_a_record_with_all_cells_and_no_quotes_is_plain():
    records = records_of(["a,b,c", "a,b", "a,b,c,d", 'a,"b",c', ",,", ""])
    assert records.is_plain(3).tolist() == [True, False, False, False, True, False]
    assert records[3] == 'a,"b",c'
    assert records.slice(4, 9).is_plain(1).tolist() == [False, True]
