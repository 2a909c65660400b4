from .computations import (
    COMPUTATIONS as COMPUTATIONS,
    check_computations as check_computations,
    compute_features as compute_features,
)
from .cross_section import MarketSnapshotStats as MarketSnapshotStats
from .engineering import (
    engineer_features as engineer_features,
    features_without_history as features_without_history,
    lacks_recent_history as lacks_recent_history,
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
from .row_values import (
    INPUT_COLUMNS as INPUT_COLUMNS,
    day_numbers as day_numbers,
    input_columns as input_columns,
    make_row_values as make_row_values,
    market_stats_of as market_stats_of,
    parse_rows as parse_rows,
)
