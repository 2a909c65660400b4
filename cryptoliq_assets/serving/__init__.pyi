from .home_views import (
    ACCURACY_DAYS as ACCURACY_DAYS,
    measure_live_accuracy as measure_live_accuracy,
    read_stale_coins as read_stale_coins,
)
from .metrics import CONTENT_TYPE as CONTENT_TYPE, Metrics as Metrics
from .prediction_log import PredictionLog as PredictionLog, Stopwatch as Stopwatch, sample_csv_rows as sample_csv_rows
from .predictor import (
    DateRejectedError as DateRejectedError,
    NotReadyError as NotReadyError,
    Predictor as Predictor,
)
from .problem_details import (
    list_field_errors as list_field_errors,
    make_problem as make_problem,
    openapi_responses as openapi_responses,
    parse_problem as parse_problem,
    validation_problem as validation_problem,
)
from .request_batcher import RequestBatcher as RequestBatcher
from .request_models import (
    CHANGE_BOUNDS as CHANGE_BOUNDS,
    MAX_NAME_LENGTH as MAX_NAME_LENGTH,
    REQUEST_EXAMPLE as REQUEST_EXAMPLE,
    RESPONSE_EXAMPLE as RESPONSE_EXAMPLE,
    BatchRequest as BatchRequest,
    BatchResponse as BatchResponse,
    PredictRequest as PredictRequest,
    PredictResponse as PredictResponse,
    parse_request as parse_request,
)
from .snapshot import ServingSnapshot as ServingSnapshot
