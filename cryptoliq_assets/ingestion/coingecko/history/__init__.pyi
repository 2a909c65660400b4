from .fetcher import HistoryFetcher as HistoryFetcher, HistoryProgress as HistoryProgress
