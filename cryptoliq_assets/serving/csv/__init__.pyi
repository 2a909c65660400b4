from .predict import (
    ADDED_COLUMNS as ADDED_COLUMNS,
    BatchPredictionSummary as BatchPredictionSummary,
    InputRefused as InputRefused,
    predict_content as predict_content,
    predict_file as predict_file,
)
