"""Registry of alert kinds: declarations are complete, and every raised kind is registered."""

import ast

import pytest

from cryptoliq_assets.monitoring.alert_kinds import ALERT_KINDS, FEED_FAULT_KINDS, FEED_KINDS, require_alert_kind
from cryptoliq_assets.monitoring.alert_registry import WARN, AlertKind, AlertKindError, register_alert_kind
from cryptoliq_assets.monitoring.feed.missing_columns import MISSING_COLUMNS
from cryptoliq_assets.monitoring.findings import FAIL, OK, CheckResult, Finding
from cryptoliq_assets.orchestration.checks.registry import CheckRegistrationError, asset_check
from cryptoliq_assets_tests.support.paths import ROOT


@pytest.mark.parametrize("missing", ["title", "remedy"])
def test_a_half_declared_kind_names_the_line_to_add(missing: str):
    declared = {"title": "Data is old", "remedy": "fetch it"}
    del declared[missing]
    with pytest.raises(AlertKindError, match=rf'add the line `{missing}="\.\.\.",` to it in .*/alert_kinds\.py'):
        AlertKind("data_old", **declared)


def test_a_feed_kind_needs_a_message_for_a_healthy_feed():
    with pytest.raises(AlertKindError, match=r'add the line `ok_message="\.\.\.",`'):
        AlertKind("feed_slow", title="The feed is slow", remedy="wait", subject="feed fault")


@pytest.mark.parametrize("level", [OK, "severe"])
def test_the_level_of_a_kind_is_warn_or_fail(level: str):
    with pytest.raises(AlertKindError, match="add the line `level=WARN,` or `level=FAIL,`"):
        AlertKind("data_old", title="Data is old", remedy="fetch it", level=level)


@pytest.mark.parametrize("name", ["", "DataOld", "data-old", "_data"])
def test_the_name_of_a_kind_is_in_snake_case(name: str):
    with pytest.raises(AlertKindError, match="use snake_case"):
        AlertKind(name, title="Data is old", remedy="fetch it")


def test_a_kind_cannot_be_registered_twice():
    with pytest.raises(AlertKindError, match="'data_stale' is registered twice"):
        register_alert_kind(ALERT_KINDS["data_stale"])


def test_an_unregistered_kind_names_the_line_to_add():
    line = r'`AlertKind\("data_old", title="\.\.\.", remedy="\.\.\.", fields=\(\)\),` to .*/alert_kinds\.py'
    with pytest.raises(AlertKindError, match=line):
        require_alert_kind("data_old")
    with pytest.raises(AlertKindError, match=line):
        Finding("data_old", OK, "raw_snapshots", "")
    with pytest.raises(AlertKindError, match=line):
        CheckResult(OK, "").to_finding("data_old", "raw_snapshots")
    with pytest.raises(CheckRegistrationError, match=line):
        asset_check("labels", description="Age.", restates=("data_old",))(lambda settings, store, months: None)


def test_a_finding_has_at_most_the_level_of_its_kind():
    assert ALERT_KINDS["market_move"].level == WARN
    with pytest.raises(ValueError, match="'market_move' has at most the level 'warn', not 'fail'"):
        Finding("market_move", FAIL, "raw_snapshots", "")


def test_every_kind_that_the_source_raises_is_registered():
    raised = set()
    for path in (ROOT / "cryptoliq_assets").rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(call, ast.Call) or not call.args or not isinstance(call.args[0], ast.Constant):
                continue
            name = getattr(call.func, "attr", None) or getattr(call.func, "id", None)
            if name in ("Finding", "to_finding", "require_alert_kind") and isinstance(call.args[0].value, str):
                raised.add(require_alert_kind(call.args[0].value))
    assert raised == set(ALERT_KINDS), "a registered kind that nothing raises: remove it from alert_kinds.py"


def test_feed_kinds_are_the_faults_and_then_the_market():
    assert (*FEED_FAULT_KINDS, "volume_step", "market_move") == FEED_KINDS
    assert set(MISSING_COLUMNS) < set(FEED_FAULT_KINDS)
