from .contradictions import (
    Contradiction as Contradiction,
    contradiction_errors as contradiction_errors,
    find_contradictions as find_contradictions,
)
from .date_gaps import gaps_of_months as gaps_of_months
from .diff_report import comparison_issues as comparison_issues
from .empty_columns import (
    check_vital_columns as check_vital_columns,
    empty_column_issues as empty_column_issues,
    mark_useless as mark_useless,
)
from .empty_history import EmptyHistory as EmptyHistory
from .outliers import find_outliers as find_outliers
from .realized_change import realised_slopes as realised_slopes, slope_class as slope_class
from .scale_changes import (
    SCALED_COLUMNS as SCALED_COLUMNS,
    is_scale_change as is_scale_change,
    log_ratios as log_ratios,
    ratio_quartiles as ratio_quartiles,
)
from .scales import find_scale_faults as find_scale_faults
from .snapshot_diff import OLDEST_DAYS as OLDEST_DAYS, SnapshotComparer as SnapshotComparer
from .suspicious_columns import LEAST_CHANGE as LEAST_CHANGE, find_suspicious_columns as find_suspicious_columns
