from .output import ADDED_COLUMNS as ADDED_COLUMNS
from .predict import (
    BatchPredictionSummary as BatchPredictionSummary,
    InputRejectedError as InputRejectedError,
    predict_content as predict_content,
    predict_file as predict_file,
)
