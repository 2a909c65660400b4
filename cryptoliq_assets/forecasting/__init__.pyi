from .pending import (
    describe_champion_mismatch as describe_champion_mismatch,
    describe_missing_days as describe_missing_days,
    describe_stale_features as describe_stale_features,
    is_training_due as is_training_due,
    month_to_forecast as month_to_forecast,
    newest_date as newest_date,
)
from .realized_accuracy import (
    SUMS as SUMS,
    Accuracy as Accuracy,
    measure as measure,
    measure_accuracy_by_day as measure_accuracy_by_day,
    read_realized_forecasts as read_realized_forecasts,
    sum_errors as sum_errors,
)
from .snapshot_forecast import (
    FLAGS as FLAGS,
    append_forecasts as append_forecasts,
    describe_row_quality as describe_row_quality,
    find_stale_coins as find_stale_coins,
    forecast_snapshot as forecast_snapshot,
)
