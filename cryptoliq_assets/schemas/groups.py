"""Groups in which results are reported: how much history a row is forecast from, and the size of its coin."""

# How much of its past a row is seen with: all of it, at most seven days, or none; last, with any of these and without its
# 7-day change, its 24-hour change, or either.
WITH_HISTORY, SHORT_HISTORY, NO_HISTORY, MISSING_CHANGE = "with_history", "young", "without_history", "partial"
VIEWS = (WITH_HISTORY, SHORT_HISTORY, NO_HISTORY, MISSING_CHANGE)

# Last rank of each bucket; the names follow.
BUCKET_EDGES = (50, 200, 500, 1000)
BUCKETS = ("1-50", "51-200", "201-500", "501-1000", "above_1000", "unknown")
UNKNOWN_BUCKET = len(BUCKETS) - 1
