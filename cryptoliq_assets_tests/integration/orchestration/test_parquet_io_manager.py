"""I/O manager in real runs: written files, rejected frames, loaded months and metadata in Dagster."""

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from cryptoliq_assets.orchestration.io_managers.parquet import SOURCES, PanderaParquetIOManager
from cryptoliq_assets.orchestration.partitions import make_months_between, month_range_tags
from cryptoliq_assets.orchestration.table_assets import TABLES_IO, table_asset, upstream_months_dep
from cryptoliq_assets.schemas.tables import TABLES
from cryptoliq_assets.storage import TableStore, empty_frame
from cryptoliq_assets_tests.support.settings import make_settings

MONTHS = make_months_between("2022-01", "2022-12")
DAYS = [dt.date(2022, 1, 31), dt.date(2022, 2, 1), dt.date(2022, 2, 28), dt.date(2022, 4, 1)]


def raw_rows(days: list[dt.date], *coins: str, price: float = 1.0) -> pd.DataFrame:
    """Raw rows with loose types, as a careless asset would return them."""
    keys = [(coin, day) for day in days for coin in coins or ("Bitcoin", "Ether")]
    frame = pd.DataFrame({"coin": [coin for coin, _ in keys], "date": pd.to_datetime([day for _, day in keys])})
    numbers = {name: np.nan for name, column in TABLES["raw_snapshots"].schema.columns.items() if column.nullable}
    frame = frame.assign(**numbers).assign(symbol=frame["coin"].str[:3].str.upper(), source_file="a.csv", arrival=1)
    return frame.assign(price=price)


