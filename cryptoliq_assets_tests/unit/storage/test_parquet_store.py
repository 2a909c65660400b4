"""Monthly tables: written, stamped, read back, and rejected when damaged."""

import datetime as dt
import json
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cryptoliq_assets.schemas.tables import DERIVED_TABLES, TABLES
from cryptoliq_assets.storage import TableStore, empty_frame
from cryptoliq_assets.storage.validation import InvalidTableError, schema_fingerprint
from cryptoliq_assets_tests.support.markets import assert_same_tables
from cryptoliq_assets_tests.support.settings import make_settings

MARCH, APRIL = dt.date(2022, 3, 30), dt.date(2022, 4, 2)
MONTHS = ["2022-03", "2022-04"]


def copy_with(frame: pd.DataFrame, **columns: object) -> pd.DataFrame:
    return frame.copy().assign(**columns)


@pytest.mark.parametrize("table", list(TABLES))
def test_written_frames_are_read_back_unchanged(store: TableStore, frames: dict, table: str) -> None:
    frame = frames[table]
    rows = store.write(table, frame, MONTHS)
    assert rows == {"2022-03": 3, "2022-04": 3}
    back = store.read(table)
    assert back.columns.tolist() == TABLES[table].columns
    text = {name: object for name in back.columns if isinstance(back[name].dtype, pd.CategoricalDtype)}
    pd.testing.assert_frame_equal(back.astype(text), frame.astype(text))


def test_a_frame_of_two_months_is_written_as_two_files(store: TableStore, frames: dict) -> None:
    store.write("raw_snapshots", frames["raw_snapshots"], MONTHS, sources={"2022-03": [2, 1]})
    folder = store.folder("raw_snapshots")
    assert sorted(path.name for path in folder.iterdir()) == ["2022-03.parquet", "2022-04.parquet"]
    assert pd.read_parquet(folder / "2022-03.parquet")["date"].dt.date.unique().tolist() == [MARCH]
    stamps = [store.stamp("raw_snapshots", month) for month in MONTHS]
    assert [stamp.sources for stamp in stamps] == [(1, 2), ()]
    assert [list(stamp.days) for stamp in stamps] == [["2022-03-30"], ["2022-04-02"]]
    assert [stamp.counts for stamp in stamps] == [{"2022-03-30": 3}, {"2022-04-02": 3}]
    assert [stamp.rows for stamp in stamps] == [3, 3]


def test_rows_outside_the_requested_months_are_rejected(store: TableStore, frames: dict) -> None:
    with pytest.raises(ValueError, match="rows of 2022-04 in a frame for 2022-03"):
        store.write("raw_snapshots", frames["raw_snapshots"], ["2022-03"])
    assert store.months("raw_snapshots") == []


def test_the_footer_has_statistics_of_each_float_column(store: TableStore, frames: dict) -> None:
    raw = copy_with(frames["raw_snapshots"], price=[3.0, 9.0, 1.0, 9.0, 2.0, 9.0], mkt_cap=np.nan)
    store.write("raw_snapshots", raw.assign(mkt_cap=np.where(raw["date"].dt.month == 3, np.nan, 5.0)), MONTHS)
    march = raw[raw["date"].dt.month == 3]["price"]
    facts = [store.column_facts("raw_snapshots", month) for month in MONTHS]
    assert (facts[0]["price"].minimum, facts[0]["price"].maximum) == (march.min(), march.max())
    assert [month_facts["mkt_cap"].nulls for month_facts in facts] == [3, 0]
    assert (facts[0]["mkt_cap"].minimum, facts[1]["mkt_cap"].maximum) == (None, 5.0)
    assert "coin" not in facts[0]


def test_a_stamp_of_another_version_is_ignored(store: TableStore, frames: dict) -> None:
    path = store.path("raw_snapshots", "2022-03")
    path.parent.mkdir(parents=True)
    content = pa.Table.from_pandas(frames["raw_snapshots"], preserve_index=False)
    old = {"schema": schema_fingerprint(TABLES["raw_snapshots"]), "days": {}, "inputs": "", "rows": 3, "sources": []}
    pq.write_table(content.replace_schema_metadata({b"cryptoliq": json.dumps(old).encode()}), path)
    assert store.stamp("raw_snapshots", "2022-03") is None
    assert not store.is_fresh("raw_snapshots", "2022-03")


