from .csv_export import is_known as is_known, live_name as live_name
from .history import History as History, Progress as Progress
from .rate_limit import Clock as Clock
from .snapshot import fetch_snapshot as fetch_snapshot
