from .app_log import REPORT as REPORT, tallies as tallies
from .prediction_report import (
    CSV_REPORT as CSV_REPORT,
    errors_look as errors_look,
    measure_predictions as measure_predictions,
    prediction_conditions as prediction_conditions,
    stopped_look as stopped_look,
)
from .prediction_stats import APP as APP, COMMAND as COMMAND, FORECASTS as FORECASTS, score_histogram as score_histogram
