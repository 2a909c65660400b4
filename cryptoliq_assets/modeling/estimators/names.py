"""Names and versions of stored models, in all the forms that occur.

    xgboost                  candidate: asset, specification, leaderboard
    XGBoost                  model: `model_name` in metadata, `model` in responses
    XGBoost_v3               `version`: key of the stored model in registry and ledger, models/XGBoost_v3.pkl: the third XGBoost
    2025-11-14_v1            `model_version` in responses, forecasts and logs: the first promotion of that day
    XGBoost_2025-07-31_v3    key of earlier releases; such models load, serve and roll back unchanged

No number is used twice, so each form identifies one model. The ledger and the metadata contain both.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cryptoliq_assets.modeling.estimators.registry import current_model_name

if TYPE_CHECKING:
    import pandas as pd

# A key of the registry.
VERSION = re.compile(r"^(?P<name>[A-Za-z]\w*?)(?:_(?P<date>\d{4}-\d{2}-\d{2}))?_v(?P<number>\d+)$")
MODEL_VERSION = r"^\d{4}-\d{2}-\d{2}_v\d+$"


def model_name_of_key(version: str) -> str:
    """Return the current name of the model in a registry key; "" for other text.

    Example:
        >>> model_name_of_key("XGBoost_2025-07-31_v3")
        'XGBoost'
    """
    match = VERSION.match(version)
    return current_model_name(match["name"]) if match else ""


def parse_version_number(version: str) -> int:
    """Return the number in a registry key or model version; 0 for other text.

    Example:
        >>> parse_version_number("2025-11-14_v3")
        3
    """
    return int(version.rpartition("_v")[2]) if VERSION.match(version) or is_model_version(version) else 0


def is_model_version(text: str) -> bool:
    """Return whether a text has the form 2025-11-14_v3."""
    return bool(re.match(MODEL_VERSION, text))


def model_version_of(described: str | Mapping[str, Any]) -> str:
    """Return the `model_version` of metadata, a ledger entry, a report or a key of earlier releases.

    Other text is returned unchanged: today's keys do not contain the day.

    Example:
        >>> model_version_of("XGBoost_2025-07-31_v3")
        '2025-07-31_v3'
    """
    given = described if isinstance(described, str) else described.get("model_version") or described.get("version", "")
    match = VERSION.match(str(given))
    return f"{match['date']}_v{match['number']}" if match and match["date"] else str(given)


def model_title(described: Mapping[str, Any]) -> str:
    """Return model and version as page titles show them: XGBoost 2025-11-14_v3."""
    return f"{current_model_name(described.get('model_name', ''))} {model_version_of(described)}".strip()


def normalize_model_versions(values: "pd.Series[Any]") -> "pd.Series[Any]":
    """Apply `model_version_of` to each value of a text column."""
    plain = values.astype(object)
    return plain.map({value: model_version_of(value) for value in plain.unique()})


def next_version_key(name: str, day: str, *, keys: Iterable[str], model_versions: Iterable[str]) -> tuple[str, str]:
    """Return key and model version of the next model of a name.

    Args:
        name: The model's name.
        day: ISO date of its promotion.
        keys: All keys that were ever given; the number is above all of the same name.
        model_versions: All model versions that were ever given; the number is above all of the same day.

    Example:
        >>> next_version_key("XGBoost", "2025-11-14", keys=["XGBoost_v2"], model_versions=["2025-11-14_v1"])
        ('XGBoost_v3', '2025-11-14_v2')
    """
    number = max((parse_version_number(key) for key in keys if model_name_of_key(key) == name), default=0)
    of_day = max((parse_version_number(given) for given in model_versions if given.startswith(f"{day}_v")), default=0)
    return f"{name}_v{number + 1}", f"{day}_v{of_day + 1}"