class Bench:
    """Assets of two tables on a real instance: given raw rows, and the input of the cleaned ones."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance, **options: object) -> None:
        self.settings = make_settings(**({"home_dir": folder / "home", "storage__first_month": "2022-01"} | options))
        self.instance = instance
        self.store = TableStore(self.settings)
        self.handed: list[pd.DataFrame] = []

    def run(
        self, make: Callable[[], pd.DataFrame], first: str, last: str | None = None, *, downstream: bool = False
    ) -> dg.ExecuteInProcessResult:
        """Run a range of months; `downstream` runs the downstream asset instead."""

        @dg.asset(**table_asset("raw_snapshots", self.settings, group="raw", months=MONTHS))
        def raw_snapshots(context: dg.AssetExecutionContext) -> dg.Output[pd.DataFrame]:
            frame = make()
            frame.attrs[SOURCES] = {first: [1, 2]}
            return dg.Output(frame)

        months = upstream_months_dep("cleaned_snapshots", "raw_snapshots", self.settings).partition_mapping

        @dg.asset(
            **table_asset("cleaned_snapshots", self.settings, group="cleaned", months=MONTHS),
            ins={"raw_snapshots": dg.AssetIn(partition_mapping=months)},
        )
        def cleaned_snapshots(raw_snapshots: pd.DataFrame) -> pd.DataFrame:
            self.handed.append(raw_snapshots)
            return empty_frame(TABLES["cleaned_snapshots"])

        return dg.materialize(
            [raw_snapshots, cleaned_snapshots],
            selection=[cleaned_snapshots if downstream else raw_snapshots],
            resources={TABLES_IO: PanderaParquetIOManager.from_settings(self.settings)},
            tags=month_range_tags(first, last or first, self.settings),
            instance=self.instance,
            raise_on_error=False,
        )


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> dg.DagsterInstance:
    folder = tmp_path_factory.mktemp("dagster")
    return dg.DagsterInstance.local_temp(str(folder), overrides={"telemetry": {"enabled": False}})


@pytest.fixture
def bench(tmp_path: Path, instance: dg.DagsterInstance) -> Bench:
    return Bench(tmp_path, instance)


def failure_of(result: dg.ExecuteInProcessResult) -> tuple[str, str]:
    """Return description and Markdown table of the one failed step."""
    assert not result.success
    (event,) = result.filter_events(lambda event: event.is_step_failure)
    data = event.step_failure_data.user_failure_data
    return data.description, data.metadata["failures"].value


def test_a_range_writes_a_file_for_each_month_with_rows(bench: Bench) -> None:
    assert bench.run(lambda: raw_rows(DAYS), "2022-01", "2022-04").success
    assert bench.store.months("raw_snapshots") == ["2022-01", "2022-02", "2022-04"]
    assert len(bench.store.read("raw_snapshots", ["2022-02"])) == 4
    assert bench.store.stamp("raw_snapshots", "2022-01").sources == (1, 2)


def test_a_month_that_lost_its_rows_loses_its_file(bench: Bench) -> None:
    bench.run(lambda: raw_rows(DAYS), "2022-01", "2022-04")
    assert bench.run(lambda: raw_rows(DAYS[:1]), "2022-01", "2022-02").success
    assert bench.store.months("raw_snapshots") == ["2022-01", "2022-04"]


def test_the_output_metadata_has_counts_dates_and_a_preview(bench: Bench) -> None:
    result = bench.run(lambda: raw_rows(DAYS), "2022-01", "2022-04")
    events = result.asset_materializations_for_node("raw_snapshots")
    # March has no files: it is not marked as materialized.
    assert {event.partition for event in events} == {"2022-01", "2022-02", "2022-04"}
    metadata = events[0].metadata
    assert metadata["dagster/row_count"].value == 8
    assert metadata["coins"].value == 2
    assert (metadata["first_date"].value, metadata["last_date"].value) == ("2022-01-31", "2022-04-01")
    assert metadata["rows_by_month"].value == {"2022-01": 2, "2022-02": 4, "2022-04": 2}
    assert metadata["path"].value == str(bench.settings.home_dir / "data" / "ingested")
    preview = metadata["preview"].value.splitlines()
    assert "coin" in preview[0]
    assert len(preview) == 2 + 8
    assert "2022-04-01" in preview[-1]


def test_the_definition_has_column_schema_and_lineage(bench: Bench) -> None:
    metadata = table_asset("cleaned_snapshots", bench.settings, group="cleaned", months=MONTHS)["metadata"]
    schema = {column.name: column for column in metadata["dagster/column_schema"].columns}
    assert list(schema) == TABLES["cleaned_snapshots"].columns
    assert schema["price"].description.endswith("Unit: USD. From raw_snapshots.price.")
    assert (schema["price"].constraints.nullable, schema["mkt_cap"].constraints.nullable) == (False, True)
    lineage = metadata["dagster/column_lineage"].deps_by_column["24h_volume"]
    assert [(dep.asset_key.path[-1], dep.column_name) for dep in lineage] == [("raw_snapshots", "24h_volume")]


def test_a_range_is_loaded_as_one_frame_with_existing_neighbors(bench: Bench) -> None:
    bench.run(lambda: raw_rows(DAYS, "Zcash", "Aave"), "2022-01", "2022-04")
    # February is computed from January (3 days back) to March (1 day ahead); March does not exist.
    assert bench.run(pd.DataFrame, "2022-02", downstream=True).success
    # The first possible month, whose previous month cannot exist.
    assert bench.run(pd.DataFrame, "2022-01", downstream=True).success
    assert bench.run(pd.DataFrame, "2022-03", "2022-04", downstream=True).success
    days = [sorted(frame["date"].dt.date.unique()) for frame in bench.handed]
    assert days == [DAYS[:3], DAYS[:3], DAYS[1:]]
    keys = list(zip(bench.handed[0]["coin"], bench.handed[0]["date"], strict=True))
    assert keys == sorted(keys)
    assert str(bench.handed[0]["coin"].dtype) == "category"


def test_no_upstream_months_are_an_empty_frame(bench: Bench) -> None:
    assert bench.run(pd.DataFrame, "2022-06", downstream=True).success
    (frame,) = bench.handed
    assert (len(frame), frame.columns.tolist()) == (0, TABLES["raw_snapshots"].columns)


def test_an_invalid_frame_fails_the_run_and_writes_nothing(bench: Bench) -> None:
    result = bench.run(lambda: raw_rows(DAYS, price=-7.0), "2022-01", "2022-04")
    description, table = failure_of(result)
    assert "raw_snapshots: frame to be written does not meet its schema" in description
    assert "price: greater_than_or_equal_to(0) failed 8 time(s), e.g. -7.0 (Bitcoin, 2022-01-31)" in description
    assert table.splitlines()[0] == "| column | check | count | samples |"
    assert "| price | greater_than_or_equal_to(0) | 8 | -7.0 (Bitcoin, 2022-01-31)" in table
    assert bench.store.months("raw_snapshots") == []


def test_an_invalid_file_fails_the_run_that_reads_it(bench: Bench) -> None:
    bench.run(lambda: raw_rows(DAYS), "2022-01", "2022-04")
    path = bench.store.path("raw_snapshots", "2022-02")
    pd.read_parquet(path).assign(price=-7.0).to_parquet(path, index=False)
    description, table = failure_of(bench.run(pd.DataFrame, "2022-02", downstream=True))
    assert str(path) in description
    assert "| price | greater_than_or_equal_to(0) | 4 |" in table
    assert bench.store.months("cleaned_snapshots") == []


def test_rows_outside_the_months_of_the_run_fail_it(bench: Bench) -> None:
    result = bench.run(lambda: raw_rows(DAYS), "2022-01", "2022-02")
    assert not result.success
    assert bench.store.months("raw_snapshots") == []


def test_tables_can_be_stored_in_an_object_store(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    bench = Bench(tmp_path, instance, storage__url="memory://test-frames")
    assert bench.run(lambda: raw_rows(DAYS), "2022-01", "2022-04").success
    assert bench.run(pd.DataFrame, "2022-01", "2022-04", downstream=True).success
    assert len(bench.handed[0]) == 8
    assert bench.store.months("raw_snapshots") == ["2022-01", "2022-02", "2022-04"]
    assert not list(bench.settings.home_dir.rglob("*.parquet"))


def test_the_resource_shows_no_secret(tmp_path: Path) -> None:
    manager = PanderaParquetIOManager.from_settings(make_settings(home_dir=tmp_path, signing_key="hush"))
    assert "signing_key" not in manager.settings
    assert manager.store().settings.home_dir == tmp_path


def test_an_asset_without_a_table_names_where_to_declare_one(bench: Bench) -> None:
    @dg.asset(io_manager_key=TABLES_IO)
    def unheard_of() -> pd.DataFrame:
        return pd.DataFrame()

    resources = {TABLES_IO: PanderaParquetIOManager.from_settings(bench.settings)}
    with pytest.raises(Exception, match=r"unheard_of has no table in schemas/tables\.py"):
        dg.materialize([unheard_of], resources=resources, instance=bench.instance)


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        ("2022-03", "2022-02", "after its end"),
        ("2021-12", "2022-02", "not a month"),
        ("2022-02", "2922-02", "not a month"),
    ],
)
def test_an_invalid_range_is_rejected(bench: Bench, first: str, last: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        month_range_tags(first, last, bench.settings)
