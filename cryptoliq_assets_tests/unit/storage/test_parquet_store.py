"""The monthly tables: split, stamped, validated out and in, and the judge of what is stale."""

import datetime as dt
import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cryptoliq_assets.modeling.views_table import update_views
from cryptoliq_assets.schemas.tables import DERIVED_TABLES, TABLES, TRAINING_TABLES
from cryptoliq_assets.storage import TableStore, empty_frame
from cryptoliq_assets.storage.validation import InvalidTableError, schema_fingerprint
from cryptoliq_assets_tests.support.markets import Home, assert_same_tables, snapshot
from cryptoliq_assets_tests.support.settings import make_settings

MARCH, APRIL = dt.date(2022, 3, 30), dt.date(2022, 4, 2)
BOTH = ["2022-03", "2022-04"]


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """A valid frame of each table: three coins on 30 March and 2 April 2022."""
    home = Home.at(tmp_path_factory.mktemp("home"))
    home.drop("coingecko_20220330.csv", snapshot([MARCH, APRIL], missing=0))
    home.bring_up_to_date()
    update_views(home.settings, home.store)
    made = {table: home.store.read(table) for table in (*DERIVED_TABLES, *TRAINING_TABLES)}
    made["raw_snapshots"] = made["raw_snapshots"].assign(name=made["raw_snapshots"]["symbol"])
    labels = made["labels"]
    score = labels["liquidity_score"]
    ours = {
        "model_version": "v1",
        "made_at": pd.Timestamp("2022-04-03 10:00:00.000000001").floor("s").as_unit("ns"),
        "lower": score - 0.1,
        "upper": score + 0.1,
        "filled": False,
        "outlier": False,
    }
    known = {name: labels[name] for name in ("coin", "date", "target_date")} | {"known_until": labels["date"]}
    made["forecasts"] = pd.DataFrame(known | ours | {"liquidity_score": score})[TABLES["forecasts"].columns]
    return made


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    return TableStore(make_settings(home_dir=tmp_path))


def copies(frame: pd.DataFrame, **columns: object) -> pd.DataFrame:
    return frame.copy().assign(**columns)


# Out and in


@pytest.mark.parametrize("table", list(TABLES))
def test_what_is_written_is_read_back_the_same(store: TableStore, frames: dict, table: str) -> None:
    frame = frames[table]
    rows = store.write(table, frame, BOTH)
    assert rows == {"2022-03": 3, "2022-04": 3}
    back = store.read(table)
    assert back.columns.tolist() == TABLES[table].columns
    text = {name: object for name in back.columns if isinstance(back[name].dtype, pd.CategoricalDtype)}
    pd.testing.assert_frame_equal(back.astype(text), frame.astype(text))


def test_a_frame_of_two_months_is_two_files_each_with_its_own_rows(store: TableStore, frames: dict) -> None:
    store.write("raw_snapshots", frames["raw_snapshots"], BOTH, sources={"2022-03": [2, 1]})
    folder = store.folder("raw_snapshots")
    assert sorted(path.name for path in folder.iterdir()) == ["2022-03.parquet", "2022-04.parquet"]
    assert pd.read_parquet(folder / "2022-03.parquet")["date"].dt.date.unique().tolist() == [MARCH]
    stamps = [store.stamp("raw_snapshots", month) for month in BOTH]
    assert [stamp.sources for stamp in stamps] == [(1, 2), ()]
    assert [list(stamp.days) for stamp in stamps] == [["2022-03-30"], ["2022-04-02"]]
    assert [stamp.counts for stamp in stamps] == [{"2022-03-30": 3}, {"2022-04-02": 3}]
    assert [stamp.rows for stamp in stamps] == [3, 3]


def test_rows_of_a_month_that_was_not_asked_for_are_an_error_and_nothing_is_written(
    store: TableStore, frames: dict
) -> None:
    with pytest.raises(ValueError, match="rows of 2022-04 in a frame for 2022-03"):
        store.write("raw_snapshots", frames["raw_snapshots"], ["2022-03"])
    assert store.months("raw_snapshots") == []


