from .cache import cached_tables as cached_tables, find_stamp as find_stamp, remember_stamps as remember_stamps
from .digests import day_digests as day_digests
from .fingerprint import FileFingerprint as FileFingerprint
