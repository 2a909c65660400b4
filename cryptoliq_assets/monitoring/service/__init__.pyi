from .app_log import read_daily_stats as read_daily_stats
from .prediction_report import (
    PREDICTION_CSV_REPORT as PREDICTION_CSV_REPORT,
    check_errors as check_errors,
    check_traffic as check_traffic,
    find_service_problems as find_service_problems,
    measure_predictions as measure_predictions,
)
from .prediction_stats import APP as APP, COMMAND as COMMAND, FORECASTS as FORECASTS, score_histogram as score_histogram
from .shared_predictions import (
    publish_predictions as publish_predictions,
    remove_old_shared_days as remove_old_shared_days,
)
