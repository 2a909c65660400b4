"""Freshness by the clock: data age, missing days, late files and missing coins; runs on old months do not reset it."""

import datetime as dt

import dagster as dg
import pandas as pd
import pytest
from hypothesis import given, strategies as st

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.ingestion.landing.catalog import Catalog, DiscoveredFile
from cryptoliq_assets.monitoring.data.freshness import (
    check_coins,
    check_data_age,
    check_days,
    find_missing_days,
    find_stale_data,
    summarize_late_files,
)
from cryptoliq_assets.orchestration.checks import evaluate_freshness
from cryptoliq_assets.orchestration.definitions import build_definitions
from cryptoliq_assets.orchestration.jobs import INGEST_JOB
from cryptoliq_assets.orchestration.runner import Runner
from cryptoliq_assets.simulation.market import simulate_market, write_snapshots
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.frames import day, raw_rows, received
from cryptoliq_assets_tests.support.settings import make_settings

CLOCK = ["data_age", "days_complete", "coins_seen"]


def moment(number: int, hours: float = 0.0) -> dt.datetime:
    return (day(number) + pd.Timedelta(hours=hours)).to_pydatetime().replace(tzinfo=dt.UTC)


def store_days(settings: Settings, coins_by_day: dict[int, str]) -> TableStore:
    """Write raw months in which each letter is a coin."""
    frame = raw_rows([{"coin": coin, "day": number} for number, coins in coins_by_day.items() for coin in coins])
    store = TableStore(settings)
    store.write("raw_snapshots", received(frame), sorted({f"{day(n):%Y-%m}" for n in coins_by_day}))
    return store


def receive(settings: Settings, name: str, number: int, *, at: dt.datetime) -> None:
    found = DiscoveredFile(name, sha256=f"{name} {at}", size=1, mtime_ns=1, dates=frozenset([day(number).date()]))
    Catalog(settings.catalog_path).register([found], now=at)


@pytest.mark.parametrize(
    ("hours", "level"), [(47.9, "ok"), (53.9, "ok"), (54.0, "warn"), (77.9, "warn"), (78.0, "fail"), (2400.0, "fail")]
)
def test_data_warns_from_2_25_days_and_fails_from_3_25(settings, hours, level):
    store = store_days(settings, {1: "A", 2: "A"})
    stale = find_stale_data(settings, store, now=moment(2, hours))
    assert (stale.kind, stale.level) == ("data_stale", level)
    assert stale.figures["age_days"] == pytest.approx(hours / 24, abs=1e-3)
    assert stale.since == (None if level == "ok" else "2025-03-03")


def test_the_ages_are_those_of_the_settings(tmp_path):
    settings = make_settings(home_dir=tmp_path, freshness__warn_after_days=10, freshness__fail_after_days=20)
    store = store_days(settings, {1: "A"})
    assert [check_data_age(settings, store, now=moment(1, 24 * days)).level for days in (9, 11, 21)] == [
        "ok",
        "warn",
        "fail",
    ]


def test_a_home_without_any_snapshot_is_not_stale(settings):
    store = TableStore(settings)
    found = [part(settings, store, now=moment(1)) for part in (find_stale_data, find_missing_days)]
    assert {finding.level for finding in found} == {"ok"}
    assert check_coins(settings, store).level == "ok"
    assert [found.passed for found in evaluate_freshness(settings, store, now=moment(1))] == [True] * 3


def test_one_missing_day_warns_and_three_fail(settings):
    every = dict.fromkeys(range(1, 41), "AB")
    store = store_days(settings, {number: coins for number, coins in every.items() if number != 30})
    assert (check_days(store).level, check_days(store).since) == ("warn", "2025-03-30")
    store = store_days(settings, {number: coins for number, coins in every.items() if number not in (20, 30, 35)})
    assert (check_days(store).level, check_days(store).since) == ("fail", "2025-03-20")


def test_a_day_missing_for_over_30_days_is_reported_only(settings):
    store = store_days(settings, {number: "A" for number in range(1, 61) if number != 10})
    assert check_days(store).level == "ok"
    assert (check_days(store).figures["missing_30"], check_days(store).figures["missing_90"]) == (0, 1)
    assert check_days(store).figures["missing"] == ["2025-03-10"]


