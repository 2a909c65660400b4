"""History for CSV files: the loaded history is reused, months share a read, and the next one is prefetched."""

import csv
import datetime as dt
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.features.online import StoredHistory
from cryptoliq_assets.modeling.inference import load_champion
from cryptoliq_assets.serving.csv import predict as batch
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.settings import make_settings

FORECAST = ("coin", "date", "liquidity_score", "lower", "upper", "basis")


@pytest.fixture(scope="module")
def settings(trained_home) -> Settings:
    return make_settings(home_dir=trained_home.path)


@pytest.fixture(scope="module")
def champion(settings):
    return load_champion(settings)


@pytest.fixture
def archive(trained_home) -> Path:
    return trained_home.path / "data" / "archive"


@pytest.fixture
def predict(settings, champion):
    """Predict one file after another."""

    def predict(*files: Path, **options) -> list[list[str]]:
        header, *rows = files[0].read_text(encoding="utf-8").splitlines()
        rows += [row for file in files[1:] for row in file.read_text(encoding="utf-8").splitlines()[1:]]
        content = "\n".join([header, *rows, ""]).encode()
        _, chunks = batch.predict_content(
            content, champion=champion, settings=settings, today=dt.date(2025, 8, 2), **options
        )
        reader = csv.DictReader(io.StringIO(b"".join(chunks).decode("utf-8")))
        return [[row[name] for name in FORECAST] for row in reader]

    return predict


@pytest.fixture
def reads(monkeypatch) -> list[tuple[str, str]]:
    """Record the first and last day of each read of history, in order."""
    read, reads = StoredHistory.read, []

    def noted(store, first, last, **options):
        reads.append((str(first), str(last)))
        return read(store, first, last, **options)

    monkeypatch.setattr(StoredHistory, "read", noted)
    return reads


@pytest.mark.parametrize(
    ("months", "expected"),
    [
        (3, [("2025-05-10", "2025-07-31")]),
        (2, [("2025-06-15", "2025-07-31"), ("2025-05-10", "2025-05-20")]),
        (1, [("2025-07-31", "2025-07-31"), ("2025-06-15", "2025-06-15"), ("2025-05-10", "2025-05-20")]),
    ],
)
def test_adjacent_months_are_read_together_with_equal_forecasts(predict, archive, reads, monkeypatch, months, expected):
    files = [archive / f"coingecko_{day}.csv" for day in ("20250731", "20250615", "20250520", "20250510")]
    alone = [row for file in files for row in predict(file)]
    assert {row[-1] for row in alone} >= {"history"}
    reads.clear()
    monkeypatch.setattr(batch, "_MONTHS_PER_READ", months)
    assert predict(*files) == alone
    assert reads == expected


def test_only_rows_outside_the_loaded_history_are_read(predict, archive, settings, champion, reads):
    files = [archive / f"coingecko_{day}.csv" for day in ("20250615", "20250731")]
    expected = predict(*files)
    july = dt.date(2025, 7, 1)
    loaded = StoredHistory.read(TableStore(settings), july, dt.date(2025, 7, 31), formula=champion.metadata["formula"])
    reads.clear()
    assert predict(*files, history=lambda first: loaded if first >= july else None) == expected
    assert reads == [("2025-06-15", "2025-06-15")]


def test_only_the_next_history_is_prefetched():
    spans, read = list(range(5)), []

    def past_of(span: int) -> int:
        read.append(span)
        return -span

    with ThreadPoolExecutor(1) as reader:
        for span, past in batch._prefetch(reader, past_of, spans):
            assert past == -span
            # The reads completed once the reader has finished its request.
            reader.submit(lambda: None).result()
            assert read == spans[: span + 2]
