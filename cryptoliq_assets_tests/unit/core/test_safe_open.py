"""Reading of stored files: invalid JSON documents and irregular files are rejected by name without blocking."""

import os
import socket
from pathlib import Path

import pytest

from cryptoliq_assets.core import safe_open
from cryptoliq_assets.core.safe_open import (
    DamagedDocumentError,
    FileReadError,
    has_content,
    open_stored,
    read_json_object,
    read_stored,
)

INVALID = {
    "nested": (b'{"a":' * 100_000, "nested too deeply"),
    "nested arrays": (b"[" * 100_000, "nested too deeply"),
    "cut off": (b'{"a": 1', "not JSON"),
    "empty": (b"", "not JSON"),
    "array": (b"[1]", "it contains a JSON array, expected an object"),
    "number": (b"1.5", "it contains a JSON number, expected an object"),
    "null": (b"null", "it contains a JSON null, expected an object"),
    "bytes": (b"\xff\xfe", "not UTF-8 text"),
}


@pytest.mark.parametrize("kind", INVALID)
def test_an_invalid_document_is_rejected_with_file_and_reason(tmp_path: Path, kind: str) -> None:
    content, reason = INVALID[kind]
    path = tmp_path / "report.json"
    path.write_bytes(content)
    with pytest.raises(DamagedDocumentError) as raised:
        read_json_object(path)
    assert str(path) in str(raised.value)
    assert reason in str(raised.value)
    assert isinstance(raised.value, OSError)


@pytest.mark.parametrize("kind", ["pipe", "folder", "socket", "device", "link"])
def test_an_irregular_file_is_not_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    with socket.socket(socket.AF_UNIX) as listener:
        if kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        elif kind == "socket":
            listener.bind(str(path))
        else:
            path.symlink_to("/dev/zero" if kind == "device" else __file__)
        for read in (read_stored, open_stored, read_json_object):
            with pytest.raises(FileReadError, match="not a regular file") as raised:
                read(path)
            assert str(path) in str(raised.value)
        assert not has_content(path, b"")


def test_a_document_above_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe_open, "MAX_DOCUMENT_BYTES", 1_000)
    path = tmp_path / "report.json"
    path.write_bytes(b" " * 2_000)
    with pytest.raises(FileReadError, match="more than the 0 MiB that a file of its kind may have"):
        read_json_object(path)


def test_a_symlinked_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "volume" / "a.json").write_text('{"a": 1}')
    (tmp_path / "data").symlink_to("volume")
    assert read_json_object(tmp_path / "data" / "a.json") == {"a": 1}
