"""Tables of 32-bit numbers, and files with checksum that are written in chunks."""

import errno
import io

import numpy as np
import pandas as pd
import pytest

from cryptoliq_assets.core.atomic_write import write_files
from cryptoliq_assets.storage import checksum
from cryptoliq_assets.storage.stamps.digests import day_digests


def digest(values: list[float], dtype: type) -> dict[str, tuple[str, int]]:
    days = pd.to_datetime(["2025-07-01"] * len(values))
    return day_digests(pd.DataFrame({"date": days, "value": np.array(values, dtype=dtype)}))


def test_digests_of_32_bit_numbers_differ_in_the_last_bit():
    one, next_to_it = np.float32(0.3), np.nextafter(np.float32(0.3), np.float32(1))
    assert digest([one], np.float32) != digest([next_to_it], np.float32)
    assert digest([0.25, 0.5], np.float32) == digest([0.5, 0.25], np.float32)


def test_zeros_and_missing_numbers_have_one_form_in_32_bits():
    assert digest([0.0], np.float32) == digest([-0.0], np.float32)
    other_nan = np.array([0x7FC00001], dtype=np.uint32).view(np.float32)
    assert digest([np.nan], np.float32) == digest(list(other_nan), np.float32) != digest([0.0], np.float32)


@pytest.mark.parametrize("chunk", [7, 2**24])
def test_a_file_in_chunks_equals_one_in_memory(tmp_path, monkeypatch, chunk):
    buffer = io.BytesIO()
    pd.DataFrame({"value": np.arange(1000.0)}).to_parquet(buffer)
    expected = b"".join(checksum.add_checksum(memoryview(buffer.getvalue())))
    monkeypatch.setattr(checksum, "_CHUNK", chunk)
    path, other = tmp_path / "a" / "large.parquet", tmp_path / "small"
    write_files({path: checksum.with_checksum(buffer), other: b"small"})
    assert (path.read_bytes(), other.read_bytes()) == (expected, b"small")
    with path.open("rb") as handle:
        assert checksum.verify_checksum(handle, path)


def test_a_failure_while_chunks_are_made_leaves_no_file(tmp_path):
    def chunks():
        yield b"begun"
        raise OSError(errno.ENOSPC, "no space left")

    path = tmp_path / "large"
    path.write_bytes(b"before")
    with pytest.raises(OSError, match="no space left"):
        write_files({path: chunks()})
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]
