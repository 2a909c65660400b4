"""Every public function of a module of checks is a registered check with the parameters of its step."""

import types

import pytest

from cryptoliq_assets.orchestration.checks import forecasts, registry
from cryptoliq_assets.orchestration.checks.registry import (
    CheckOutcome,
    CheckRegistrationError,
    asset_check,
    load_checks,
)


@pytest.fixture(autouse=True)
def empty_slate(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    load_checks()
    monkeypatch.setattr(registry, "_REGISTRY", dict(registry._REGISTRY))


def without_annotations(settings, table_store, run_months):
    return CheckOutcome(True)


def helper(rows):
    return len(rows)


@pytest.mark.parametrize("function", [without_annotations, helper])
def test_a_public_function_that_is_no_check_fails(function, monkeypatch):
    written = types.FunctionType(function.__code__, vars(forecasts), function.__name__)
    written.__module__ = forecasts.__name__
    monkeypatch.setattr(forecasts, function.__name__, written, raising=False)
    with pytest.raises(CheckRegistrationError) as error:
        load_checks()
    assert f"checks/forecasts.py: {function.__name__} is not registered: add the line @asset_check(" in str(error.value)
    assert f"or write the line def _{function.__name__}(…) if it is a helper" in str(error.value)


def test_a_helper_that_starts_with_an_underscore_passes(monkeypatch):
    written = types.FunctionType(helper.__code__, vars(forecasts), "_helper")
    written.__module__ = forecasts.__name__
    monkeypatch.setattr(forecasts, "_helper", written, raising=False)
    load_checks()
    with pytest.raises(CheckRegistrationError, match=r"helpers start with _; write the line def helper\("):
        asset_check("forecasts", description="x")(written)


@pytest.mark.parametrize("step", ["single", "report"])
def test_a_check_without_months_cannot_take_them(step):
    def near(settings, store, months):
        return CheckOutcome(True)

    with pytest.raises(
        CheckRegistrationError, match=r"takes \(settings, store\); write the line def near\(settings, store\)"
    ):
        asset_check("leaderboard", description="x", step=step)(near)


def test_an_unknown_step_fails_with_the_steps():
    with pytest.raises(
        CheckRegistrationError, match="step='daily' is unknown; use one of table, clock, report, single"
    ):
        asset_check("forecasts", description="x", step="daily")(helper)
