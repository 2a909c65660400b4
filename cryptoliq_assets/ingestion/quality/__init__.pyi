from .contradictions import (
    Contradiction as Contradiction,
    contradiction_errors as contradiction_errors,
    find_contradictions as find_contradictions,
)
from .date_gaps import count_month_gaps as count_month_gaps
from .diff_report import describe_comparison as describe_comparison
from .empty_columns import (
    check_vital_columns as check_vital_columns,
    empty_column_issues as empty_column_issues,
    mark_unusable_rows as mark_unusable_rows,
)
from .empty_history import EmptyCellHistory as EmptyCellHistory
from .outliers import find_outliers as find_outliers
from .realized_change import classify_slope as classify_slope, compute_realized_slopes as compute_realized_slopes
from .scale_changes import (
    SCALED_COLUMNS as SCALED_COLUMNS,
    is_scale_change as is_scale_change,
    log_ratios as log_ratios,
    ratio_quartiles as ratio_quartiles,
)
from .scales import find_scale_errors as find_scale_errors
from .snapshot_diff import MAX_PREVIOUS_AGE_DAYS as MAX_PREVIOUS_AGE_DAYS, SnapshotComparer as SnapshotComparer
from .suspicious_columns import MIN_CHANGE as MIN_CHANGE, find_suspicious_columns as find_suspicious_columns
