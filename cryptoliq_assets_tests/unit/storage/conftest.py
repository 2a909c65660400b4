"""Fixtures of the storage tests: a valid frame of each table, and an empty store."""

import datetime as dt
from pathlib import Path

import pandas as pd
import pytest

from cryptoliq_assets.modeling.views_table import update_views
from cryptoliq_assets.schemas.tables import DERIVED_TABLES, TABLES, TRAINING_TABLES
from cryptoliq_assets.storage import TableStore
from cryptoliq_assets_tests.support.markets import Home, snapshot
from cryptoliq_assets_tests.support.settings import make_settings

MARCH, APRIL = dt.date(2022, 3, 30), dt.date(2022, 4, 2)


@pytest.fixture(scope="session")
def frames(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """Return a valid frame of each table: three coins on 30 March and 2 April 2022."""
    home = Home.at(tmp_path_factory.mktemp("home"))
    home.drop("coingecko_20220330.csv", snapshot([MARCH, APRIL], missing=0))
    home.bring_up_to_date()
    update_views(home.settings, home.store)
    tables = {table: home.store.read(table) for table in (*DERIVED_TABLES, *TRAINING_TABLES)}
    tables["raw_snapshots"] = tables["raw_snapshots"].assign(name=tables["raw_snapshots"]["symbol"])
    labels = tables["labels"]
    score = labels["liquidity_score"]
    model_columns = {
        "model_version": "v1",
        "made_at": pd.Timestamp("2022-04-03 10:00:00.000000001").floor("s").as_unit("ns"),
        "lower": score - 0.1,
        "upper": score + 0.1,
        "filled": False,
        "outlier": False,
    }
    key_columns = {name: labels[name] for name in ("coin", "date", "target_date")} | {"known_until": labels["date"]}
    tables["forecasts"] = pd.DataFrame(key_columns | model_columns | {"liquidity_score": score})[
        TABLES["forecasts"].columns
    ]
    return tables


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    return TableStore(make_settings(home_dir=tmp_path))
