"""The import contracts of pyproject.toml cover every package: a new one is forbidden what all others are."""

import tomllib

import pytest

from cryptoliq_assets_tests.support.paths import ROOT

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
FORBIDDEN = {contract["id"]: contract for contract in CONTRACTS if contract["type"] == "forbidden"}
# By contract: the packages that may import what it forbids. `modeling` is listed by its parts.
PERMITTED = {
    "dagster": {"orchestration", "cli"},
    "dashboard": {"dashboard"},
    "web": {"serving"},
    "learning": {"modeling.estimators"},
    "cluster": {"core.cluster"},
}


def children(package: str) -> set[str]:
    """Names of the packages and modules in a package."""
    folder = ROOT / package.replace(".", "/")
    found = {path.parent.name for path in folder.glob("*/__init__.py")}
    return found | {path.stem for path in folder.glob("*.py") if path.stem != "__init__"}


def everything_but(permitted: set[str]) -> set[str]:
    """All packages, one that contains a permitted one by its parts."""
    packages = children("cryptoliq_assets") - {"__main__", "definitions"}
    for name in permitted:
        parent, _, _ = name.rpartition(".")
        if parent:
            packages = packages - {parent} | {f"{parent}.{child}" for child in children(f"cryptoliq_assets.{parent}")}
    return {f"cryptoliq_assets.{name}" for name in packages - permitted}


def test_every_contract_has_its_permitted_packages():
    assert FORBIDDEN.keys() == PERMITTED.keys()


@pytest.mark.parametrize("name", PERMITTED)
def test_a_contract_lists_all_packages_except_the_permitted(name: str):
    listed = FORBIDDEN[name]["source_modules"]
    assert len(set(listed)) == len(listed)
    assert set(listed) == everything_but(PERMITTED[name])


def test_layers_are_complete():
    (layers,) = [contract for contract in CONTRACTS if contract["type"] == "layers"]
    named = {name.strip() for layer in layers["layers"] for name in layer.split("|")}
    assert layers["exhaustive"]
    assert named == children("cryptoliq_assets")
