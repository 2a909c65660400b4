"""Names and versions of models: the one registry, and the forms in which a stored model is named.

    xgboost                  the candidate: asset, recipe, leaderboard
    XGBoost                  the model: `model_name` in metadata, `model` in answers
    XGBoost_v3               `version`: the stored model, the key of store and ledger: models/XGBoost_v3.pkl, the third XGBoost
    2025-11-14_v1            `model_version` in answers, forecasts and logs: the first promotion of that day
    XGBoost_2025-07-31_v3    the key that earlier releases gave; such models load, serve and roll back as they are

No number is used twice, so either form names one model. The ledger and the metadata hold both.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

# Candidate to model.
MODEL_NAMES = {"linear_regression": "Linear_Regression", "random_forest": "Random_Forest", "xgboost": "XGBoost"}
# Names that earlier releases wrote into metadata, recipes and file names.
_EARLIER = {name.replace("_", ""): name for name in MODEL_NAMES.values()}

# A key of the store.
VERSION = re.compile(r"^(?P<name>[A-Za-z]\w*?)(?:_(?P<date>\d{4}-\d{2}-\d{2}))?_v(?P<number>\d+)$")
MODEL_VERSION = r"^\d{4}-\d{2}-\d{2}_v\d+$"


def current_model_name(name: object) -> str:
    """The present name of a model, of that or of an earlier one; any other text comes back as it is."""
    return _EARLIER.get(str(name), str(name))


def model_name_of_key(version: str) -> str:
    """The model that a key of the store names."""
    match = VERSION.match(version)
    return current_model_name(match["name"]) if match else ""


def parse_version_number(version: str) -> int:
    """The number in a key of the store or in a model version, 0 where there is none."""
    return int(version.rpartition("_v")[2]) if VERSION.match(version) or re.match(MODEL_VERSION, version) else 0


def is_model_version(text: str) -> bool:
    """Whether a text has the form 2025-11-14_v3."""
    return bool(re.match(MODEL_VERSION, text))


def model_version_of(described: str | Mapping[str, Any]) -> str:
    """The `model_version`, of metadata, of a ledger entry, of a report or of a key that earlier releases gave.

    Any other text comes back as it is: a key of today does not say the day.
    """
    given = described if isinstance(described, str) else described.get("model_version") or described.get("version", "")
    match = VERSION.match(str(given))
    return f"{match['date']}_v{match['number']}" if match and match["date"] else str(given)


def model_title(described: Mapping[str, Any]) -> str:
    """Model and version as pages head it: XGBoost 2025-11-14_v3."""
    return f"{current_model_name(described.get('model_name', ''))} {model_version_of(described)}".strip()


def normalize_model_versions(values: Any) -> Any:
    """`model_version_of` of each value of a column of text."""
    plain = values.astype(object)
    return plain.map({value: model_version_of(value) for value in plain.unique()})


def next_version_key(name: str, day: str, *, keys: Iterable[str], model_versions: Iterable[str]) -> tuple[str, str]:
    """Key and model version of the next model of a name, promoted on an ISO day: numbers above all of the name's, and above
    all of the day's. keys, model_versions: all that were ever given."""
    of_name = max((parse_version_number(key) for key in keys if model_name_of_key(key) == name), default=0)
    of_day = max((parse_version_number(given) for given in model_versions if given.startswith(f"{day}_v")), default=0)
    return f"{name}_v{of_name + 1}", f"{day}_v{of_day + 1}"
