from .csv_export import is_known_file as is_known_file, snapshot_file_name as snapshot_file_name
from .history import HistoryFetcher as HistoryFetcher, HistoryProgress as HistoryProgress
from .rate_limit import Clock as Clock
from .snapshot import fetch_snapshot as fetch_snapshot
