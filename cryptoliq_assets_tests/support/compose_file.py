"""deploy/compose.yml with its variables replaced, and its services in the order of their start."""

import re
from graphlib import TopologicalSorter
from typing import Any

import yaml

from cryptoliq_assets_tests.support.paths import ROOT

COMPOSE = ROOT / "deploy" / "compose.yml"
# Services that run an image of this project.
OWN_SERVICES = ("code", "webserver", "daemon", "api", "app")
# Services of the profile `cluster`.
CLUSTER_SERVICES = ("scheduler", "worker", "objects")
VARIABLE = re.compile(r"\$\{(\w+)(:\?)?\}")


def read_compose() -> dict[str, Any]:
    """Return the content of the file, with its variables."""
    return yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))


def fill_compose(**values: str) -> dict[str, Any]:
    """Return the file with each `${NAME:?}` replaced; KeyError if a value is missing."""

    def fill(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: fill(value) for name, value in part.items()}
        if isinstance(part, list):
            return [fill(value) for value in part]
        return VARIABLE.sub(lambda match: values[match[1]], part) if isinstance(part, str) else part

    return fill(read_compose())


def variable_names() -> set[str]:
    """Return the names of all variables that the file reads from the environment."""
    return {match[1] for match in VARIABLE.finditer(COMPOSE.read_text(encoding="utf-8"))}


def dummy_values() -> dict[str, str]:
    """Return a value for each variable, of the characters that deploy/env.example allows."""
    return {name: f"{number:02d}" * 32 for number, name in enumerate(sorted(variable_names()))}


def start_order(compose: dict[str, Any]) -> list[str]:
    """Return the names of the services, each after those that it waits for."""
    needs = {name: set(service.get("depends_on", {})) for name, service in compose["services"].items()}
    return list(TopologicalSorter(needs).static_order())
