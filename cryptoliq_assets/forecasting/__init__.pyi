from .pending import (
    days_needed as days_needed,
    forecasts_due as forecasts_due,
    mismatch as mismatch,
    newest_date as newest_date,
    stale_features as stale_features,
    training_due as training_due,
)
from .realized_accuracy import (
    SUMS as SUMS,
    Accuracy as Accuracy,
    error_sums as error_sums,
    measure as measure,
    measure_days as measure_days,
    read_realised as read_realised,
)
from .snapshot_forecast import (
    FLAGS as FLAGS,
    append_forecasts as append_forecasts,
    forecast_snapshot as forecast_snapshot,
    row_note as row_note,
    stale_coins as stale_coins,
)
