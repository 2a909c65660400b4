"""deploy/compose.yml as compose would read it: variables filled in, services in the order in which they start."""

import re
from graphlib import TopologicalSorter
from typing import Any

import yaml

from cryptoliq_assets_tests.support.paths import ROOT

COMPOSE = ROOT / "deploy" / "compose.yml"
# Those that run this project's image.
OURS = ("code", "webserver", "daemon", "api", "app")
VARIABLE = re.compile(r"\$\{(\w+)(:\?)?\}")


def raw() -> dict[str, Any]:
    """The file's own words."""
    return yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))


def filled(**values: str) -> dict[str, Any]:
    """The file with each `${NAME:?}` replaced; KeyError where a value is missing."""

    def fill(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: fill(value) for name, value in part.items()}
        if isinstance(part, list):
            return [fill(value) for value in part]
        return VARIABLE.sub(lambda found: values[found[1]], part) if isinstance(part, str) else part

    return fill(raw())


def asked() -> set[str]:
    """Names of all variables that the file takes from the environment."""
    return {found[1] for found in VARIABLE.finditer(COMPOSE.read_text(encoding="utf-8"))}


def dummies() -> dict[str, str]:
    """A value for each of them, of the alphabet that deploy/env.example says."""
    return {name: f"{number:02d}" * 32 for number, name in enumerate(sorted(asked()))}


def start_order(compose: dict[str, Any]) -> list[str]:
    """Names of the services, each after those it waits for."""
    needs = {name: set(service.get("depends_on", {})) for name, service in compose["services"].items()}
    return list(TopologicalSorter(needs).static_order())
