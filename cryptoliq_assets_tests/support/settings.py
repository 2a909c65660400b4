"""Settings for tests, written flat."""

from typing import Any

from cryptoliq_assets.core import Settings


def make_settings(**values: Any) -> Settings:
    """Make settings from flat names: `make_settings(home_dir=home, api__port=0)` sets `settings.api.port`."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        section, separator, field = name.partition("__")
        if separator:
            nested.setdefault(section, {})[field] = value
        else:
            nested[name] = value
    return Settings(**nested)
