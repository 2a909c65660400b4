from .diagnosis import (
    FeedDiagnosis as FeedDiagnosis,
    diagnose_feed as diagnose_feed,
    make_feed_findings as make_feed_findings,
)
from .history import read_feed_history as read_feed_history
from .metrics import (
    FEED_COLUMNS as FEED_COLUMNS,
    first_date_needed as first_date_needed,
    measure_feed as measure_feed,
)
