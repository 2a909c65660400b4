from .engineering import (
    OBSERVED_NUMBERS as OBSERVED_NUMBERS,
    compute_features as compute_features,
    day_numbers as day_numbers,
    engineer_features as engineer_features,
    features_without_history as features_without_history,
    lacks_recent_history as lacks_recent_history,
    make_row_values as make_row_values,
    market_stats_of as market_stats_of,
    parse_rows as parse_rows,
)
from .history_index import WindowQuery as WindowQuery
from .online import (
    HISTORY as HISTORY,
    SNAPSHOT as SNAPSHOT,
    StoredHistory as StoredHistory,
    features_by_code as features_by_code,
    online_features as online_features,
)
from .rolling_windows import calendar_moments as calendar_moments
