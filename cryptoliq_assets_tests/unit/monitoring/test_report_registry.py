"""The registry of monitoring reports: declared once, and used by everything that reads or writes a report."""

import ast
from pathlib import Path

from cryptoliq_assets.core.config import Settings
from cryptoliq_assets.monitoring.alert_kinds import ALERT_KINDS
from cryptoliq_assets.monitoring.drift.report import drift_report_paths
from cryptoliq_assets.monitoring.reports import DRIFT_REPORT, INCIDENTS_REPORT, MONITOR_REPORTS, REPORTS
from cryptoliq_assets.serving.api import monitor_metrics
from cryptoliq_assets_tests.support.paths import ROOT

PACKAGE = ROOT / "cryptoliq_assets"
SOURCES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
FILES = {report.file for report in MONITOR_REPORTS}
# Below monitoring, so it cannot import the registry; a test compares the two.
FILE_EXEMPT = {Path("monitoring/reports.py"), Path("core/config/paths.py")}
# `restates` of a check is compared with the registry at import; the others are columns and fields of the same name.
KIND_EXEMPT = ("monitoring/alert_kinds.py", "monitoring/drift/html.py", "orchestration/checks/", "ingestion/reports/")


def literals(path: Path) -> list[ast.Constant]:
    """The texts of a module, except docstrings and arguments of require_alert_kind."""
    tree = ast.parse((PACKAGE / path).read_text(encoding="utf-8"))
    checked = {
        id(argument)
        for call in ast.walk(tree)
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "require_alert_kind"
        for argument in call.args
    }
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in checked
    ]


def test_no_module_repeats_the_file_of_a_report():
    paths = [path for path in SOURCES if path not in FILE_EXEMPT]
    assert not [f"{path}:{node.lineno}" for path in paths for node in literals(path) if node.value in FILES]


def test_alert_kinds_are_looked_up_at_import():
    paths = [path for path in SOURCES if not path.as_posix().startswith(KIND_EXEMPT)]
    assert not [f"{path}:{node.lineno}" for path in paths for node in literals(path) if node.value in ALERT_KINDS]


def test_names_and_files_of_reports_are_unique():
    assert len(FILES) == len({report.name for report in MONITOR_REPORTS}) == len(MONITOR_REPORTS)
    assert set(REPORTS) == FILES - {INCIDENTS_REPORT}


def test_paths_declared_elsewhere_are_those_of_the_registry(tmp_path: Path):
    settings = Settings(home_dir=tmp_path)
    assert settings.incidents_path == settings.reports_dir / INCIDENTS_REPORT
    assert [path.name for path in drift_report_paths(tmp_path)] == [DRIFT_REPORT, "drift_report.html"]


def test_every_report_with_figures_is_registered():
    assert set(monitor_metrics._FIGURES) <= FILES
