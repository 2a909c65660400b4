"""The examples in docstrings run as doctests."""

import doctest
import importlib
import pkgutil

import pytest

import cryptoliq_assets

PACKAGES = ("core", "schemas", "cleaning", "labels", "features")
MODULES = [
    module.name
    for package in PACKAGES
    for module in pkgutil.walk_packages(
        importlib.import_module(f"cryptoliq_assets.{package}").__path__, f"{cryptoliq_assets.__name__}.{package}."
    )
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_each_module_pass(name: str):
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


def test_every_package_has_examples():
    finder = doctest.DocTestFinder()
    for package in PACKAGES:
        modules = [importlib.import_module(name) for name in MODULES if name.startswith(f"cryptoliq_assets.{package}.")]
        assert any(case.examples for module in modules for case in finder.find(module)), package