def test_the_footer_of_a_month_tells_nulls_least_and_largest_of_each_column_of_floats(
    store: TableStore, frames: dict
) -> None:
    raw = copies(frames["raw_snapshots"], price=[3.0, 9.0, 1.0, 9.0, 2.0, 9.0], mkt_cap=np.nan)
    store.write("raw_snapshots", raw.assign(mkt_cap=np.where(raw["date"].dt.month == 3, np.nan, 5.0)), BOTH)
    march = raw[raw["date"].dt.month == 3]["price"]
    facts = [store.column_facts("raw_snapshots", month) for month in BOTH]
    assert (facts[0]["price"].minimum, facts[0]["price"].maximum) == (march.min(), march.max())
    assert [found["mkt_cap"].nulls for found in facts] == [3, 0]
    assert (facts[0]["mkt_cap"].minimum, facts[1]["mkt_cap"].maximum) == (None, 5.0)
    assert "coin" not in facts[0]


def test_a_stamp_of_another_version_vouches_for_nothing(store: TableStore, frames: dict) -> None:
    path = store.path("raw_snapshots", "2022-03")
    path.parent.mkdir(parents=True)
    whole = pa.Table.from_pandas(frames["raw_snapshots"], preserve_index=False)
    old = {"schema": schema_fingerprint(TABLES["raw_snapshots"]), "days": {}, "inputs": "", "rows": 3, "sources": []}
    pq.write_table(whole.replace_schema_metadata({b"cryptoliq": json.dumps(old).encode()}), path)
    assert store.stamp("raw_snapshots", "2022-03") is None
    assert not store.is_fresh("raw_snapshots", "2022-03")


def test_a_month_without_rows_is_no_file_and_removes_a_stale_one(store: TableStore, frames: dict) -> None:
    raw = frames["raw_snapshots"]
    store.write("raw_snapshots", raw, BOTH)
    rows = store.write("raw_snapshots", raw[raw["date"].dt.month == 3], BOTH)
    assert rows == {"2022-03": 3, "2022-04": 0}
    assert store.months("raw_snapshots") == ["2022-03"]
    store.write("raw_snapshots", raw.head(0), BOTH)
    assert store.months("raw_snapshots") == []


def test_a_month_whose_rows_all_fell_away_is_a_stamped_file_of_no_rows(store: TableStore, frames: dict) -> None:
    store.write("raw_snapshots", frames["raw_snapshots"], BOTH)
    store.write("cleaned_snapshots", frames["cleaned_snapshots"].head(0), ["2022-03", "2022-05"])
    assert store.months("cleaned_snapshots") == ["2022-03"]
    assert len(store.read("cleaned_snapshots")) == 0
    assert store.is_fresh("cleaned_snapshots", "2022-03")


def test_months_that_are_not_there_are_no_rows(store: TableStore, frames: dict) -> None:
    empty = store.read("labels", ["2022-01"])
    assert (len(empty), empty.columns.tolist()) == (0, TABLES["labels"].columns)
    assert empty.dtypes.equals(empty_frame(TABLES["labels"]).dtypes)
    assert store.read("labels", columns=["coin", "date"]).columns.tolist() == ["coin", "date"]
    store.write("labels", frames["labels"], BOTH)
    assert len(store.read("labels", ["2021-12", "2022-03", "2023-01"])) == 3


def test_a_range_is_one_frame_sorted_by_coin_and_date(store: TableStore, frames: dict) -> None:
    frame = frames["raw_snapshots"]
    mixed = frame.sample(frac=1, random_state=1)
    store.write("raw_snapshots", mixed[mixed["date"].dt.month == 4], ["2022-04"])
    # Another set of coins in the other month: a category of one file is none of the other.
    march = copies(mixed[mixed["date"].dt.month == 3], coin=["Zcash", "Aave", "Tether"])
    store.write("raw_snapshots", march, ["2022-03"])
    back = store.read("raw_snapshots")
    found = list(zip(back["coin"], back["date"].dt.date, strict=True))
    assert found == sorted(found)
    assert back["coin"].cat.categories.tolist() == ["Aave", "Bitcoin", "Ether", "Tether", "Zcash"]
    assert found[3:5] == [("Tether", MARCH), ("Tether", APRIL)]


