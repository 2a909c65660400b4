from .files import find_rejected_files as find_rejected_files, find_rejected_rows as find_rejected_rows
from .freshness import (
    MISSING_COIN_DAYS as MISSING_COIN_DAYS,
    RAW_TABLE as RAW_TABLE,
    RECENT_DAYS as RECENT_DAYS,
    age_days as age_days,
    check_coins as check_coins,
    check_data_age as check_data_age,
    check_days as check_days,
    find_missing_days as find_missing_days,
    find_stale_data as find_stale_data,
    summarize_late_files as summarize_late_files,
)
from .stored_bytes import (
    find_damaged_data as find_damaged_data,
    read_last_verification as read_last_verification,
    verify_home as verify_home,
)
