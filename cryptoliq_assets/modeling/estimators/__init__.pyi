from .base import (
    FORECASTERS as FORECASTERS,
    TARGET_BASELINES as TARGET_BASELINES,
    RandomForestForecaster as RandomForestForecaster,
    RidgeForecaster as RidgeForecaster,
    ScoreForecaster as ScoreForecaster,
    XGBoostForecaster as XGBoostForecaster,
    available_threads as available_threads,
)
from .baselines import HAR as HAR, MEAN_7D as MEAN_7D, PERSISTENCE as PERSISTENCE, baseline as baseline
from .names import (
    MODEL_NAMES as MODEL_NAMES,
    MODEL_VERSION as MODEL_VERSION,
    VERSION as VERSION,
    current_model_name as current_model_name,
    is_model_version as is_model_version,
    model_name_of_key as model_name_of_key,
    model_title as model_title,
    model_version_of as model_version_of,
    next_version_key as next_version_key,
    normalize_model_versions as normalize_model_versions,
    parse_version_number as parse_version_number,
)
from .preprocessing import center_on_7d_mean as center_on_7d_mean, has_no_history as has_no_history
from .regressors import (
    BoostedTreesRegressor as BoostedTreesRegressor,
    ForestRegressor as ForestRegressor,
    Regressor as Regressor,
    RidgeRegressor as RidgeRegressor,
)
from .specs import (
    CANDIDATES as CANDIDATES,
    CHAMPION_SPEC as CHAMPION_SPEC,
    OWN_FEATURES as OWN_FEATURES,
    ModelSpec as ModelSpec,
    evaluated_specs as evaluated_specs,
    fit_spec as fit_spec,
    predict_rows as predict_rows,
    same_recipe as same_recipe,
)
from .validation import InvalidForecasterError as InvalidForecasterError, check_learner as check_learner