def test_only_the_columns_asked_for_are_read(store: TableStore, frames: dict) -> None:
    store.write("labels", frames["labels"], BOTH)
    back = store.read("labels", columns=["coin", "date", "target_score"])
    assert back.columns.tolist() == ["coin", "date", "target_score"]
    assert back["coin"].tolist() == frames["labels"]["coin"].tolist()


def test_types_are_coerced_on_the_way_out(store: TableStore, frames: dict) -> None:
    frame = frames["raw_snapshots"]
    loose = copies(
        frame,
        coin=frame["coin"].astype(str),
        price=[str(price) for price in frame["price"]],
        mkt_cap=1_000,
        date=frame["date"].dt.strftime("%Y-%m-%d"),
    )
    store.write("raw_snapshots", loose[loose.columns[::-1]], BOTH)
    back = store.read("raw_snapshots")
    assert back.columns.tolist() == frame.columns.tolist()
    assert back.dtypes.astype(str).to_dict() == frame.dtypes.astype(str).to_dict()
    assert back["price"].tolist() == frame["price"].tolist()


def test_types_are_coerced_on_the_way_in(store: TableStore, frames: dict) -> None:
    frame = frames["raw_snapshots"]
    path = store.path("raw_snapshots", "2022-03")
    path.parent.mkdir(parents=True)
    march = frame[frame["date"].dt.month == 3].assign(mkt_cap=1_000, coin=lambda rows: rows["coin"].astype(str))
    march[march.columns[::-1]].to_parquet(path, index=False)
    back = store.read("raw_snapshots")
    assert back.columns.tolist() == frame.columns.tolist()
    assert back.dtypes.astype(str).to_dict() == frame.dtypes.astype(str).to_dict()


def test_pandas_reads_the_directory_of_the_labels_whole(store: TableStore, frames: dict) -> None:
    store.write("labels", frames["labels"], BOTH)
    store.write("raw_snapshots", frames["raw_snapshots"], BOTH)
    folder = store.folder("labels")
    # What a killed writer leaves behind is no data.
    (folder / f".2022-05.parquet.{uuid.uuid4().hex[:8]}.tmp").write_bytes(b"PAR1 half of a file")
    whole = pd.read_parquet(folder)
    assert len(whole) == 6
    assert set(whole["coin"]) == {"Bitcoin", "Ether", "Tether"}
    assert store.months("labels") == BOTH


def test_tables_in_memory_are_the_same_code(frames: dict, tmp_path: Path) -> None:
    remote = TableStore(make_settings(home_dir=tmp_path, storage__url=f"memory://{uuid.uuid4().hex}"))
    local = TableStore(make_settings(home_dir=tmp_path))
    for table in DERIVED_TABLES:
        assert remote.months(table) == []
        for each in (remote, local):
            each.write(table, frames[table], BOTH, sources={"2022-03": [1]})
    assert_same_tables(remote, local)
    assert list(tmp_path.glob("data/*/*.parquet")) != []
    assert remote.stamp("raw_snapshots", "2022-03") == local.stamp("raw_snapshots", "2022-03")
    assert remote.stale_months() == {table: [] for table in DERIVED_TABLES}
    remote.write("raw_snapshots", frames["raw_snapshots"].head(0), BOTH)
    assert remote.months("raw_snapshots") == []
    assert remote.stale_months()["cleaned_snapshots"] == BOTH
    with pytest.raises(InvalidTableError, match="price"):
        remote.write("raw_snapshots", copies(frames["raw_snapshots"], price=-1.0), BOTH)


# Every kind of rule refuses


@dataclass(frozen=True)
class Rule:
    """A frame made bad in one way, and what must be said of it: column, check, count and a sample."""

    table: str
    spoil: Callable[[pd.DataFrame], pd.DataFrame]
    column: str
    check: str
    count: int
    sample: str


