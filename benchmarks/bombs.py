"""Memory use of hostile files and request bodies: a file in ingest, a body in the service.

Used by memory.py. A new process reads each file, and a new service receives each body; the baseline is the memory of the same process
after a small file or request.
"""

import contextlib
import datetime as dt
import http.client
import json
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import psutil

FACTOR, BASE_MB = 12, 200
DAY = dt.date(2025, 6, 25)
HEADER = "coin,symbol,price,1h,24h,7d,24h_volume,mkt_cap,date\n"
_ROW = "{coin},C,{price},0.1,-1.5,3.0,2e9,1e11,{date}\n"


def _rows(size: int, row_of: Callable[[int], str], *, header: str = HEADER) -> str:
    parts, total, number = [header], len(header), 0
    while total < size:
        parts.append(row_of(number))
        total += len(parts[-1])
        number += 1
    return "".join(parts)


def _row(number: int, *, coin: str | None = None, price: object = 1.5, date: object = DAY) -> str:
    return _ROW.format(coin=coin or f"c{number}", price=price, date=date)


def csv_shapes(size: int) -> Iterator[tuple[str, bytes]]:
    """Yield names and texts of about `size` bytes."""
    early = dt.date(2013, 1, 1)
    yield "commas", b"," * size
    yield "row of commas", HEADER.encode() + b"," * size
    yield "rows of 900 commas", HEADER.encode() + (b"," * 900 + b"\n") * (size // 901)
    yield "one cell", b"x" * size
    yield "cells of 1 MB", _rows(size, lambda n: _row(n, coin="x" * 2**20)).encode()
    yield "one cell in quotes", HEADER.encode() + b'"' + b"x\n" * (size // 2) + b'"'
    yield "quoted cells", b'"",' * (size // 3)
    yield "quoted rows", HEADER.encode() + b'""\n' * (size // 3)
    yield "pairs of quotes", HEADER.encode() + b'"' + b'""' * (size // 2) + b'"'
    yield "blank lines", HEADER.encode() + b"\n" * size
    yield "tiny rows", b"price\n" + b"1\n" * (size // 2)
    yield "tiny rows of two cells", b"price,24h_volume\n" + b"1,1\n" * (size // 4)
    yield "malformed rows", HEADER.encode() + b"x\n" * (size // 2)
    yield "half the rows malformed", _rows(size, lambda n: _row(n) + "x\n").encode()
    yield "empty cells", _rows(size, lambda n: f",,,,,,,,{DAY}\n").encode()
    yield "invalid prices", _rows(size, lambda n: _row(n, price=f"x{n}")).encode()
    yield "half the prices invalid", _rows(size, lambda n: _row(n, price=f"x{n}" if n % 2 else 1.5)).encode()
    yield "different coins", _rows(size, _row).encode()
    yield "one coin", _rows(size, lambda n: _row(n, coin="c")).encode()
    yield (
        "different dates",
        _rows(size, lambda n: _row(n, coin=f"c{n // 4000}", date=early + dt.timedelta(days=n % 4000))).encode(),
    )
    yield "invalid dates", _rows(size, lambda n: _row(n, date=f"d{n}")).encode()
    yield "compressed", b"\x1f\x8b\x08\x00" + b"\x00" * size


def json_shapes(size: int) -> Iterator[tuple[str, bytes]]:
    """Yield names and JSON bodies of about `size` bytes."""
    yield "nested lists", b"[" * size
    yield "nested objects", b'{"a":' * (size // 5)
    yield "empty objects", b'{"rows":[' + b"{}," * (size // 3) + b"{}]}"
    yield "empty lists", b"[" + b"[]," * (size // 3) + b"[]]"
    yield "unknown keys", ("{" + ",".join(f'"k{n}":1' for n in range(size // 10)) + "}").encode()
    yield "one key many times", b'{"rows":[{' + b'"price":1,' * (size // 10) + b'"price":1}]}'
    yield "long number", b'{"rows":[{"price":' + b"9" * size + b"}]}"
    yield "long text", b'{"rows":[{"coin":"' + b"x" * size + b'"}]}'
    yield "escapes", b'{"rows":[{"coin":"' + b"\\u00e9" * (size // 6) + b'"}]}'


def run_file_process(path: Path) -> None:
    """Ingest one file into a new home; print the megabytes above the baseline as JSON."""
    import resource

    from cryptoliq_assets.core import Settings
    from cryptoliq_assets.ingestion.landing import Intake
    from cryptoliq_assets.orchestration import Runner
    from cryptoliq_assets.storage import TableStore

    def ingest(content: Path | bytes) -> None:
        with tempfile.TemporaryDirectory(prefix="cryptoliq-bomb-") as folder:
            settings = Settings(home_dir=Path(folder))
            settings.raw_dir.mkdir(parents=True)
            target = settings.raw_dir / f"coingecko_{DAY:%Y%m%d}.csv"
            if isinstance(content, Path):
                shutil.move(content, target)
            else:
                target.write_bytes(content)
            Runner(settings).register_files()
            result = Intake(settings, TableStore(settings)).ingest([f"{DAY:%Y-%m}"])
            failed.extend(result.unread.values())

    failed: list[str] = []
    ingest((HEADER + "".join(_row(n) for n in range(200)) + "x\n" * 3).encode())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ingest(path)
    used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps({"mb": used, "failed": failed}))


def measure_files(size: int) -> list[tuple[str, float, float, bool]]:
    """Return (shape, megabytes above the baseline, multiple of its size, whether within the limit) of each file."""
    measured = []
    for name, content in csv_shapes(size):
        with tempfile.TemporaryDirectory(prefix="cryptoliq-bomb-") as folder:
            path = Path(folder, "bomb.csv")
            path.write_bytes(content)
            done = subprocess.run(
                [sys.executable, __file__, str(path)], stdout=subprocess.PIPE, text=True, check=True, timeout=900
            )
        result = json.loads(done.stdout.splitlines()[-1])
        measured.append(_check_limit(f"file: {name}", result["mb"], len(content), failed=bool(result["failed"])))
        print(measured[-1], flush=True)
    return measured


def measure_requests(
    serve: Callable[[], AbstractContextManager[tuple[str, psutil.Process]]], size: int
) -> list[tuple[str, float, float, bool]]:
    """Measure request bodies, each sent to a newly started service, so that no request's memory counts for another.

    Args:
        serve: Starts a service in one process; its context is the URL and the process.
        size: Bytes of each body.

    Returns:
        (shape, megabytes above the baseline, times its size, within the limit) of each body.
    """
    small = (HEADER + "".join(_row(n) for n in range(200)) + "x\n" * 3).encode()
    bodies = [(name, body, "text/csv") for name, body in csv_shapes(size)]
    bodies += [(name, body, "application/json") for name, body in json_shapes(size)]
    bodies += [(f"{name}, small", body, "application/json") for name, body in json_shapes(2 * 10**6)]
    measured = []
    for name, body, kind in bodies:
        with serve() as (url, process):
            for _ in range(3):
                _post(url, small, "text/csv")
            before = process.memory_info().rss
            Path(f"/proc/{process.pid}/clear_refs").write_text("5")
            status = _post(url, body, kind)
            status_lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        [peak] = [int(line.split()[1]) * 1024 for line in status_lines if line.startswith("VmHWM")]
        shape = f"request: {name} ({status})"
        measured.append(_check_limit(shape, (peak - before) / 2**20, len(body), failed=status >= 500))
        print(measured[-1], flush=True)
    return measured


def _check_limit(name: str, used: float, size: int, *, failed: bool) -> tuple[str, float, float, bool]:
    mb = size / 2**20
    return name, used, used / mb, not failed and used <= FACTOR * mb + BASE_MB


def _post(url: str, body: bytes, kind: str) -> int:
    """Return the status of the response after reading it; 0 if the connection ended without one."""
    address = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "127.0.0.1", address.port, timeout=300)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request("POST", "/predict/batch", body, {"Content-Type": kind})
        response = connection.getresponse()
        while response.read(2**20):
            pass
        return response.status
    return 0


if __name__ == "__main__":
    run_file_process(Path(sys.argv[1]))