@given(st.sets(st.integers(1, 60), min_size=1), st.integers(0, 400))
def test_future_days_are_never_missing_days(tmp_path_factory, days, waited):
    settings = make_settings(home_dir=tmp_path_factory.mktemp("days"))
    store = store_days(settings, dict.fromkeys(days, "A"))
    now = moment(max(days), 24 * waited)
    stale, missing = (part(settings, store, now=now) for part in (find_stale_data, find_missing_days))
    assert missing.figures["missing_90"] == max(days) - min(days) + 1 - len(days)
    assert stale.figures["age_days"] == waited


def test_a_coin_is_missing_from_the_third_day(settings):
    coins = "ABCDEFGHIJ"
    every = dict.fromkeys(range(1, 11), coins)
    # J was last seen two days before the newest snapshot.
    assert check_coins(settings, store_days(settings, every | {11: coins[:9], 12: coins[:9]})).figures["gone"] == 0
    one = check_coins(settings, store_days(settings, every | dict.fromkeys((11, 12, 13), coins[:9])))
    assert (one.level, one.figures["gone_coins"]) == ("ok", ["J (2025-03-10)"])
    two = check_coins(settings, store_days(settings, every | dict.fromkeys((11, 12, 13), coins[:8])))
    assert (two.level, two.figures["share_gone"]) == ("warn", 0.2)
    assert two.figures["age_days"] == {"0": 8, "3": 2}


def test_a_coin_not_seen_for_over_30_days_is_not_reported(settings):
    store = store_days(settings, {1: "AB"} | dict.fromkeys(range(2, 41), "A"))
    assert check_coins(settings, store).figures["coins"] == 1
    assert check_coins(settings, store).figures["age_days"] == {"0": 1, "39": 1}


def test_a_file_is_late_after_three_days_and_history_is_not(settings):
    receive(settings, "history.csv", 1, at=moment(20, 9))
    receive(settings, "same_day.csv", 20, at=moment(20, 9))
    receive(settings, "late.csv", 21, at=moment(24))
    receive(settings, "next_night.csv", 22, at=moment(24, 3))
    result = summarize_late_files(settings, now=moment(25))
    assert (result["files_30"], result["late_files"], result["late"]) == (3, 1, ["late.csv: 3.0 days"])
    assert summarize_late_files(settings, now=moment(90))["late_files"] == 0


def evaluations(instance: dg.DagsterInstance) -> dict[str, dg.AssetCheckEvaluation]:
    found = {}
    for name in CLOCK:
        key = dg.AssetCheckKey(dg.AssetKey("raw_snapshots"), name)
        (record,) = instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
        found[name] = record.event.dagster_event.event_specific_data
    return found


def test_rebuilding_an_old_month_never_resets_the_data_age(settings):
    today = dt.datetime.now(dt.UTC).date()
    ends = today - dt.timedelta(days=40)
    write_snapshots(simulate_market(coins=5, days=35, end=ends, seed=7), settings.raw_dir)
    runner = Runner(settings)
    runner.register_files()
    months = [f"{ends - dt.timedelta(days=back):%Y-%m}" for back in (34, 0)]
    runner.refresh([(months[0], months[1])], job=INGEST_JOB)
    first = evaluations(runner.instance)
    runner.refresh([(months[0], months[0])], job=INGEST_JOB)
    again = evaluations(runner.instance)
    for found in (first, again):
        assert {name for name, evaluation in found.items() if not evaluation.passed} == {"data_age"}
        assert found["data_age"].severity == dg.AssetCheckSeverity.ERROR
        assert found["data_age"].metadata["newest_snapshot"].value == str(ends)
    assert again["data_age"].metadata["age_days"].value >= first["data_age"].metadata["age_days"].value >= 40


def test_a_sensor_can_report_the_checks_while_nothing_runs(settings):
    store = store_days(settings, dict.fromkeys(range(1, 11), "AB"))
    found = evaluate_freshness(settings, store, now=moment(13, 12))
    assert [(evaluation.check_name, evaluation.passed) for evaluation in found] == list(
        zip(CLOCK, [False, True, True], strict=True)
    )
    with dg.instance_for_test() as instance:
        for evaluation in found:
            instance.report_runless_asset_event(evaluation)
        assert evaluations(instance)["data_age"].severity == dg.AssetCheckSeverity.ERROR


def test_assets_with_a_cadence_have_a_freshness_policy(settings):
    specs = {spec.key.to_user_string(): spec for spec in build_definitions(settings).resolve_all_asset_specs()}
    without = {name for name, spec in specs.items() if spec.freshness_policy is None}
    # Files are observed, and fetching is disabled unless a setting enables it.
    assert without == {"raw_files", "coingecko_snapshot"}
    assert Runner(settings).instance.internal_asset_freshness_enabled()
