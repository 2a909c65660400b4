from .feed_diagnosis import (
    FAULTS as FAULTS,
    KINDS_OF_FEED as KINDS_OF_FEED,
    FeedDiagnosis as FeedDiagnosis,
    conditions as conditions,
    judge as judge,
)
from .feed_history import read_feed as read_feed
from .feed_metrics import COLUMNS as COLUMNS, first_date_needed as first_date_needed, vitals as vitals
from .files import refused_file_conditions as refused_file_conditions, refused_row_conditions as refused_row_conditions
from .freshness import (
    GONE_DAYS as GONE_DAYS,
    RAW as RAW,
    RECENT_DAYS as RECENT_DAYS,
    age_condition as age_condition,
    age_days as age_days,
    age_look as age_look,
    coins_look as coins_look,
    days_condition as days_condition,
    days_look as days_look,
    late_files as late_files,
)
from .stored_bytes import (
    REPORT as REPORT,
    last_verification as last_verification,
    stored_conditions as stored_conditions,
    verify_home as verify_home,
)
