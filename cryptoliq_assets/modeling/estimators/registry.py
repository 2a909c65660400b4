"""The registry of candidates: every module of `modeling.estimators.candidates` has one forecaster, and this finds them.

Nothing else lists candidates: assets, jobs, console labels, the loader's allowlist and the tests derive from here. To
add a model, add a module to `candidates`; a declaration that is incomplete fails at import.
"""

import importlib
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

from cryptoliq_assets.modeling.estimators import candidates
from cryptoliq_assets.modeling.estimators.base import ScoreForecaster
from cryptoliq_assets.modeling.estimators.regressor import Regressor
from cryptoliq_assets.modeling.estimators.specs import ModelSpec

# What a candidate must declare, and the line to add where it does not.
_REQUIRED = {
    "SPEC": 'SPEC = ModelSpec("hist_gradient_boosting", "Hist_Gradient_Boosting", {"max_iter": 100})',
    "REGRESSOR": "REGRESSOR = HistGradientBoostingRegressor  # the Regressor of this module",
    "LIBRARY": 'LIBRARY = "scikit-learn"  # the library that fits it, as pip names it',
    "PICKLE_GLOBALS": "PICKLE_GLOBALS = {}  # no classes of the library: the regressor stores plain arrays",
}


class CandidateRegistrationError(TypeError):
    """A candidate's declaration is incomplete; the message has the line to add."""


def check_registration(forecaster: type[ScoreForecaster]) -> None:
    """Raise CandidateRegistrationError, with the line to add, unless a forecaster class declares all that it must."""
    name = f"{forecaster.__module__}.{forecaster.__qualname__}"
    for attribute, line in _REQUIRED.items():
        if attribute not in vars(forecaster):
            raise CandidateRegistrationError(f"{name} does not declare {attribute}: add the line `{line}` to the class")
    if not (vars(forecaster)["__doc__"] or "").strip():
        raise CandidateRegistrationError(f'{name} has no docstring: add the line `"""What it is."""` to the class')
    if not forecaster.LIBRARY:
        raise CandidateRegistrationError(f"{name} names no library: add the line `{_REQUIRED['LIBRARY']}` to the class")
    for method in ("fit", "predict", "_check_fitted"):
        if getattr(forecaster.REGRESSOR, method) is getattr(Regressor, method):
            raise CandidateRegistrationError(
                f"{forecaster.REGRESSOR.__qualname__} of {name} has no {method}: add `def {method}(self, …)` to the class"
            )
    _check_names(forecaster, name)
    _check_pickle_declarations(forecaster, name)


def _check_names(forecaster: type[ScoreForecaster], name: str) -> None:
    """Check that the names can be those of an asset, of an option and of files."""
    spec = forecaster.SPEC
    if not re.fullmatch("[a-z][a-z0-9_]*", spec.name) or not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", spec.model_name):
        raise CandidateRegistrationError(
            f"{name} is named {spec.name!r} and {spec.model_name!r}; expected letters, digits and _: write the line "
            f"`{_REQUIRED['SPEC']}`"
        )


def _check_pickle_declarations(forecaster: type[ScoreForecaster], name: str) -> None:
    """Check that only classes of libraries are allowed, and that constructors and checks are of allowed classes."""
    for module in forecaster.PICKLE_GLOBALS:
        if module.split(".")[0] in {"numpy", *sys.stdlib_module_names}:
            raise CandidateRegistrationError(
                f"{name} lists {module} in PICKLE_GLOBALS: remove it; numeric arrays are always allowed, and anything else of "
                "numpy or the standard library never. Store plain arrays in the regressor (CONTRIBUTING.md, Add a model)"
            )
    for attribute in ("PICKLE_CONSTRUCTORS", "STATE_CHECKS"):
        for module, kind in getattr(forecaster, attribute):
            if kind not in forecaster.PICKLE_GLOBALS.get(module, ()):
                raise CandidateRegistrationError(
                    f"{name} declares {attribute} of {module}.{kind}, which is not allowed in a pickle: add the line "
                    f'`"{module}": frozenset({{"{kind}"}}),` to its PICKLE_GLOBALS'
                )


def register_candidates(forecasters: Iterable[type[ScoreForecaster]]) -> dict[str, type[ScoreForecaster]]:
    """Return forecaster classes by candidate name, sorted by name.

    Raises:
        CandidateRegistrationError: A declaration is incomplete, or two candidates have the same name.
    """
    registered: dict[str, type[ScoreForecaster]] = {}
    for forecaster in forecasters:
        check_registration(forecaster)
        for other in registered.values():
            for kind, name, taken in (
                ("candidate", forecaster.SPEC.name, {other.SPEC.name}),
                ("model", forecaster.SPEC.model_name, {other.SPEC.model_name, *other.EARLIER_MODEL_NAMES}),
            ):
                if name in taken:
                    raise CandidateRegistrationError(
                        f"{forecaster.__qualname__} and {other.__qualname__} both have the {kind} name {name!r}: "
                        f'add the line `SPEC = ModelSpec("another_name", "Another_Name", …)` to one of them'
                    )
        registered[forecaster.SPEC.name] = forecaster
    return dict(sorted(registered.items()))


