"""Names of tests are sentences that fit in one line of a report."""

import ast

from cryptoliq_assets_tests.support.paths import ROOT

MAX_LENGTH = 60


def test_names_of_tests_are_short():
    long = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in sorted((ROOT / "cryptoliq_assets_tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and len(node.name) > MAX_LENGTH
    ]
    assert long == []
