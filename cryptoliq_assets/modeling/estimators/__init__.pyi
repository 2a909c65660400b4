from .base import (
    TARGET_BASELINES as TARGET_BASELINES,
    ScoreForecaster as ScoreForecaster,
    available_threads as available_threads,
)
from .baselines import (
    BASELINE_FEATURES as BASELINE_FEATURES,
    HAR as HAR,
    MEAN_7D as MEAN_7D,
    MEAN_CHANGE as MEAN_CHANGE,
    PERSISTENCE as PERSISTENCE,
    make_baseline as make_baseline,
)
from .fit_rows import FitRows as FitRows, TableCache as TableCache
from .fitting import (
    CHAMPION_SPEC as CHAMPION_SPEC,
    build_forecaster as build_forecaster,
    evaluated_specs as evaluated_specs,
    fit_spec as fit_spec,
    is_same_spec as is_same_spec,
    predict_rows as predict_rows,
    spec_from_dict as spec_from_dict,
)
from .names import (
    MODEL_VERSION as MODEL_VERSION,
    VERSION as VERSION,
    is_model_version as is_model_version,
    model_name_of_key as model_name_of_key,
    model_title as model_title,
    model_version_of as model_version_of,
    next_version_key as next_version_key,
    normalize_model_versions as normalize_model_versions,
    parse_version_number as parse_version_number,
)
from .preprocessing import center_on_7d_mean as center_on_7d_mean, has_no_history as has_no_history
from .registry import (
    ALLOWED_GLOBALS as ALLOWED_GLOBALS,
    CANDIDATES as CANDIDATES,
    DESCRIPTIONS as DESCRIPTIONS,
    FORECASTERS as FORECASTERS,
    GLOBAL_ALIASES as GLOBAL_ALIASES,
    LIBRARIES as LIBRARIES,
    LIBRARY_ALIASES as LIBRARY_ALIASES,
    MODEL_NAMES as MODEL_NAMES,
    PICKLE_CONSTRUCTORS as PICKLE_CONSTRUCTORS,
    REQUIRED_LIBRARIES as REQUIRED_LIBRARIES,
    STATE_CHECKS as STATE_CHECKS,
    CandidateRegistrationError as CandidateRegistrationError,
    current_model_name as current_model_name,
)
from .regressor import Regressor as Regressor
from .specs import OWN_FEATURES as OWN_FEATURES, ModelSpec as ModelSpec
from .validation import InvalidForecasterError as InvalidForecasterError
