"""File types: anything but CSV is rejected with a remedy."""

import bz2
import gzip
import io
import lzma
import pickle
import zipfile
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import feather, parquet

from cryptoliq_assets_tests.support.market_files import content, market, parse


def _saved(write: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def _zipped(name: str) -> bytes:
    def write(buffer: io.BytesIO) -> None:
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(name, content(market()))

    return _saved(write)


TABLE = pa.table({"coin": ["Bitcoin"] * 3, "price": [1.0, 2.0, 3.0]})
OTHER_TYPES = {
    "an HTML page": b"\n<!DOCTYPE html>\n<html><body>Error 1015</body></html>",
    "an HTML page behind a comment": b"\xef\xbb\xbf<!-- " + b"x" * 9000 + b" -->\n<HTML lang=en>",
    "an HTML page of one element": b'<a href="/login">moved</a>',
    "an XML document": b'\xef\xbb\xbf<?xml version="1.0"?><error>429</error>',
    "a JSON document": b'[{"id": "bitcoin", "current_price": 1}]',
    "a gzip file": gzip.compress(content(market())),
    "a bzip2 file": bz2.compress(content(market())),
    "an xz file": lzma.compress(content(market())),
    "a Zstandard (zstd) file": pa.compress(content(market()), codec="zstd", asbytes=True),
    "a zip archive": _zipped("coins.csv"),
    "an Excel workbook (xlsx)": _zipped("xl/workbook.xml"),
    "a Parquet file": _saved(lambda buffer: parquet.write_table(TABLE, buffer)),
    "an Arrow (Feather) file": _saved(lambda buffer: feather.write_feather(TABLE, buffer)),
    "a NumPy array (npy)": _saved(lambda buffer: np.save(buffer, np.arange(3.0))),
    "a Python pickle": pickle.dumps({"coin": "Bitcoin"}),
    "a PDF document": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "an old Office file": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(64),
    "a SQLite database": b"SQLite format 3\0" + bytes(84),
    "a 7z archive": b"7z\xbc\xaf\x27\x1c\0\4",
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
}


@pytest.mark.parametrize("kind", OTHER_TYPES)
def test_another_file_type_is_rejected_with_a_remedy(kind: str) -> None:
    report = parse(OTHER_TYPES[kind]).report
    assert report["refusal_code"] == "wrong_type"
    message, remedy = report["refusal"].split("not CSV; ")
    assert kind.split(" behind ")[0].split(" of ")[0] in message
    assert len(remedy) > 20


@pytest.mark.parametrize(
    "header", [b"<coin>,symbol", b"[coin],symbol", b"{id},coin", b"PAR1,coin", b"ORC,coin", b"BZh1,coin"]
)
def test_a_header_is_not_mistaken_for_another_file_type(header: bytes) -> None:
    assert parse(header + b"\n1,2\n").report["refusal_code"] == "missing_columns"
