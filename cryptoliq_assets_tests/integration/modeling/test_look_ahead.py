"""Check for look-ahead in stored features: what it finds, and that it prevents a promotion."""

from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.features import engineer_features
from cryptoliq_assets.modeling.evaluation.leakage import find_look_ahead, sample_dates
from cryptoliq_assets.modeling.registry.model_registry import open_model_store
from cryptoliq_assets.orchestration.definitions import build_definitions
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.frames import write_sealed
from cryptoliq_assets_tests.support.settings import make_settings


def test_three_dates_are_sampled_evenly_including_the_newest(home):
    dates = [str(date) for date in sample_dates(TableStore(home))]
    assert dates == ["2025-06-02", "2025-07-01", "2025-07-31"]
    assert sample_dates(TableStore(make_settings(home_dir=home.home_dir / "nowhere"))) == []


def tamper(settings: Settings, date: str, column: str, *, days: int) -> str:
    """Write into one row of a date the value that its coin has `days` later, bypassing the store; return the coin."""
    path = TableStore(settings).path("engineered_features", date[:7])
    content = pq.read_table(path)
    frame = content.to_pandas()
    later = frame[frame["date"] == pd.Timestamp(date) + pd.Timedelta(days=days)].set_index("coin")[column]
    at = next(
        position
        for position in np.flatnonzero(frame["date"] == pd.Timestamp(date))
        if frame["coin"][position] in later.index and later[frame["coin"][position]] != frame[column][position]
    )
    frame.loc[at, column] = later[frame["coin"][at]]
    changed = pa.Table.from_pandas(frame, schema=content.schema, preserve_index=False)
    write_sealed(path, changed.replace_schema_metadata(content.schema.metadata))
    return str(frame["coin"][at])


def test_valid_features_show_no_look_ahead(home):
    store = TableStore(home)
    found = find_look_ahead(store, sample_dates(store), formula=home.formula)
    assert found["differing"] == {}
    assert found["rows"] > 80
    assert found["values"] > 80 * found["rows"]


@pytest.mark.parametrize("column", ["liquidity_score_mean_7d", "market_score_median", "sound"])
def test_a_stored_value_of_a_later_day_is_named(home, column):
    if column == "sound":
        rewrite_flag(home, "2025-07-01")
    else:
        coin = tamper(home, "2025-07-01", column, days=1)
    store = TableStore(home)
    found = find_look_ahead(store, sample_dates(store), formula=home.formula)
    assert found["differing"] == {column: 1}
    if column != "sound":
        assert found["samples"][0].startswith(f"{coin} 2025-07-01: {column} ")


def rewrite_flag(settings: Settings, date: str) -> None:
    path = TableStore(settings).path("engineered_features", date[:7])
    content = pq.read_table(path)
    frame = content.to_pandas()
    at = int(np.flatnonzero(frame["date"] == pd.Timestamp(date))[0])
    frame.loc[at, "sound"] = not frame.loc[at, "sound"]
    changed = pa.Table.from_pandas(frame, schema=content.schema, preserve_index=False)
    write_sealed(path, changed.replace_schema_metadata(content.schema.metadata))


def test_a_row_without_matching_cleaned_data_is_named(home):
    path = TableStore(home).path("engineered_features", "2025-07")
    content = pq.read_table(path)
    frame = content.to_pandas()
    last = frame[frame["date"] == "2025-07-31"].index[0]
    remaining = pa.Table.from_pandas(frame.drop(index=last), schema=content.schema, preserve_index=False)
    write_sealed(path, remaining.replace_schema_metadata(content.schema.metadata))
    store = TableStore(home)
    assert find_look_ahead(store, sample_dates(store), formula=home.formula)["differing"] == {"rows": 1}


def promote_candidates(settings: Settings) -> dg.ExecuteInProcessResult:
    """Run leaderboard, its checks and champion on the stored candidates, like the last steps of the job `train`."""
    job = dg.define_asset_job(
        "end_of_train", dg.AssetSelection.assets("leaderboard", "champion"), executor_def=dg.in_process_executor
    )
    definitions = dg.Definitions.merge(build_definitions(settings), dg.Definitions(jobs=[job]))
    with dg.instance_for_test() as instance:
        return definitions.resolve_job_def("end_of_train").execute_in_process(instance=instance, raise_on_error=False)


def test_with_look_ahead_in_the_features_no_champion_is_chosen(home):
    tamper(home, "2025-07-01", "liquidity_score_mean_7d", days=1)
    ledger = Path(home.models_dir / "ledger.jsonl").read_bytes()
    result = promote_candidates(home)
    assert not result.success
    found = {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}
    assert not found["no_look_ahead"].passed
    assert found["no_look_ahead"].metadata["differing"].value == {"liquidity_score_mean_7d": 1}
    assert found["skill_above_zero"].passed
    assert (home.models_dir / "ledger.jsonl").read_bytes() == ledger
    assert open_model_store(home).current_version().endswith("_v1")


def test_a_cleaned_value_from_the_next_day_is_found(home):
    # Cleaned rows and their features agree; neither shows that the volume was not known that day.
    store = TableStore(home)
    cleaned = store.read("cleaned_snapshots")
    day = pd.Timestamp("2025-07-01")
    at = int(np.flatnonzero((cleaned["date"] == day) & ~cleaned["filled_backward"] & ~cleaned["filled_forward"])[0])
    cleaned.loc[at, "24h_volume"] = 1.5 * cleaned.loc[at + 1, "24h_volume"]
    store.write("cleaned_snapshots", cleaned, store.months("cleaned_snapshots"))
    store.write("engineered_features", engineer_features(cleaned), store.months("engineered_features"))
    found = find_look_ahead(store, sample_dates(store), formula=home.formula)
    assert {"liquidity_score", "volume_log"} <= set(found["differing"])
    assert found["samples"][0].startswith(f"{cleaned['coin'][at]} 2025-07-01: ")


def test_a_row_filled_from_the_next_day_is_not_look_ahead(home):
    store = TableStore(home)
    dates = sample_dates(store)
    stored = store.read("engineered_features")
    filled = stored["filled"] & stored["date"].isin([pd.Timestamp(date) for date in dates])
    found = find_look_ahead(store, dates, formula=home.formula)
    on_sampled_days = stored["date"].isin([pd.Timestamp(date) for date in dates])
    assert found["rows"] == int((on_sampled_days & ~filled).sum())
    assert not stored.loc[filled, "sound"].any()