def test_writing_a_month_without_rows_removes_its_file(store: TableStore, frames: dict) -> None:
    raw = frames["raw_snapshots"]
    store.write("raw_snapshots", raw, MONTHS)
    rows = store.write("raw_snapshots", raw[raw["date"].dt.month == 3], MONTHS)
    assert rows == {"2022-03": 3, "2022-04": 0}
    assert store.months("raw_snapshots") == ["2022-03"]
    store.write("raw_snapshots", raw.head(0), MONTHS)
    assert store.months("raw_snapshots") == []


def test_a_month_whose_rows_were_all_dropped_has_an_empty_file(store: TableStore, frames: dict) -> None:
    store.write("raw_snapshots", frames["raw_snapshots"], MONTHS)
    store.write("cleaned_snapshots", frames["cleaned_snapshots"].head(0), ["2022-03", "2022-05"])
    assert store.months("cleaned_snapshots") == ["2022-03"]
    assert len(store.read("cleaned_snapshots")) == 0
    assert store.is_fresh("cleaned_snapshots", "2022-03")


def test_missing_months_are_read_as_no_rows(store: TableStore, frames: dict) -> None:
    empty = store.read("labels", ["2022-01"])
    assert (len(empty), empty.columns.tolist()) == (0, TABLES["labels"].columns)
    assert empty.dtypes.equals(empty_frame(TABLES["labels"]).dtypes)
    assert store.read("labels", columns=["coin", "date"]).columns.tolist() == ["coin", "date"]
    store.write("labels", frames["labels"], MONTHS)
    assert len(store.read("labels", ["2021-12", "2022-03", "2023-01"])) == 3


def test_a_range_is_read_sorted_by_coin_and_date(store: TableStore, frames: dict) -> None:
    frame = frames["raw_snapshots"]
    mixed = frame.sample(frac=1, random_state=1)
    store.write("raw_snapshots", mixed[mixed["date"].dt.month == 4], ["2022-04"])
    # The other month has other coins, so the categories of the two files differ.
    march = copy_with(mixed[mixed["date"].dt.month == 3], coin=["Zcash", "Aave", "Tether"])
    store.write("raw_snapshots", march, ["2022-03"])
    back = store.read("raw_snapshots")
    keys = list(zip(back["coin"], back["date"].dt.date, strict=True))
    assert keys == sorted(keys)
    assert back["coin"].cat.categories.tolist() == ["Aave", "Bitcoin", "Ether", "Tether", "Zcash"]
    assert keys[3:5] == [("Tether", MARCH), ("Tether", APRIL)]


def test_only_the_requested_columns_are_read(store: TableStore, frames: dict) -> None:
    store.write("labels", frames["labels"], MONTHS)
    back = store.read("labels", columns=["coin", "date", "target_score"])
    assert back.columns.tolist() == ["coin", "date", "target_score"]
    assert back["coin"].tolist() == frames["labels"]["coin"].tolist()


def test_types_are_coerced_when_written(store: TableStore, frames: dict) -> None:
    frame = frames["raw_snapshots"]
    loose = copy_with(
        frame,
        coin=frame["coin"].astype(str),
        price=[str(price) for price in frame["price"]],
        mkt_cap=1_000,
        date=frame["date"].dt.strftime("%Y-%m-%d"),
    )
    store.write("raw_snapshots", loose[loose.columns[::-1]], MONTHS)
    back = store.read("raw_snapshots")
    assert back.columns.tolist() == frame.columns.tolist()
    assert back.dtypes.astype(str).to_dict() == frame.dtypes.astype(str).to_dict()
    assert back["price"].tolist() == frame["price"].tolist()


def test_types_are_coerced_when_read(store: TableStore, frames: dict) -> None:
    frame = frames["raw_snapshots"]
    path = store.path("raw_snapshots", "2022-03")
    path.parent.mkdir(parents=True)
    march = frame[frame["date"].dt.month == 3].assign(mkt_cap=1_000, coin=lambda rows: rows["coin"].astype(str))
    march[march.columns[::-1]].to_parquet(path, index=False)
    back = store.read("raw_snapshots")
    assert back.columns.tolist() == frame.columns.tolist()
    assert back.dtypes.astype(str).to_dict() == frame.dtypes.astype(str).to_dict()


