from .home_views import ACCURACY_DAYS as ACCURACY_DAYS, live_accuracy as live_accuracy, stale_coins as stale_coins
from .metrics import CONTENT_TYPE as CONTENT_TYPE, Metrics as Metrics
from .prediction_log import PredictionLog as PredictionLog, Stopwatch as Stopwatch, sample_of as sample_of
from .predictor import (
    DateRefused as DateRefused,
    NotReady as NotReady,
    Predictor as Predictor,
    ServingSnapshot as ServingSnapshot,
)
from .problem_details import (
    faults_in as faults_in,
    openapi_responses as openapi_responses,
    parse_problem as parse_problem,
    problem as problem,
    validation_problem as validation_problem,
)
from .request_batcher import Batcher as Batcher
from .request_models import (
    ANSWER_EXAMPLE as ANSWER_EXAMPLE,
    CHANGE_BOUNDS as CHANGE_BOUNDS,
    EXAMPLE as EXAMPLE,
    MOST_OF_A_NAME as MOST_OF_A_NAME,
    BatchAnswer as BatchAnswer,
    BatchRequest as BatchRequest,
    PredictAnswer as PredictAnswer,
    PredictRequest as PredictRequest,
    request_of as request_of,
)
