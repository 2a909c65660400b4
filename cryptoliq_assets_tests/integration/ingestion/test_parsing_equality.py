"""Equality of the ways to parse: typed and textual, bulk and single."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings, strategies as st

from cryptoliq_assets.ingestion.csv import cells as cells_module
from cryptoliq_assets.ingestion.parsing import RawFile, bulk
from cryptoliq_assets_tests.support.bulk_files import check_bulk_parsing, raw_files
from cryptoliq_assets_tests.support.csv_snapshots import CELLS, parse, table


@settings(max_examples=250)
@given(st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=5))
def test_typed_and_textual_parsing_of_numbers_agree(rows: Sequence[Sequence[str]]) -> None:
    def quote(cell: str) -> str:
        return '"' + cell.replace('"', '""').replace("\0", "") + '"'

    lines = [f"Coin {n},C,{','.join(map(quote, row))},,,,2022-03-16" for n, row in enumerate(rows)]
    content = table(*lines).encode("utf-8", "replace")
    at_once = parse(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells_module, "_read_typed", lambda document, *, text_names, number_names: ({}, None, None))
        cell_by_cell = parse(content)
    assert at_once.report == cell_by_cell.report
    assert at_once.rows == cell_by_cell.rows or at_once.rows.equals(cell_by_cell.rows)
    assert at_once.rejected_rows.equals(cell_by_cell.rejected_rows)


@settings(max_examples=150)
@given(
    files=st.lists(raw_files(), max_size=12),
    change_unit=st.sampled_from(["auto", "auto", "fraction"]),
    max_rejected_fraction=st.sampled_from([0.5, 0.0]),
    group_bytes=st.sampled_from([2**20, 2000]),
)
def test_bulk_parsing_equals_single_parsing(
    files: list[RawFile], change_unit: str, max_rejected_fraction: float, group_bytes: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # The second size puts about two files in a group.
        patch.setattr(bulk, "_GROUP_BYTES", group_bytes)
        check_bulk_parsing(files, change_unit=change_unit, max_rejected_fraction=max_rejected_fraction)
