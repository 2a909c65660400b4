"""A home of an earlier version, used before `cryptoliq materialize` is run."""

import json

import pyarrow.parquet as pq
import pytest

from cryptoliq_assets.cli.commands.status import read_status
from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.modeling.training_data import training_rows
from cryptoliq_assets.schemas.tables import DERIVED_TABLES, TABLES
from cryptoliq_assets.serving.predictor import Predictor
from cryptoliq_assets.serving.request_models import parse_request
from cryptoliq_assets.storage.export import EXPORTED_TABLES, read_month
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets.storage.validation import OutdatedTableError
from cryptoliq_assets_tests.support.services import BODY
from cryptoliq_assets_tests.support.settings import make_settings

MONTH = "2025-07"


def write_as_earlier(store: TableStore, table: str, *, without: tuple[str, ...]) -> None:
    """Rewrite the months of a table without these columns and without checksums, as an earlier version did."""
    for month in store.months(table):
        path = store.path(table, month)
        rows = pq.read_table(path)
        stamp = json.loads(rows.schema.metadata[b"cryptoliq"]) | {"schema": "an earlier one", "inputs": "earlier"}
        del stamp["sealed"]
        remaining = rows.drop_columns([name for name in without if name in rows.column_names])
        pq.write_table(remaining.replace_schema_metadata({b"cryptoliq": json.dumps(stamp).encode()}), path)


@pytest.fixture(scope="module")
def earlier(trained_home, tmp_path_factory) -> Settings:
    """A home whose months lack all columns added since."""
    settings = make_settings(home_dir=trained_home.copy_to(tmp_path_factory.mktemp("earlier") / "home"), cv__n_splits=2)
    for table, spec in TABLES.items():
        write_as_earlier(TableStore(settings), table, without=spec.nullable_since_v1)
    return settings


@pytest.mark.parametrize("table", list(TABLES))
def test_months_of_an_earlier_version_get_empty_added_columns(earlier, trained_home, table):
    spec, now = TABLES[table], TableStore(make_settings(home_dir=trained_home.path)).read(table, [MONTH])
    rows = TableStore(earlier).read(table, [MONTH])
    assert rows.columns.tolist() == spec.columns
    assert len(rows) == len(now)
    for name in spec.nullable_since_v1:
        assert not rows[name].any() if rows[name].dtype == bool else rows[name].isna().all(), name


def test_the_service_uses_history_of_an_earlier_version(earlier):
    predictor = Predictor(earlier)
    assert predictor.refresh()
    assert predictor.problem == ""
    newest = str(predictor.snapshot.newest)
    [answer] = predictor.predict([parse_request({**BODY, "coin": "Bitcoin", "date": newest})])
    assert answer["basis"] == "history"


def test_status_names_the_months_of_an_earlier_version(earlier):
    state = read_status(earlier)
    assert state["problems"] == []
    result = "are older than their inputs, or of an earlier version: `cryptoliq materialize`"
    assert any(result in line for line in state["to_do"])


def test_months_of_an_earlier_version_are_stale_but_not_damaged(earlier):
    store = TableStore(earlier)
    assert store.stale_months() == {table: store.months(table) for table in DERIVED_TABLES}
    for table in TABLES:
        for month in store.months(table):
            store.verify(table, month)


def test_nothing_is_trained_on_months_that_lack_features(earlier):
    with pytest.raises(
        OutdatedTableError, match=r"written by an earlier version.*`cryptoliq materialize` recomputes it"
    ):
        training_rows(earlier, TableStore(earlier))


@pytest.mark.parametrize("name", list(EXPORTED_TABLES))
def test_months_without_columns_are_exported_only_if_final(earlier, name):
    store = TableStore(earlier)
    if name == "forecasts":
        assert len(read_month(store, name, MONTH)) == len(store.read(name, [MONTH]))
        return
    with pytest.raises(
        OutdatedTableError, match=f"{EXPORTED_TABLES[name]}: .*{MONTH}.parquet was written by an earlier version"
    ):
        read_month(store, name, MONTH)
