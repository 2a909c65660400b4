"""Reading of cells by several threads."""

import pytest
from hypothesis import given, settings, strategies as st

from cryptoliq_assets.ingestion.csv import cells as cells_module
from cryptoliq_assets_tests.support.csv_snapshots import BITCOIN, ETHEREUM, mutated_files, parse, table


@settings(max_examples=300)
@given(mutated_files(), st.sampled_from([16, 100, 10_000]))
def test_threaded_and_sequential_parsing_agree(content: bytes, block: int) -> None:
    one_by_one = parse(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells_module, "_MIN_THREADED_BYTES", 0)
        patch.setattr(cells_module, "_BLOCK_BYTES", block)
        in_blocks = parse(content)
    assert in_blocks.report == one_by_one.report
    assert in_blocks.rows == one_by_one.rows or in_blocks.rows.equals(one_by_one.rows)
    assert in_blocks.rejected_rows.equals(one_by_one.rejected_rows)


def test_threads_parse_a_large_well_formed_file(monkeypatch: pytest.MonkeyPatch) -> None:
    read_csv, threaded = cells_module._read_csv, []

    def record_call(*args, threads, **options):
        threaded.append(threads)
        return read_csv(*args, threads=threads, **options)

    monkeypatch.setattr(cells_module, "_read_csv", record_call)
    monkeypatch.setattr(cells_module, "_MIN_THREADED_BYTES", 100)
    monkeypatch.setattr(cells_module, "_BLOCK_BYTES", 128)
    names = [f"Coin {n}" for n in range(50)]
    parsed = parse(table(*(BITCOIN.replace("Bitcoin", name) for name in names)))
    assert (parsed.rows["coin"].to_pylist(), threaded) == (names, [True])
    assert parse(table(BITCOIN, ETHEREUM, "one,cell,more,than,this")).report["rows_refused"] == {"wrong_field_count": 1}
    assert threaded[1:3] == [True, False]