def test_pandas_reads_the_directory_of_a_table(store: TableStore, frames: dict) -> None:
    store.write("labels", frames["labels"], MONTHS)
    store.write("raw_snapshots", frames["raw_snapshots"], MONTHS)
    folder = store.folder("labels")
    # A temporary file left by a killed writer is not data.
    (folder / f".2022-05.parquet.{uuid.uuid4().hex[:8]}.tmp").write_bytes(b"PAR1 half of a file")
    table = pd.read_parquet(folder)
    assert len(table) == 6
    assert set(table["coin"]) == {"Bitcoin", "Ether", "Tether"}
    assert store.months("labels") == MONTHS


def test_in_memory_tables_behave_like_local_ones(frames: dict, tmp_path: Path) -> None:
    remote = TableStore(make_settings(home_dir=tmp_path, storage__url=f"memory://{uuid.uuid4().hex}"))
    local = TableStore(make_settings(home_dir=tmp_path))
    for table in DERIVED_TABLES:
        assert remote.months(table) == []
        for store in (remote, local):
            store.write(table, frames[table], MONTHS, sources={"2022-03": [1]})
    assert_same_tables(remote, local)
    assert list(tmp_path.glob("data/*/*.parquet")) != []
    assert remote.stamp("raw_snapshots", "2022-03") == local.stamp("raw_snapshots", "2022-03")
    assert remote.stale_months() == {table: [] for table in DERIVED_TABLES}
    remote.write("raw_snapshots", frames["raw_snapshots"].head(0), MONTHS)
    assert remote.months("raw_snapshots") == []
    assert remote.stale_months()["cleaned_snapshots"] == MONTHS
    with pytest.raises(InvalidTableError, match="price"):
        remote.write("raw_snapshots", copy_with(frames["raw_snapshots"], price=-1.0), MONTHS)


def test_a_damaged_footer_makes_the_month_stale(store: TableStore, frames: dict) -> None:
    store.write("labels", frames["labels"], MONTHS)
    path = store.path("labels", "2022-03")
    content = bytearray(path.read_bytes())
    content[-120:-20] = b"\xff" * 100
    path.write_bytes(content)
    assert store.stamp("labels", "2022-03") is None
    assert not store.is_fresh("labels", "2022-03")
    for read in (store.read, store.column_facts):
        with pytest.raises(InvalidTableError, match=r"(?s)2022-03\.parquet.*cryptoliq materialize"):
            read("labels", *([["2022-03"]] if read == store.read else ["2022-03"]))


def test_a_page_with_a_changed_bit_is_rejected(store: TableStore, frames: dict) -> None:
    store.write("labels", frames["labels"], MONTHS)
    path = store.path("labels", "2022-03")
    content = path.read_bytes()
    value = np.float64(frames["labels"]["liquidity_score"].iloc[0]).tobytes()
    assert value in content
    path.write_bytes(content.replace(value, value[:-3] + bytes([value[-3] ^ 1]) + value[-2:]))
    with pytest.raises(InvalidTableError, match="is damaged"):
        store.read("labels", ["2022-03"])


def test_a_rewrite_of_equal_size_in_an_object_store_is_detected(frames: dict) -> None:
    store = TableStore(make_settings(storage__url=f"memory://{uuid.uuid4().hex}"))
    for sources in ([1, 2], [1, 3]):
        store.write("raw_snapshots", frames["raw_snapshots"], MONTHS, sources={"2022-03": sources})
        assert store.stamp("raw_snapshots", "2022-03").sources == tuple(sources)


def test_forecasts_without_flag_columns_are_read_as_unflagged(store: TableStore, frames: dict) -> None:
    store.write("forecasts", frames["forecasts"], MONTHS)
    path = store.path("forecasts", "2022-03")
    table = pq.read_table(path)
    stamp = json.loads(table.schema.metadata[b"cryptoliq"]) | {"schema": "an earlier schema", "sealed": False}
    without_flags = table.drop_columns(["filled", "outlier"])
    pq.write_table(without_flags.replace_schema_metadata({b"cryptoliq": json.dumps(stamp).encode()}), path)
    back = store.read("forecasts", ["2022-03"])
    assert back.columns.tolist() == TABLES["forecasts"].columns
    assert not back[["filled", "outlier"]].any(axis=None)