def put(column: str, *values: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """The frame with these values in the first rows of a column."""

    def spoil(frame: pd.DataFrame) -> pd.DataFrame:
        cells = frame[column].astype(object).tolist()
        cells[: len(values)] = values
        changed: Any = cells
        if isinstance(frame[column].dtype, pd.CategoricalDtype):
            changed = pd.Categorical(cells)
        elif not any(isinstance(value, str) for value in values):
            changed = pd.Series(cells, index=frame.index).astype(frame[column].dtype)
        return frame.assign(**{column: changed})

    return spoil


FIRST_ROW = "(Bitcoin, 2022-03-30)"
VALUES = {
    "null coin": Rule("raw_snapshots", put("coin", None), "coin", "not_nullable", 1, "nan"),
    "null date": Rule("raw_snapshots", put("date", pd.NaT), "date", "not_nullable", 1, "NaT"),
    "null price": Rule("cleaned_snapshots", put("price", np.nan, np.nan), "price", "not_nullable", 2, FIRST_ROW),
    "negative price": Rule(
        "raw_snapshots", put("price", -1.5), "price", "greater_than_or_equal_to(0)", 1, "-1.5 (Bitc"
    ),
    "price of zero": Rule("cleaned_snapshots", put("price", 0.0), "price", "greater_than(0)", 1, f"0.0 {FIRST_ROW}"),
    "fall by more than all": Rule(
        "cleaned_snapshots", put("24h", -101.0), "24h", "greater_than_or_equal_to(-100)", 1, f"-101.0 {FIRST_ROW}"
    ),
    "infinite cap": Rule("raw_snapshots", put("mkt_cap", np.inf), "mkt_cap", "is_finite", 1, f"inf {FIRST_ROW}"),
    "infinite feature": Rule(
        "engineered_features", put("price_log", -np.inf, np.inf), "price_log", "is_finite", 2, f"-inf {FIRST_ROW}"
    ),
    "blank coin": Rule("raw_snapshots", put("coin", "  "), "coin", "is_filled", 1, "2022-03-30"),
    "empty symbol": Rule("raw_snapshots", put("symbol", "", ""), "symbol", "is_filled", 2, FIRST_ROW),
    "moment for a day": Rule(
        "raw_snapshots", put("date", pd.Timestamp("2022-03-30 10:00")), "date", "is_midnight", 1, "10:00:00"
    ),
    "arrival 0": Rule(
        "raw_snapshots", put("arrival", 0), "arrival", "greater_than_or_equal_to(1)", 1, f"0 {FIRST_ROW}"
    ),
    "horizon of 29 days": Rule(
        "labels", put("horizon_days", 29), "horizon_days", "less_than_or_equal_to(28)", 1, f"29 {FIRST_ROW}"
    ),
    "one key twice": Rule(
        "raw_snapshots",
        put("coin", "Ether", "Ether"),
        "(table)",
        "multiple_fields_uniqueness",
        4,
        "the row (Ether, 2022-03-30)",
    ),
    "lower above upper": Rule(
        "forecasts", put("lower", 9.0), "(table)", "lower_at_most_upper", 1, f"the row {FIRST_ROW}"
    ),
    "target before its day": Rule(
        "forecasts",
        put("target_date", pd.Timestamp("2022-03-30")),
        "(table)",
        "target_after_date",
        1,
        f"the row {FIRST_ROW}",
    ),
    "infinite forecast": Rule("forecasts", put("upper", np.inf), "upper", "is_finite", 1, f"inf {FIRST_ROW}"),
}
SHAPES = {
    "missing column": Rule(
        "labels", lambda frame: frame.drop(columns="target_score"), "target_score", "present", 1, "missing"
    ),
    "extra column": Rule("labels", lambda frame: frame.assign(mood="good"), "mood", "declared", 1, "not in the schema"),
    "text in numbers": Rule("raw_snapshots", put("price", *["cheap"] * 6), "price", "float64", 6, "cheap"),
}
# What the full validation, which is Pandera's, calls the same.
PANDERA_NAMES = {"missing column": "column_in_dataframe", "extra column": "column_in_schema"}


def write_file(store: TableStore, frame: pd.DataFrame, *, table: str, schema: str | None) -> Path:
    """A month file made by hand: stamped with a schema's fingerprint, or not stamped at all."""
    path = store.path(table, "2022-03")
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = pa.Table.from_pandas(frame, preserve_index=False)
    stamp = json.dumps({"schema": schema, "days": {}, "counts": {}, "inputs": "", "sources": []})
    pq.write_table(whole.replace_schema_metadata({b"cryptoliq": stamp.encode()} if schema else None), path)
    return path


def check_told(error: InvalidTableError, rule: Rule, *, check: str) -> None:
    failures = error.failures
    result = failures[
        (failures["column"] == rule.column) & failures["check"].astype(str).str.contains(check, regex=False)
    ]
    assert len(result) == 1, failures.to_dict("records")
    assert result["count"].item() == rule.count
    assert rule.sample in result["samples"].item()
    assert f"{rule.column}: {result['check'].item()} failed {rule.count} time(s), e.g. " in str(error)
    assert str(error).startswith(f"{rule.table}: ")


@pytest.mark.parametrize("kind", [*VALUES, *SHAPES])
def test_a_bad_frame_is_refused_on_the_way_out_and_nothing_is_written(
    store: TableStore, frames: dict, kind: str
) -> None:
    rule = (VALUES | SHAPES)[kind]
    store.write(rule.table, frames[rule.table], BOTH)
    before = {path: path.read_bytes() for path in store.folder(rule.table).iterdir()}
    with pytest.raises(InvalidTableError) as caught:
        store.write(rule.table, rule.spoil(frames[rule.table]), BOTH)
    check_told(caught.value, rule, check=PANDERA_NAMES.get(kind, rule.check))
    assert "frame to be written" in str(caught.value)
    assert {path: path.read_bytes() for path in store.folder(rule.table).iterdir()} == before


@pytest.mark.parametrize("schema", [None, "an older one"])
@pytest.mark.parametrize("kind", [*VALUES, *SHAPES])
def test_a_bad_file_without_the_present_schemas_stamp_is_refused_on_the_way_in(
    store: TableStore, frames: dict, kind: str, schema: str | None
) -> None:
    rule = (VALUES | SHAPES)[kind]
    path = write_file(store, rule.spoil(frames[rule.table]), table=rule.table, schema=schema)
    with pytest.raises(InvalidTableError, match=str(path)) as caught:
        store.read(rule.table)
    check_told(caught.value, rule, check=PANDERA_NAMES.get(kind, rule.check))
    with pytest.raises(InvalidTableError):
        store.read(rule.table, columns=["coin"])
    with pytest.raises(InvalidTableError):
        store.verify(rule.table, "2022-03")


@pytest.mark.parametrize("kind", list(SHAPES))
def test_a_file_stamped_by_the_present_schema_is_refused_for_its_columns_and_types(
    store: TableStore, frames: dict, kind: str
) -> None:
    rule = SHAPES[kind]
    bad = rule.spoil(frames[rule.table])
    path = write_file(store, bad, table=rule.table, schema=schema_fingerprint(TABLES[rule.table]))
    with pytest.raises(InvalidTableError, match=str(path)) as caught:
        store.read(rule.table)
    check_told(caught.value, replace(rule, count=1, sample=""), check=rule.check.replace("float", "dtype float"))
    # Nor is the column just left out when a reader names it.
    with pytest.raises(InvalidTableError):
        store.read(rule.table, columns=["coin", "date"])


def test_a_file_stamped_by_the_present_schema_is_not_looked_at_cell_by_cell(store: TableStore, frames: dict) -> None:
    bad = put("price", -1.0)(frames["raw_snapshots"])
    write_file(store, bad, table="raw_snapshots", schema=schema_fingerprint(TABLES["raw_snapshots"]))
    assert store.read("raw_snapshots")["price"].min() == -1.0


def test_all_that_is_wrong_is_told_at_once_with_five_samples_at_most(store: TableStore, frames: dict) -> None:
    bad = put("price", *[-1.0] * 6)(put("mkt_cap", np.inf)(frames["raw_snapshots"]))
    with pytest.raises(InvalidTableError) as caught:
        store.write("raw_snapshots", bad, BOTH)
    failures = caught.value.failures.set_index("column")
    assert failures["count"].to_dict() == {"price": 6, "mkt_cap": 1}
    assert failures.loc["price", "samples"].count("-1.0 (") == 5


@pytest.mark.parametrize("table", list(TABLES))
def test_a_rule_more_gives_a_table_another_fingerprint(table: str) -> None:
    spec = TABLES[table]
    before = schema_fingerprint(spec)
    assert schema_fingerprint(spec) == before
    assert len({schema_fingerprint(other) for other in TABLES.values()}) == len(TABLES)


# What is stale


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """Raw months January to August 2022, three days each, all tables made."""
    home = Home.at(tmp_path)
    for month in range(1, 9):
        days = [dt.date(2022, month, day) for day in (1, 15, 28)]
        home.drop(f"coingecko_2022{month:02d}01.csv", snapshot(days, missing=0))
    home.bring_up_to_date()
    return home


def change_raw(home: Home, day: str) -> None:
    """Write the raw month of a day again, with another price on that day."""
    store, month = home.store, day[:7]
    frame = store.read("raw_snapshots", [month])
    frame.loc[frame["date"] == day, "price"] *= 2
    store.write("raw_snapshots", frame, [month], sources={month: store.stamp("raw_snapshots", month).sources})


def test_nothing_is_stale_after_tables_were_made_in_order(home: Home) -> None:
    assert home.store.stale_months() == {table: [] for table in DERIVED_TABLES}


def test_a_month_written_again_with_the_same_rows_makes_nothing_stale(home: Home) -> None:
    store = home.store
    frame = store.read("raw_snapshots", ["2022-03"])
    sources = {"2022-03": store.stamp("raw_snapshots", "2022-03").sources}
    store.write("raw_snapshots", frame.sample(frac=1, random_state=3), ["2022-03"], sources=sources)
    assert store.stale_months() == {table: [] for table in DERIVED_TABLES}


@pytest.mark.parametrize(
    ("day", "cleaned"),
    [
        ("2022-03-15", ["2022-03"]),
        # Back fill reaches from the 1st into the month before. The 28th decides which rows up to 2 April are outliers.
        ("2022-03-01", ["2022-02", "2022-03"]),
        ("2022-03-28", ["2022-03", "2022-04"]),
        # 28 February + 8 days is 8 March.
        ("2022-02-28", ["2022-02", "2022-03"]),
    ],
)
def test_a_changed_raw_day_makes_exactly_the_months_stale_that_can_be_filled_from_it(
    home: Home, day: str, cleaned: list[str]
) -> None:
    change_raw(home, day)
    assert home.store.stale_months() == {
        "raw_snapshots": [],
        "cleaned_snapshots": cleaned,
        "engineered_features": [],
        "labels": [],
    }


@pytest.mark.parametrize(
    ("day", "features"),
    [
        # 1 March + 89 days is 29 May; 28 March + 89 days is 25 June.
        ("2022-03-01", ["2022-03", "2022-04", "2022-05"]),
        ("2022-03-28", ["2022-03", "2022-04", "2022-05", "2022-06"]),
    ],
)
def test_a_changed_cleaned_day_makes_exactly_the_months_stale_whose_windows_reach_it(
    home: Home, day: str, features: list[str]
) -> None:
    store = home.store
    frame = store.read("cleaned_snapshots", ["2022-03"])
    frame.loc[frame["date"] == day, "price"] *= 2
    store.write("cleaned_snapshots", frame, ["2022-03"])
    assert home.store.stale_months() == {
        "raw_snapshots": [],
        "cleaned_snapshots": [],
        "engineered_features": features,
        "labels": [],
    }


@pytest.mark.parametrize(
    ("horizon", "day", "labels"),
    [
        (1, "2022-03-01", ["2022-02", "2022-03"]),
        (1, "2022-03-15", ["2022-03"]),
        (14, "2022-03-15", ["2022-03"]),
        (15, "2022-03-15", ["2022-02", "2022-03"]),
    ],
)
def test_a_changed_feature_day_makes_exactly_the_months_stale_that_it_is_the_target_of(
    tmp_path: Path, horizon: int, day: str, labels: list[str]
) -> None:
    home = Home.at(tmp_path, horizon_days=horizon)
    days = [dt.date(2022, month, number) for month in (2, 3, 4) for number in (1, 15)]
    home.drop("coingecko_20220201.csv", snapshot(days, missing=0))
    home.bring_up_to_date()
    store = home.store
    frame = store.read("engineered_features", ["2022-03"])
    frame.loc[frame["date"] == day, "liquidity_score"] += 1
    store.write("engineered_features", frame, ["2022-03"])
    assert home.store.stale_months()["labels"] == labels


def test_a_stale_month_is_fresh_again_once_made_again(home: Home) -> None:
    change_raw(home, "2022-05-15")
    assert home.store.stale_months()["cleaned_snapshots"] == ["2022-05"]
    home.refresh([f"2022-{month:02d}" for month in range(5, 9)])
    assert home.store.stale_months() == {table: [] for table in DERIVED_TABLES}


@pytest.mark.parametrize(
    ("option", "stale"),
    [
        ({"formula": "amihud"}, ["engineered_features", "labels"]),
        ({"horizon_days": 2}, ["labels"]),
        ({"ingestion__change_unit": "fraction"}, ["raw_snapshots"]),
        ({"cv__n_splits": 7}, []),
    ],
)
def test_another_setting_makes_the_months_stale_of_the_tables_that_read_it(
    home: Home, option: dict, stale: list[str]
) -> None:
    every_month = [f"2022-{month:02d}" for month in range(1, 9)]
    other = TableStore(make_settings(home_dir=home.settings.home_dir, **option))
    assert other.stale_months() == {table: every_month if table in stale else [] for table in DERIVED_TABLES}


def test_a_month_is_stale_when_its_file_is_gone_unstamped_or_left_over(home: Home) -> None:
    store = home.store
    store.path("labels", "2022-03").unlink()
    frame = pd.read_parquet(store.path("labels", "2022-04"))
    frame.to_parquet(store.path("labels", "2022-04"))
    for table in ("raw_snapshots", "cleaned_snapshots", "engineered_features"):
        store.path(table, "2022-08").unlink()
    # The targets of July's last day lay in August.
    assert home.store.stale_months(["labels"]) == {"labels": ["2022-03", "2022-04", "2022-07", "2022-08"]}


# Damage


def test_a_garbled_footer_says_nothing_of_itself_and_the_month_is_made_again(store: TableStore, frames: dict) -> None:
    store.write("labels", frames["labels"], BOTH)
    path = store.path("labels", "2022-03")
    content = bytearray(path.read_bytes())
    content[-120:-20] = b"\xff" * 100
    path.write_bytes(content)
    assert store.stamp("labels", "2022-03") is None
    assert not store.is_fresh("labels", "2022-03")
    for look in (store.read, store.column_facts):
        with pytest.raises(InvalidTableError, match=r"(?s)2022-03\.parquet.*cryptoliq materialize"):
            look("labels", *([["2022-03"]] if look == store.read else ["2022-03"]))


def test_a_page_with_a_bit_of_it_changed_is_not_read_as_if_nothing_were(store: TableStore, frames: dict) -> None:
    store.write("labels", frames["labels"], BOTH)
    path = store.path("labels", "2022-03")
    content = path.read_bytes()
    value = np.float64(frames["labels"]["liquidity_score"].iloc[0]).tobytes()
    assert value in content
    path.write_bytes(content.replace(value, value[:-3] + bytes([value[-3] ^ 1]) + value[-2:]))
    with pytest.raises(InvalidTableError, match="is damaged"):
        store.read("labels", ["2022-03"])


def test_a_rewrite_of_the_same_size_is_seen_in_an_object_store(frames: dict) -> None:
    store = TableStore(make_settings(storage__url=f"memory://{uuid.uuid4().hex}"))
    for sources in ([1, 2], [1, 3]):
        store.write("raw_snapshots", frames["raw_snapshots"], BOTH, sources={"2022-03": sources})
        assert store.stamp("raw_snapshots", "2022-03").sources == tuple(sources)


def test_forecasts_of_a_version_without_flags_are_read_with_flags_that_are_false(
    store: TableStore, frames: dict
) -> None:
    store.write("forecasts", frames["forecasts"], BOTH)
    path = store.path("forecasts", "2022-03")
    table = pq.read_table(path)
    stamp = json.loads(table.schema.metadata[b"cryptoliq"]) | {"schema": "an earlier one", "sealed": False}
    early = table.drop_columns(["filled", "outlier"])
    pq.write_table(early.replace_schema_metadata({b"cryptoliq": json.dumps(stamp).encode()}), path)
    back = store.read("forecasts", ["2022-03"])
    assert back.columns.tolist() == TABLES["forecasts"].columns
    assert not back[["filled", "outlier"]].any(axis=None)