def find_forecaster(module: ModuleType) -> type[ScoreForecaster]:
    """Return the one forecaster class that a module of `candidates` defines.

    Raises:
        CandidateRegistrationError: It defines none, or several.
    """
    own = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, ScoreForecaster) and value.__module__ == module.__name__
    ]
    if len(own) != 1:
        raise CandidateRegistrationError(
            f"{module.__name__} defines {len(own)} forecasters, expected one: add the line "
            "`class HistGradientBoostingForecaster(ScoreForecaster):`, or move the others to modules of their own"
        )
    return own[0]


def _find_candidates() -> dict[str, type[ScoreForecaster]]:
    modules = [
        importlib.import_module(f"{candidates.__name__}.{found.name}")
        for found in pkgutil.iter_modules(candidates.__path__)
    ]
    return register_candidates(find_forecaster(module) for module in modules)


# By candidate name; the forecasters by model name.
_FORECASTER_OF = _find_candidates()
FORECASTERS: dict[str, type[ScoreForecaster]] = {forecaster.NAME: forecaster for forecaster in _FORECASTER_OF.values()}
CANDIDATES: dict[str, ModelSpec] = {name: forecaster.SPEC for name, forecaster in _FORECASTER_OF.items()}
MODEL_NAMES: dict[str, str] = {name: spec.model_name for name, spec in CANDIDATES.items()}
# One line on each, for asset descriptions.
DESCRIPTIONS: dict[str, str] = {
    name: f"{forecaster.NAME}: {(forecaster.__doc__ or '').strip().splitlines()[0]}"
    for name, forecaster in _FORECASTER_OF.items()
}

# Libraries whose classes are inside artifacts: their major versions must be those that the artifact was written with.
LIBRARIES: tuple[str, ...] = tuple(sorted({"numpy", *(forecaster.LIBRARY for forecaster in FORECASTERS.values())}))
LIBRARY_ALIASES: dict[str, tuple[str, ...]] = {
    forecaster.LIBRARY: forecaster.LIBRARY_ALIASES for forecaster in FORECASTERS.values() if forecaster.LIBRARY_ALIASES
}
# Libraries that a model needs to predict, by model name.
REQUIRED_LIBRARIES: dict[str, frozenset[str]] = {
    name: frozenset({"numpy"} if forecaster.PREDICTS_WITHOUT_LIBRARY else {"numpy", forecaster.LIBRARY})
    for name, forecaster in FORECASTERS.items()
}


def _allowed_globals() -> dict[str, frozenset[str]]:
    allowed: dict[str, set[str]] = {}
    for forecaster in FORECASTERS.values():
        for kind in (forecaster, forecaster.REGRESSOR):
            allowed.setdefault(kind.__module__, set()).add(kind.__name__)
        for module, names in forecaster.PICKLE_GLOBALS.items():
            allowed.setdefault(module, set()).update(names)
    return {module: frozenset(names) for module, names in allowed.items()}


# Every class that may occur in a pickled forecaster, by module; numeric arrays are built by the unpickler itself.
ALLOWED_GLOBALS: Mapping[str, frozenset[str]] = _allowed_globals()


def collect_declarations(forecasters: Iterable[type[ScoreForecaster]], attribute: str) -> dict[tuple[str, str], Any]:
    """Return the constructors or checks of states that candidates declare, by (module, class).

    Raises:
        CandidateRegistrationError: Two candidates declare different functions for a class: one would silently replace the other.
    """
    collected: dict[tuple[str, str], Any] = {}
    for forecaster in forecasters:
        for (module, kind), function in getattr(forecaster, attribute).items():
            existing = collected.setdefault((module, kind), function)
            if existing is not function:
                raise CandidateRegistrationError(
                    f"{forecaster.__qualname__} declares another function in {attribute} for {module}.{kind}: write the line "
                    f"`from {existing.__module__} import {existing.__name__}` and declare that one, or none"
                )
    return collected


# Checked constructors, and checks of states, of such classes, by (module, name).
PICKLE_CONSTRUCTORS: Mapping[tuple[str, str], Callable[..., Any]] = collect_declarations(
    FORECASTERS.values(), "PICKLE_CONSTRUCTORS"
)
STATE_CHECKS: Mapping[tuple[str, str], Callable[[Mapping[str, Any]], None]] = collect_declarations(
    FORECASTERS.values(), "STATE_CHECKS"
)
# (module, name) in artifacts of earlier releases → (module, name) today.
GLOBAL_ALIASES: dict[tuple[str, str], tuple[str, str]] = {
    stored: (kind.__module__, kind.__name__)
    for forecaster in FORECASTERS.values()
    for kind, names in (
        (forecaster, forecaster.STORED_AS),
        (forecaster.REGRESSOR, forecaster.REGRESSOR_STORED_AS),
    )
    for stored in names
}
_EARLIER_NAMES = {
    earlier: forecaster.NAME for forecaster in FORECASTERS.values() for earlier in forecaster.EARLIER_MODEL_NAMES
}


def current_model_name(name: object) -> str:
    """Return the current name of a model, given that or one of an earlier release; other text is returned unchanged."""
    return _EARLIER_NAMES.get(str(name), str(name))
