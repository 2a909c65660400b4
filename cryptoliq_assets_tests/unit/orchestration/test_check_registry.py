"""Check registry: a registered check runs; a missing or incomplete registration fails with the line to add."""

import sys
import types
from collections.abc import Iterator

import dagster as dg
import pytest

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.monitoring import ALERT_KINDS
from cryptoliq_assets.orchestration.checks import definitions, forecasts, registry
from cryptoliq_assets.orchestration.checks.registry import (
    CheckOutcome,
    CheckRegistrationError,
    asset_check,
    load_checks,
)
from cryptoliq_assets.orchestration.definitions import build_definitions
from cryptoliq_assets.orchestration.run_findings import watched_checks
from cryptoliq_assets.storage.parquet_store import TableStore
from cryptoliq_assets_tests.support.settings import make_settings

LINE = r'add the line @asset_check\("<asset>", description="…"\) above it'


def near_current_score(settings: Settings, store: TableStore, months: list[str]) -> CheckOutcome:
    """Compare each forecast with the score of its day."""
    return CheckOutcome(True)


@pytest.fixture(autouse=True)
def restored_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the registry after each test."""
    load_checks()
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))


@pytest.fixture
def added_check(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.FunctionType]:
    """Add a check function to checks/forecasts.py, as a developer would."""
    function = types.FunctionType(near_current_score.__code__, vars(forecasts) | globals(), "near_current_score")
    function.__module__, function.__annotations__ = forecasts.__name__, near_current_score.__annotations__
    monkeypatch.setattr(forecasts, "near_current_score", function, raising=False)
    return function


def test_a_check_in_one_file_is_defined_and_monitored(added_check, tmp_path):
    asset_check("forecasts", description="Every forecast is within 0.3 of the score of its day.")(added_check)
    built = build_definitions(make_settings(home_dir=tmp_path))
    key = dg.AssetCheckKey(dg.AssetKey("forecasts"), "near_current_score")
    assert key in {spec.key for checks in built.asset_checks for spec in checks.check_specs}
    assert key in watched_checks(built.assets, built.asset_checks)


def test_an_unregistered_check_fails_with_the_line_to_add(added_check, tmp_path):
    with pytest.raises(CheckRegistrationError, match=r"checks/forecasts\.py: near_current_score .*" + LINE):
        build_definitions(make_settings(home_dir=tmp_path))


def test_a_check_without_a_description_fails():
    with pytest.raises(CheckRegistrationError, match=LINE):
        asset_check("forecasts", description="")(near_current_score)


def test_a_check_without_an_asset_fails_with_the_line():
    with pytest.raises(CheckRegistrationError, match=LINE):
        asset_check(near_current_score, description="x")(near_current_score)


def test_a_check_of_an_unknown_table_fails_with_the_tables():
    with pytest.raises(CheckRegistrationError, match=r"'forecast' is no table of schemas/tables\.py"):
        asset_check("forecast", description="x")(near_current_score)


def test_a_check_of_an_unknown_asset_fails_with_the_assets():
    assets = sorted({check.asset for check in load_checks()})

    def near(settings: Settings, store: TableStore) -> CheckOutcome:
        return CheckOutcome(True)

    asset_check("leader_board", description="x", step="single")(near)
    with pytest.raises(CheckRegistrationError, match="'leader_board', which is no asset; name one of "):
        definitions.build_asset_checks(make_settings(home_dir="unused"), assets=assets)


def test_an_unknown_alert_kind_fails_with_the_line_to_add():
    with pytest.raises(CheckRegistrationError, match=r"'too_far' is not registered; add the line `AlertKind\("):
        asset_check("forecasts", description="x", restates=("too_far",))(near_current_score)


def test_a_check_with_other_parameters_fails_with_its_head():
    def near(store: TableStore) -> CheckOutcome:
        return CheckOutcome(True)

    with pytest.raises(
        CheckRegistrationError, match=r"write the line def near\(settings, store, months\) -> CheckOutcome"
    ):
        asset_check("forecasts", description="x")(near)


def test_two_modules_cannot_register_one_name():
    clash = types.FunctionType(near_current_score.__code__, globals(), "newest_snapshot_forecast")
    clash.__annotations__ = near_current_score.__annotations__
    with pytest.raises(CheckRegistrationError, match="has a check of this name"):
        asset_check("forecasts", description="x")(clash)


def test_every_registered_check_describes_itself():
    settings = make_settings(home_dir="unused")
    for check in load_checks():
        assert len(check.describe(settings)) > 15, check.name
        assert set(check.restates) <= set(ALERT_KINDS)
        assert check.evaluate.__module__ in sys.modules
