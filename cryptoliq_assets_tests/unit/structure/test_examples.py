"""The examples in docstrings run as doctests."""

import doctest
import importlib

import pytest

from cryptoliq_assets_tests.support.paths import ROOT

# Packages of pure functions: each has examples.
PURE = ("core", "schemas", "cleaning", "labels", "features")
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "cryptoliq_assets").rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_each_module_pass(name: str):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 0
    assert result.failed == 0


def test_every_package_of_pure_functions_has_examples():
    for package in PURE:
        assert any(name.startswith(f"cryptoliq_assets.{package}.") for name in MODULES), package
