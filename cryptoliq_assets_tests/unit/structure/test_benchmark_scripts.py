"""Benchmarks and tools use names that exist: the suite does not run most of them, so a rename would break them unnoticed."""

import ast
import importlib
from pathlib import Path

import pytest

from cryptoliq_assets_tests.support.paths import ROOT

SCRIPTS = sorted([*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "tools").glob("*.py")])


def used_names(script: Path) -> set[tuple[str, str]]:
    """Return the (module, name) pairs of this project that a script imports, or replaces by name to measure them."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    aliases, used = {}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            aliases |= {item.asname: item.name for item in node.names if item.asname}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cryptoliq_assets"):
            used |= {(str(node.module), item.name) for item in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "_measure_function":
            module, name = node.args[:2]
            used.add((aliases[module.id], name.value))
    return used


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_the_names_that_a_script_uses_exist(script: Path):
    missing = [
        f"{module}.{name}" for module, name in used_names(script) if not hasattr(importlib.import_module(module), name)
    ]
    assert not missing


def test_functions_measured_by_name_are_found():
    used = used_names(ROOT / "benchmarks" / "rebuild.py")
    assert ("cryptoliq_assets.storage.parquet_store", "write_months") in used
