"""Groups in which results are reported: how much history a forecast uses, and the size of its coin."""

# Views of a row: with full history, with at most seven days of it, or with none; the last one has any of these histories and
# lacks the 7-day change, the 24-hour change, or both. The values are stored in columns and model metadata: do not rename them.
WITH_HISTORY, SHORT_HISTORY, NO_HISTORY, MISSING_CHANGE = "with_history", "young", "without_history", "partial"
VIEWS = (WITH_HISTORY, SHORT_HISTORY, NO_HISTORY, MISSING_CHANGE)

# Last rank of each bucket; the names follow.
BUCKET_EDGES = (50, 200, 500, 1000)
BUCKETS = ("1-50", "51-200", "201-500", "501-1000", "above_1000", "unknown")
UNKNOWN_BUCKET = len(BUCKETS) - 1
