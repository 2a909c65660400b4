"""Rules of the package layout that no linter checks."""

import ast
import importlib
from collections import Counter
from pathlib import Path

import pytest

from cryptoliq_assets_tests.support.paths import ROOT

PACKAGE = ROOT / "cryptoliq_assets"
FOLDERS = sorted(path.parent for path in PACKAGE.rglob("__init__.py"))
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
MAX_MODULES, MAX_LINES = 12, 300


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_a_package_has_few_modules_and_no_shared_prefixes(folder: Path):
    modules = [path.stem for path in folder.glob("*.py") if path.name != "__init__.py"]
    assert len(modules) <= MAX_MODULES, f"{name_of(folder)} has {len(modules)} modules: split it into sub-packages"
    prefixes = Counter(module.partition("_")[0] for module in modules if "_" in module)
    assert max(prefixes.values(), default=0) < 3, f"three modules of {name_of(folder)} share a prefix: {prefixes}"


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_each_package_has_a_docstring_and_lists_its_names(folder: Path):
    tree = ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))
    assert ast.get_docstring(tree), f"{name_of(folder)} has no docstring"
    package = importlib.import_module(name_of(folder))
    for name in package.__all__:
        assert getattr(package, name) is not None


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_modules_are_short_and_import_through_packages(path: Path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_LINES, f"{name_of(path)} has more than {MAX_LINES} lines: split it"
    modules = {name_of(module) for module in MODULES}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module in modules:
            package = node.module.rpartition(".")[0]
            # Its own package, or one around it.
            assert name_of(path).startswith(f"{package}."), (
                f"{name_of(path)}, line {node.lineno}: import from {package} and add the name to its __init__.pyi"
            )
